// Text: normalising, joining, splitting, and counting n-grams. All of it lives on the host.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/ops/common.h"
#include "ir/ops/regex.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr ResultSpec kStringY[] = {{"y", kString}};

const std::vector<std::string>& strings_of(const OpView& op, std::string_view attribute) {
  return std::get<std::vector<std::string>>(op.attribute(attribute));
}

// ---- string_normalizer

constexpr OperandSpec kStringX[] = {{"x", kString}};
constexpr AttributeSpec kNormalizerAttributes[] = {
    {"case_change_action", AttributeKind::string, "\"NONE\""},
    {"is_case_sensitive", AttributeKind::i64, "0"},
    {"locale", AttributeKind::string, ""},
    {"stopwords", AttributeKind::strings, "[]"}};

enum class Case : uint8_t { keep, lower, upper };

// The case of ASCII letters, and of the two-byte letters of Latin-1, Greek and Cyrillic whose cases
// differ by a fixed distance; all else stays.
std::string with_case(std::string_view text, Case to) {
  std::string result(text);
  if (to == Case::keep) return result;
  for (size_t i = 0; i < result.size(); ++i) {
    const auto c = static_cast<unsigned char>(result[i]);
    if (to == Case::lower && c >= 'A' && c <= 'Z') result[i] = static_cast<char>(c + 32);
    if (to == Case::upper && c >= 'a' && c <= 'z') result[i] = static_cast<char>(c - 32);
    if ((c & 0xe0) != 0xc0 || i + 1 >= result.size()) continue;
    int code = ((c & 0x1f) << 6) | (static_cast<unsigned char>(result[i + 1]) & 0x3f);
    const auto within = [&](int first, int last) { return code >= first && code <= last; };
    if (to == Case::lower) {
      if ((within(0xc0, 0xde) && code != 0xd7) || within(0x391, 0x3a9) || within(0x410, 0x42f)) {
        code += 32;
      } else if (within(0x400, 0x40f)) {
        code += 80;
      }
    } else {
      if ((within(0xe0, 0xfe) && code != 0xf7) || (within(0x3b1, 0x3c9) && code != 0x3c2) ||
          within(0x430, 0x44f)) {
        code -= 32;
      } else if (within(0x450, 0x45f)) {
        code -= 80;
      }
    }
    result[i] = static_cast<char>(0xc0 | (code >> 6));
    result[++i] = static_cast<char>(0x80 | (code & 0x3f));
  }
  return result;
}

Types infer_normalizer(const InferInput& input) {
  const Type& x = input.operands[0];
  const std::string& action = input.op.string("case_change_action");
  if (action != "NONE" && action != "LOWER" && action != "UPPER") {
    return refuse(fmt::format("`case_change_action` is `{}`", action));
  }
  if (!x.is_ranked) return std::vector<Type>{x};
  if (x.rank() != 1 && (x.rank() != 2 || (x.dims[0].is_number() && x.dims[0] != Dim(1)))) {
    return refuse("the operand is neither of shape [C] nor [1,C]");
  }
  Type type = x;
  if (!strings_of(input.op, "stopwords").empty()) type.dims.back() = Dim::unknown();
  return std::vector<Type>{std::move(type)};
}

Values evaluate_normalizer(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  const std::string& action = input.op.string("case_change_action");
  const Case to = action == "LOWER" ? Case::lower : action == "UPPER" ? Case::upper : Case::keep;
  const bool is_sensitive = input.op.i64("is_case_sensitive") != 0;
  const auto key = [&](const std::string& text) {
    return is_sensitive ? text : with_case(text, Case::lower);
  };
  std::vector<std::string> stopwords;
  for (const std::string& word : strings_of(input.op, "stopwords")) stopwords.push_back(key(word));
  std::vector<std::string> kept;
  for (const std::string& text : input.tensor(0).strings()) {
    if (std::find(stopwords.begin(), stopwords.end(), key(text)) == stopwords.end()) {
      kept.push_back(with_case(text, to));
    }
  }
  // Nothing left is one empty string.
  if (kept.empty() && !stopwords.empty()) kept.emplace_back();
  Shape shape = input.tensor(0).shape();
  shape.back() = static_cast<int64_t>(kept.size());
  return one(Tensor::from_strings(std::move(shape), std::move(kept)));
}

// ---- string_concat

constexpr OperandSpec kStringPair[] = {{"a", kString, 'T'}, {"b", kString, 'T'}};

