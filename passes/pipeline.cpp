// Implements pipeline.h: reads, prints and checks pipeline text.
#include "passes/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/base/text.h"
#include "ir/lexer.h"
#include "ir/tensor_text.h"

namespace neuronc {
namespace {

constexpr int64_t kDefaultRounds = 10;
constexpr int64_t kMaxRounds = 1000;
constexpr int kMaxDepth = 16;

class PipelineParser {
 public:
  PipelineParser(std::string_view text, Diagnostics& diagnostics)
      : text_(text), diagnostics_(diagnostics) {}

  Expected<std::vector<PipelineItem>> parse() {
    NEURONC_ASSIGN(std::vector<PipelineItem> items, parse_items(0));
    if (position_ != text_.size()) return unexpected("`,` or the end");
    if (has_errors_) return reported();
    return items;
  }

 private:
  Expected<std::vector<PipelineItem>> parse_items(int depth);
  Expected<PipelineItem> parse_item(int depth);
  Expected<PipelineItem> parse_fixpoint(int64_t column, int depth);
  Expected<void> parse_options(Pass* pass, std::string_view pass_name);
  Expected<std::string> parse_value();
  void set_option(Pass& pass, std::string_view name, const std::string& value, int64_t column);

  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  void skip_blanks() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t') ++position_;
  }
  bool accept(char c) {
    skip_blanks();
    if (peek() != c || c == '\0') return false;
    ++position_;
    skip_blanks();
    return true;
  }
  std::string take_word(std::string_view more) {
    skip_blanks();
    const size_t start = position_;
    while (position_ < text_.size() && is_word_char(text_[position_], more)) ++position_;
    return std::string(text_.substr(start, position_ - start));
  }
  int64_t column() const { return static_cast<int64_t>(position_) + 1; }
  Location location(int64_t at_column) const {
    Location location;
    location.file = "pipeline";
    location.line = 1;
    location.column = at_column;
    return location;
  }
  tl::unexpected<Reported> unexpected(std::string_view wanted) {
    skip_blanks();
    const std::string found =
        position_ < text_.size() ? "`" + std::string(1, peek()) + "`" : "the end";
    diagnostics_.report(diag::pipeline_syntax, location(column()), wanted, found);
    return reported();
  }

  std::string_view text_;
  Diagnostics& diagnostics_;
  size_t position_ = 0;
  bool has_errors_ = false;  // of names and options, which do not end the reading
};

Expected<std::vector<PipelineItem>> PipelineParser::parse_items(int depth) {
  std::vector<PipelineItem> items;
  skip_blanks();
  if (position_ == text_.size() && depth == 0) return items;
  do {
    NEURONC_ASSIGN(PipelineItem item, parse_item(depth));
    items.push_back(std::move(item));
  } while (accept(','));
  return items;
}

Expected<PipelineItem> PipelineParser::parse_item(int depth) {
  skip_blanks();
  const int64_t start = column();
  const std::string name = take_word("-");
  if (name.empty()) return unexpected("a pass");
  if (name == "fixpoint") return parse_fixpoint(start, depth);
  PipelineItem item;
  item.column = start;
  if (const PassInfo* info = find_pass(name)) {
    item.pass = info->create();
  } else {
    diagnostics_.report(diag::unknown_pass, location(start), name);
    has_errors_ = true;
  }
  if (accept('{')) NEURONC_TRY(parse_options(item.pass.get(), name));
  return item;
}

Expected<PipelineItem> PipelineParser::parse_fixpoint(int64_t start, int depth) {
  PipelineItem item;
  item.column = start;
  item.max_rounds = kDefaultRounds;
  if (depth == kMaxDepth) return unexpected("less nesting of fix points");
  if (accept('<')) {
    const size_t at = position_;
    const std::string digits = take_word("");
    if (!int_from_text(digits, item.max_rounds) || item.max_rounds < 1 ||
        item.max_rounds > kMaxRounds) {
      position_ = at;
      return unexpected(fmt::format("a number of rounds from 1 to {}", kMaxRounds));
    }
    if (!accept('>')) return unexpected("`>`");
  }
  if (!accept('(')) return unexpected("`(`");
  NEURONC_ASSIGN(item.body, parse_items(depth + 1));
  if (!accept(')')) return unexpected("`,` or `)`");
  return item;
}

Expected<std::string> PipelineParser::parse_value() {
  skip_blanks();
  if (peek() == '"') {
    Lexer lexer(text_.substr(position_));
    const Token token = lexer.next();
    if (token.kind != TokenKind::quoted) return unexpected("a closed text");
    position_ += lexer.position();
    return token.text;
  }
  std::string value = take_word(".+-");
  if (value.empty()) return unexpected("a value");
  return value;
}

Expected<void> PipelineParser::parse_options(Pass* pass, std::string_view pass_name) {
  do {
    skip_blanks();
    const int64_t start = column();
    const std::string name = take_word("-");
    if (name.empty()) return unexpected("an option");
    if (!accept('=')) return unexpected("`=`");
    NEURONC_ASSIGN(const std::string value, parse_value());
    if (pass != nullptr) set_option(*pass, name, value, start);
  } while (accept(','));
  if (!accept('}')) return unexpected("`,` or `}`");
  return {};
}

// Why `value` cannot be the option's value, or nothing once it is stored.
std::string store_value(const PassOption& option, const std::string& value) {
  if (auto* const* number = std::get_if<int64_t*>(&option.target)) {
    return int_from_text(value, **number) ? "" : "is not an integer";
  }
  if (auto* const* number = std::get_if<double*>(&option.target)) {
    return float_from_text(value, **number) ? "" : "is not a number";
  }
  if (auto* const* flag = std::get_if<bool*>(&option.target)) {
    if (value != "true" && value != "false") return "is neither true nor false";
    **flag = value == "true";
    return "";
  }
  const auto& choices = option.choices;
  if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) {
    return fmt::format("is none of {}", fmt::join(choices, ", "));
  }
  *std::get<std::string*>(option.target) = value;
  return "";
}

