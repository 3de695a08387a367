// Implements hardware_model.h.
#include "ir/hardware_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "ir/hardware_model_data.h"

namespace neuronc {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr std::string_view kFormatKey = "neuronc-hardware-model";

// Lower bounds keep every division of the cost model finite.
struct Key {
  std::string_view name;
  double HardwareModel::* member;
  double minimum;
  bool is_optional = false;
};
constexpr Key kKeys[] = {
    {"version", &HardwareModel::version, 0},
    {"cores_per_chip", &HardwareModel::cores_per_chip, 1},
    {"f32_flops_per_s", &HardwareModel::f32_flops_per_s, 1},
    {"bf16_flops_per_s", &HardwareModel::bf16_flops_per_s, 1},
    {"f16_flops_per_s", &HardwareModel::f16_flops_per_s, 1},
    {"i8_flops_per_s", &HardwareModel::i8_flops_per_s, 1},
    {"vector_flops_per_s", &HardwareModel::vector_flops_per_s, 1},
    {"on_chip_bytes_per_core", &HardwareModel::on_chip_bytes_per_core, 0},
    {"on_chip_bytes_per_s", &HardwareModel::on_chip_bytes_per_s, 1},
    {"dram_bytes_per_chip", &HardwareModel::dram_bytes_per_chip, 0},
    {"dram_bytes_per_s_per_chip", &HardwareModel::dram_bytes_per_s_per_chip, 1},
    {"dram_bytes_per_s_per_core", &HardwareModel::dram_bytes_per_s_per_core, 1, true},
    {"on_chip_is_cache", &HardwareModel::on_chip_is_cache, 0, true},
    {"link_bytes_per_s", &HardwareModel::link_bytes_per_s, 1},
    {"hand_off_ns", &HardwareModel::hand_off_ns, 0},
    {"barrier_ns", &HardwareModel::barrier_ns, 0},
    {"launch_ns", &HardwareModel::launch_ns, 0},
    {"wake_ns", &HardwareModel::wake_ns, 0, true},
    {"chip_link_bytes_per_s", &HardwareModel::chip_link_bytes_per_s, 1, true},
    {"chip_hand_off_ns", &HardwareModel::chip_hand_off_ns, 0, true},
    {"chip_barrier_ns", &HardwareModel::chip_barrier_ns, 0, true},
};
constexpr double kMaximum = 1e24;
constexpr size_t kMaxFileBytes = 1 << 20;  // far more than a model takes

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

class ModelParser {
 public:
  ModelParser(std::string_view file, Diagnostics& diagnostics)
      : file_(file), diagnostics_(diagnostics) {}

  Expected<HardwareModel> parse(std::string_view text) {
    while (!text.empty()) {
      ++line_;
      const size_t end = text.find('\n');
      parse_line(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      // One message about a file that is something else is enough.
      if (has_failed_ && !has(kFormatKey)) break;
    }
    line_ = 0;
    if (!has_failed_ && !has(kFormatKey)) fail("it is empty");
    if (!has(kFormatKey)) return reported();
    if (!has("name")) fail("`name` is missing");
    for (const Key& key : kKeys) {
      if (!key.is_optional && !has(key.name)) fail(fmt::format("`{}` is missing", key.name));
    }
    if (has_failed_) return reported();
    return std::move(model_);
  }

 private:
  bool has(std::string_view key) const {
    return std::find(seen_.begin(), seen_.end(), key) != seen_.end();
  }

  void fail(std::string_view text) {
    Location location;
    location.file = file_;
    location.line = line_;
    diagnostics_.report(diag::bad_hardware_model, location, text);
    has_failed_ = true;
  }

  void parse_line(std::string_view line) {
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) return;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return fail("a line is not of the form `key = value`");
    const std::string key(trimmed(line.substr(0, equals)));
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (has(key)) return fail(fmt::format("`{}` is given twice", key));
    if (key != kFormatKey && seen_.empty()) {
      return fail("it does not begin with `neuronc-hardware-model = 1`");
    }
    seen_.push_back(key);
    if (key == "name") {
      model_.name = value;
    } else if (key == "summary") {
      model_.summary = value;
    } else if (key == kFormatKey) {
      if (value != std::to_string(kFormatVersion)) {
        fail(
            fmt::format("the format version is {}, this compiler reads {}", value, kFormatVersion));
      }
    } else {
      parse_number(key, value);
    }
  }