Values evaluate_string_concat(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  std::vector<std::string> results;
  for_each_offset(shape, broadcast_strides(input.tensor(0).shape(), shape), 0, [&](int64_t at) {
    results.push_back(input.tensor(0).strings()[static_cast<size_t>(at)]);
  });
  size_t i = 0;
  for_each_offset(shape, broadcast_strides(input.tensor(1).shape(), shape), 0, [&](int64_t at) {
    results[i++] += input.tensor(1).strings()[static_cast<size_t>(at)];
  });
  return one(Tensor::from_strings(shape, std::move(results)));
}

// ---- string_split

constexpr ResultSpec kSplitResults[] = {{"parts", kString}, {"counts", DTypeSet{DType::i64}}};
constexpr AttributeSpec kSplitAttributes[] = {{"delimiter", AttributeKind::string, ""},
                                              {"maxsplit", AttributeKind::i64, ""}};

Types infer_string_split(const InferInput& input) {
  Type parts = input.operands[0];
  Type counts = parts;
  counts.dtype = DType::i64;
  if (parts.is_ranked) parts.dims.emplace_back();
  std::vector<Type> types{std::move(parts), std::move(counts)};
  types.resize(std::min(types.size(), input.num_results));
  return types;
}

// Without a delimiter, runs of white space separate, and none stands at the ends.
std::vector<std::string> split_text(std::string_view text, std::string_view delimiter,
                                    size_t max_splits) {
  std::vector<std::string> parts;
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  if (delimiter.empty()) {
    const auto skip = [&] {
      const size_t first = text.find_first_not_of(kSpace);
      text.remove_prefix(first == std::string_view::npos ? text.size() : first);
    };
    for (skip(); !text.empty(); skip()) {
      if (parts.size() == max_splits) {
        const size_t last = text.find_last_not_of(kSpace);
        parts.emplace_back(text.substr(0, last + 1));
        return parts;
      }
      const size_t end = std::min(text.find_first_of(kSpace), text.size());
      parts.emplace_back(text.substr(0, end));
      text.remove_prefix(end);
    }
    return parts;
  }
  while (parts.size() < max_splits) {
    const size_t end = text.find(delimiter);
    if (end == std::string_view::npos) break;
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end + delimiter.size());
  }
  parts.emplace_back(text);
  return parts;
}

constexpr AttributeSpec kRegexAttributes[] = {{"pattern", AttributeKind::string, "", true}};
constexpr ResultSpec kMatchY[] = {{"y", kBool}};

Types infer_regex(const InferInput& input) {
  NEURONC_TRY(Regex::compile(input.op.string("pattern")));
  Type type = input.operands[0];
  type.dtype = DType::boolean;
  return std::vector<Type>{std::move(type)};
}

Values evaluate_regex(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const Regex regex, Regex::compile(input.op.string("pattern")));
  Tensor y = Tensor::zeros(DType::boolean, type.shape());
  const auto texts = input.tensor(0).strings();
  for (size_t i = 0; i < texts.size(); ++i) {
    y.set_i64(static_cast<int64_t>(i), regex.matches(texts[i]) ? 1 : 0);
  }
  return one(std::move(y));
}

Values evaluate_string_split(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  const Tensor& x = input.tensor(0);
  const std::string delimiter = input.op.has("delimiter") ? input.op.string("delimiter") : "";
  size_t max_splits = SIZE_MAX;
  if (input.op.has("maxsplit") && input.op.i64("maxsplit") >= 0) {
    max_splits = static_cast<size_t>(input.op.i64("maxsplit"));
  }
  std::vector<std::vector<std::string>> rows;
  std::vector<int64_t> counts;
  size_t widest = 0;
  for (const std::string& text : x.strings()) {
    rows.push_back(split_text(text, delimiter, max_splits));
    counts.push_back(static_cast<int64_t>(rows.back().size()));
    widest = std::max(widest, rows.back().size());
  }
  std::vector<std::string> parts;
  for (std::vector<std::string>& row : rows) {
    row.resize(widest);
    parts.insert(parts.end(), row.begin(), row.end());
  }
  Shape shape = x.shape();
  shape.push_back(static_cast<int64_t>(widest));
  std::vector<HostValue> results{Tensor::from_strings(std::move(shape), std::move(parts))};
  if (input.num_results > 1) results.emplace_back(from_ints(DType::i64, x.shape(), counts));
  return results;
}

