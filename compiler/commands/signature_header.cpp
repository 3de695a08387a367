// Implements signature_header.h.
#include "compiler/commands/signature_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "ir/base/dtype.h"
#include "runtime/nrt_dtypes.h"

namespace neuronc {
namespace {

bool is_letter_or_digit(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

std::string identifier(std::string_view text) {
  std::string result;
  for (const char c : text) result += is_letter_or_digit(c) ? c : '_';
  if (result.empty() || std::isdigit(static_cast<unsigned char>(result[0])) != 0) {
    result = "_" + result;
  }
  return result;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// A string literal. Octal escapes end after three digits, whatever follows; `?` could begin a trigraph.
std::string literal(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\' && c != '?';
    result += is_plain ? std::string(1, c) : fmt::format("\\{:03o}", byte);
  }
  return result + "\"";
}

class HeaderWriter {
 public:
  explicit HeaderWriter(std::string_view model) : name_(identifier(model)), prefix_(upper(name_)) {}

  std::string write(const plan::Plan& plan, std::string_view uuid, size_t num_neuroncores) {
    text_ = fmt::format(
        "/* Inputs and outputs of a model, made by neuronc. A dim of -1 and a size of 0 are known "
        "only "
        "at run\n * time. */\n"
        "#ifndef NEURONC_MODEL_{0}\n#define NEURONC_MODEL_{0}\n\n#include <stddef.h>\n\n",
        prefix_);
    define("UUID", literal(uuid));
    define("NUM_NEURONCORES", std::to_string(num_neuroncores));
    define("NUM_INPUTS", std::to_string(plan.inputs.size()));
    define("NUM_OUTPUTS", std::to_string(plan.outputs.size()));
    for (const plan::TensorSpec& tensor : plan.inputs) add_tensor("INPUT", tensor);
    for (const plan::TensorSpec& tensor : plan.outputs) add_tensor("OUTPUT", tensor);
    text_ += fmt::format(
        "\n/* The NEFF, where neuronc_add_model(EMBED) put it into the program. */\n"
        "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n"
        "extern const unsigned char {0}_neff[];\nextern const size_t {0}_neff_size_bytes;\n"
        "#ifdef __cplusplus\n}}\n#endif\n\n#endif\n",
        name_);
    return text_;
  }

 private:
  void define(const std::string& name, const std::string& value) {
    text_ += fmt::format("#define {}_{} {}\n", prefix_, name, value);
  }

  std::string unused(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 2; !used_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
    return name;
  }

  void add_tensor(const std::string& kind, const plan::TensorSpec& tensor) {
    const std::string name = unused(fmt::format("{}_{}", kind, upper(identifier(tensor.name))));
    text_ += "\n";
    define(name + "_NAME", literal(tensor.name));
    define(name + "_DTYPE", fmt::format("{:#x} /* {}, as nrt_dtype_t */",
                                        static_cast<unsigned>(runtime::to_nrt(tensor.dtype)),
                                        neuronc::name(tensor.dtype)));
    define(name + "_NDIM", std::to_string(tensor.dims.size()));
    // A scalar has no dims, and an array of C has at least one element.
    if (!tensor.dims.empty()) {
      define(name + "_SHAPE", fmt::format("{{{}}}", fmt::join(tensor.dims, ", ")));
    }
    define(name + "_SIZE_BYTES", std::to_string(tensor.size_bytes));
  }

  std::string name_;
  std::string prefix_;
  std::string text_;
  std::set<std::string> used_;
};

}  // namespace

std::string signature_header(std::string_view model, const plan::Plan& plan, std::string_view uuid,
                             size_t num_neuroncores) {
  return HeaderWriter(model).write(plan, uuid, num_neuroncores);
}

}  // namespace neuronc