  // The part of a key behind the name of a target; only rates have such.
  static std::string_view plain_key(std::string_view key) {
    const size_t dot = key.find('.');
    if (dot == std::string_view::npos || !key.ends_with("_flops_per_s")) return key;
    return key.substr(dot + 1);
  }

  void parse_number(const std::string& key, std::string_view value) {
    const std::string_view plain = plain_key(key);
    const auto known = std::find_if(std::begin(kKeys), std::end(kKeys),
                                    [&](const Key& k) { return k.name == plain; });
    if (known == std::end(kKeys)) return fail(fmt::format("`{}` is not a known key", key));
    double number = 0;
    const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    const std::string_view suffix = trimmed(value.substr(static_cast<size_t>(rest - value.data())));
    if (error != std::errc() || (!suffix.empty() && suffix != "inferred")) {
      return fail(fmt::format("`{}` is `{}`, not a number", key, value));
    }
    if (!(number >= known->minimum) || number > kMaximum) {
      return fail(fmt::format("`{}` is {}, which is out of range", key, value));
    }
    if (plain.size() < key.size()) {
      model_.target_rates.push_back(
          {key.substr(0, key.size() - plain.size() - 1), known->member, number});
    } else {
      model_.*known->member = number;
    }
    if (!suffix.empty()) model_.inferred.push_back(key);
  }

  std::string file_;
  Diagnostics& diagnostics_;
  HardwareModel model_;
  std::vector<std::string> seen_;
  int64_t line_ = 0;
  bool has_failed_ = false;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

Expected<std::string> read_text_file(const std::string& path, Diagnostics& diagnostics) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  std::string text;
  if (file) {
    char chunk[4096];
    while (const size_t n = std::fread(chunk, 1, sizeof chunk, file.get())) {
      text.append(chunk, n);
      if (text.size() > kMaxFileBytes) break;
    }
    if (!std::ferror(file.get())) return text;
  }
  Location location;
  location.file = path;
  diagnostics.report(diag::cannot_read_file, location, path, std::strerror(errno));
  return reported();
}

}  // namespace

double HardwareModel::matmul_flops_per_s(DType dtype) const {
  switch (dtype) {
    case DType::bf16:
      return bf16_flops_per_s;
    case DType::f16:
      return f16_flops_per_s;
    case DType::i8:
    case DType::u8:
      return i8_flops_per_s;
    case DType::f64:
      return f32_flops_per_s / 2;
    default:
      return f32_flops_per_s;
  }
}

double HardwareModel::dram_bytes_per_s(double num_cores) const {
  const double num_chips = std::ceil(num_cores / cores_per_chip);
  return std::min(num_cores * dram_bytes_per_s(), num_chips * dram_bytes_per_s_per_chip);
}

double HardwareModel::streamed_bytes(double weight_bytes, double num_cores) const {
  const double kept_bytes = num_cores * on_chip_bytes_per_core;
  if (weight_bytes <= kept_bytes) return 0;
  return on_chip_is_cache > 0 ? weight_bytes : weight_bytes - kept_bytes;
}

HardwareModel HardwareModel::for_target(std::string_view target) const {
  HardwareModel model = *this;
  for (const TargetRate& rate : target_rates) {
    if (rate.target == target) model.*rate.rate = rate.value;
  }
  return model;
}

std::vector<std::string_view> builtin_hardware_models() { return {"host", "inf1"}; }

std::optional<std::string_view> builtin_hardware_model_text(std::string_view name) {
  if (name == "host") return kHostHardwareModel;
  if (name == "inf1") return kInf1HardwareModel;
  return std::nullopt;
}

Expected<HardwareModel> parse_hardware_model(std::string_view text, std::string_view file,
                                             Diagnostics& diagnostics) {
  return ModelParser(file, diagnostics).parse(text);
}

Expected<HardwareModel> load_hardware_model(std::string_view name_or_file,
                                            Diagnostics& diagnostics) {
  if (const auto text = builtin_hardware_model_text(name_or_file)) {
    return parse_hardware_model(*text, name_or_file, diagnostics);
  }
  NEURONC_ASSIGN(const std::string text, read_text_file(std::string(name_or_file), diagnostics));
  return parse_hardware_model(text, name_or_file, diagnostics);
}

}  // namespace neuronc