// ---- tf_idf_vectorizer

constexpr OperandSpec kTokens[] = {{"x", kString | kIndices}};
constexpr ResultSpec kF32Y[] = {{"y", DTypeSet{DType::f32}}};
constexpr AttributeSpec kTfIdfAttributes[] = {{"max_gram_length", AttributeKind::i64, "", true},
                                              {"max_skip_count", AttributeKind::i64, "", true},
                                              {"min_gram_length", AttributeKind::i64, "", true},
                                              {"mode", AttributeKind::string, "", true},
                                              {"ngram_counts", AttributeKind::ints, "", true},
                                              {"ngram_indexes", AttributeKind::ints, "", true},
                                              {"pool_int64s", AttributeKind::ints, "[]"},
                                              {"pool_strings", AttributeKind::strings, "[]"},
                                              {"weights", AttributeKind::floats, "[]"}};

Types infer_tf_idf(const InferInput& input) {
  const Type& x = input.operands[0];
  const Shape& indexes = input.op.ints("ngram_indexes");
  if (indexes.empty()) return refuse("`ngram_indexes` is empty");
  for (int64_t index : indexes) {
    if (index < 0 || index > INT32_MAX) return refuse("an entry of `ngram_indexes` is negative");
  }
  const std::string& mode = input.op.string("mode");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") {
    return refuse(fmt::format("`mode` is `{}`", mode));
  }
  if (!x.is_ranked) return std::vector<Type>{Type::unranked(DType::f32)};
  if (x.rank() > 2) return refuse("the operand has more than two axes");
  const Dim width = *std::max_element(indexes.begin(), indexes.end()) + 1;
  return std::vector<Type>{x.rank() == 2 ? ranked(DType::f32, {x.dims[0], width})
                                         : ranked(DType::f32, {width})};
}

// The n-grams of the pool: their tokens as text, and which n-gram each is. `pool` holds all
// 1-grams, then all 2-grams, and so on, from `counts` on.
using Grams = std::map<std::vector<std::string>, size_t>;

OrRefusal<Grams> grams_of(const OpView& op, const std::vector<std::string>& pool) {
  const Shape& counts = op.ints("ngram_counts");
  Grams grams;
  size_t id = 0;
  for (size_t n = 1; n <= counts.size(); ++n) {
    const auto end = n < counts.size() ? counts[n] : static_cast<int64_t>(pool.size());
    if (counts[n - 1] < 0 || end < counts[n - 1] || end > static_cast<int64_t>(pool.size()) ||
        (end - counts[n - 1]) % static_cast<int64_t>(n) != 0) {
      return refuse("`ngram_counts` does not fit the pool");
    }
    for (int64_t at = counts[n - 1]; at < end; at += static_cast<int64_t>(n)) {
      const auto first = pool.begin() + at;
      grams.emplace(std::vector<std::string>(first, first + static_cast<std::ptrdiff_t>(n)), id++);
    }
  }
  if (id > op.ints("ngram_indexes").size()) {
    return refuse("`ngram_indexes` has fewer entries than the pool");
  }
  return grams;
}

std::vector<std::string> tokens_of(const Tensor& x) {
  if (x.dtype() == DType::string) return {x.strings().begin(), x.strings().end()};
  std::vector<std::string> tokens;
  for (int64_t value : ints(x)) tokens.push_back(std::to_string(value));
  return tokens;
}

// How often each n-gram of the pool occurs in one row, its tokens up to `max_skip` apart.
void count_grams(const OpView& op, const Grams& grams, std::span<const std::string> row,
                 std::vector<double>& counts) {
  const auto least = static_cast<size_t>(std::max<int64_t>(op.i64("min_gram_length"), 1));
  const auto most = static_cast<size_t>(std::max<int64_t>(op.i64("max_gram_length"), 0));
  const auto max_skip = static_cast<size_t>(std::max<int64_t>(op.i64("max_skip_count"), 0));
  for (size_t n = least; n <= std::min(most, row.size()); ++n) {
    // Skips make no difference to single tokens.
    const size_t num_skips = n == 1 ? 1 : max_skip + 1;
    for (size_t skip = 0; skip < num_skips; ++skip) {
      const size_t reach = (n - 1) * (skip + 1);
      for (size_t begin = 0; begin + reach < row.size(); ++begin) {
        std::vector<std::string> gram;
        for (size_t k = 0; k < n; ++k) gram.push_back(row[begin + k * (skip + 1)]);
        const auto found = grams.find(gram);
        if (found != grams.end()) counts[found->second] += 1;
      }
    }
  }
}