void PipelineParser::set_option(Pass& pass, std::string_view name, const std::string& value,
                                int64_t column) {
  std::string problem = fmt::format("there is no option `{}`", name);
  for (const PassOption& option : pass.options()) {
    if (option.name != name) continue;
    problem = store_value(option, value);
    if (problem.empty()) return;
    problem = fmt::format("the value `{}` of `{}` {}", value, name, problem);
    break;
  }
  diagnostics_.report(diag::bad_pass_option, location(column), pass.info().name, problem);
  has_errors_ = true;
}

std::string value_text(const PassOption& option) {
  if (auto* const* number = std::get_if<int64_t*>(&option.target)) return std::to_string(**number);
  if (auto* const* number = std::get_if<double*>(&option.target)) return float_to_text(**number);
  if (auto* const* flag = std::get_if<bool*>(&option.target)) return **flag ? "true" : "false";
  return word_or_quoted(*std::get<std::string*>(option.target), ".-");
}

Expected<Stage> check_items(std::span<const PipelineItem> items, Stage stage, Location location,
                            Diagnostics& diagnostics) {
  bool has_errors = false;
  for (const PipelineItem& item : items) {
    location.column = item.column;
    if (!item.pass) {
      // Twice, because later rounds start at the stage that the first one ends with.
      auto after = check_items(item.body, stage, location, diagnostics);
      if (after && *after != stage) after = check_items(item.body, *after, location, diagnostics);
      has_errors = has_errors || !after;
      if (after) stage = *after;
      continue;
    }
    const PassInfo& info = item.pass->info();
    if (stage < info.earliest || stage > info.latest) {
      diagnostics.report(diag::wrong_pass_order, location, info.name, name(stage),
                         name(info.earliest), name(info.latest));
      has_errors = true;
    }
    if (info.establishes) stage = *info.establishes;
  }
  if (has_errors) return reported();
  return stage;
}

}  // namespace

Expected<Pipeline> parse_pipeline(std::string_view text, Diagnostics& diagnostics) {
  Pipeline pipeline;
  NEURONC_ASSIGN(pipeline.items, PipelineParser(text, diagnostics).parse());
  return pipeline;
}

std::string to_text(const Pass& pass) {
  std::string text(pass.info().name);
  const std::unique_ptr<Pass> defaults = pass.info().create();
  // Reading the options needs no change of the pass; binding them is not const.
  const std::vector<PassOption> options = const_cast<Pass&>(pass).options();
  const std::vector<PassOption> default_options = defaults->options();
  bool is_first = true;
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string value = value_text(options[i]);
    if (value == value_text(default_options[i])) continue;
    text += fmt::format("{}{}={}", is_first ? "{" : ",", options[i].name, value);
    is_first = false;
  }
  return is_first ? text : text + "}";
}

std::string to_text(std::span<const PipelineItem> items) {
  std::string text;
  for (const PipelineItem& item : items) {
    if (!text.empty()) text += ",";
    if (item.pass) {
      text += to_text(*item.pass);
    } else {
      text += fmt::format("fixpoint<{}>({})", item.max_rounds, to_text(item.body));
    }
  }
  return text;
}

std::string to_text(const Pipeline& pipeline) { return to_text(pipeline.items); }

Expected<Stage> check_stages(const Pipeline& pipeline, Stage stage, Diagnostics& diagnostics) {
  Location location;
  location.file = "pipeline";
  location.line = 1;
  return check_items(pipeline.items, stage, location, diagnostics);
}

}  // namespace neuronc