Values evaluate_tf_idf(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  std::vector<std::string> pool = strings_of(input.op, "pool_strings");
  for (int64_t token : input.op.ints("pool_int64s")) pool.push_back(std::to_string(token));
  NEURONC_ASSIGN(const Grams grams, grams_of(input.op, pool));
  const std::vector<std::string> tokens = tokens_of(x);
  const Shape& indexes = input.op.ints("ngram_indexes");
  const std::vector<double>& weights = input.op.floats("weights");
  const std::string& mode = input.op.string("mode");
  const auto width = static_cast<size_t>(type.dims.back().number());
  std::vector<double> y(static_cast<size_t>(type.num_elements()), 0);
  const size_t num_rows = y.size() / width;
  for (size_t row = 0; row < num_rows; ++row) {
    const size_t length = tokens.size() / num_rows;
    std::vector<double> counts(indexes.size(), 0);
    count_grams(input.op, grams, std::span(tokens).subspan(row * length, length), counts);
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      const double weight = i < weights.size() ? weights[i] : 1;
      const double value = mode == "TF" ? counts[i] : mode == "IDF" ? weight : counts[i] * weight;
      y[row * width + static_cast<size_t>(indexes[i])] = value;
    }
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

}  // namespace

/// y = the strings of x that are no `stopwords` (ASCII, Latin-1, Greek and Cyrillic cases ignored
/// unless `is_case_sensitive`), in the case asked for; one empty string if none is left.
/// Shapes: x [C] or [1,C].   Source: ONNX StringNormalizer-10.
NEURONC_OP(string_normalizer) = {"string_normalizer",
                                 "strings without stop words, in one case",
                                 "ONNX StringNormalizer-10",
                                 kStringX,
                                 kNormalizerAttributes,
                                 kStringY,
                                 Trait::host,
                                 Precision::fixed,
                                 infer_normalizer,
                                 evaluate_normalizer,
                                 no_flops};

/// y = a followed by b, with broadcasting.   Source: ONNX StringConcat-20.
NEURONC_OP(string_concat) = {"string_concat",
                             "strings joined in pairs",
                             "ONNX StringConcat-20",
                             kStringPair,
                             {},
                             kStringY,
                             Trait::host,
                             Precision::fixed,
                             infer_broadcast,
                             evaluate_string_concat,
                             no_flops};

/// y = whether `pattern`, in RE2's syntax, matches the whole of each string.   Shapes: y as x.
/// Source: ONNX RegexFullMatch-20.
NEURONC_OP(regex_full_match) = {"regex_full_match",
                                "whether a pattern matches each string",
                                "ONNX RegexFullMatch-20",
                                kStringX,
                                kRegexAttributes,
                                kMatchY,
                                Trait::host,
                                Precision::fixed,
                                infer_regex,
                                evaluate_regex,
                                no_flops};

/// parts = each string split at `delimiter` (default: white space) at most `maxsplit` times, filled
/// with empty strings; counts = how many parts it has.
/// Shapes: parts as x with a new last axis, counts as x.   Source: ONNX StringSplit-20.
NEURONC_OP(string_split) = {"string_split",
                            "strings split at a delimiter",
                            "ONNX StringSplit-20",
                            kStringX,
                            kSplitAttributes,
                            kSplitResults,
                            Trait::host,
                            Precision::fixed,
                            infer_string_split,
                            evaluate_string_split,
                            no_flops};

/// y[ngram_indexes[i]] = how often n-gram i of the pool occurs in a row of tokens, their distance
/// up to `max_skip_count` + 1; its weight instead (mode IDF), or both multiplied (TFIDF). Shapes: x
/// [C] or [N,C], y [width] or [N,width].   Source: ONNX TfIdfVectorizer-9.
NEURONC_OP(tf_idf_vectorizer) = {"tf_idf_vectorizer",
                                 "counts of n-grams",
                                 "ONNX TfIdfVectorizer-9",
                                 kTokens,
                                 kTfIdfAttributes,
                                 kF32Y,
                                 Trait::host,
                                 Precision::fixed,
                                 infer_tf_idf,
                                 evaluate_tf_idf,
                                 no_flops};

}  // namespace neuronc
