// Runs the kernels of <isa>/kernels.nki with the interpreter.
#include "runtime/kernel_checker.h"

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/kernel/interpreter.h"
#include "ir/kernel/text.h"
#include "ir/kernel/verify.h"

namespace neuronc::runtime {
namespace {

// The texts of the kernels: each begins with `kernel @` at the start of a line.
std::vector<std::string_view> split_kernels(std::string_view text) {
  constexpr std::string_view kStart = "kernel @";
  std::vector<std::string_view> kernels;
  size_t begin = text.starts_with(kStart) ? 0 : text.find("\nkernel @");
  while (begin < text.size()) {
    const size_t next = text.find("\nkernel @", begin + 1);
    kernels.push_back(text.substr(begin, next == std::string_view::npos ? next : next - begin));
    begin = next;
  }
  return kernels;
}

class InterpretingChecker : public KernelChecker {
 public:
  // Kernels in the order of the plan.
  InterpretingChecker(std::vector<kernel::Kernel> kernels, std::vector<std::string> nodes,
                      NumericsCheck numerics)
      : kernels_(std::move(kernels)), nodes_(std::move(nodes)), numerics_(numerics) {
    for (const kernel::Kernel& kernel : kernels_) interpreters_.emplace_back(kernel);
  }

  OrRefusal<int32_t> run(plan::KernelId kernel, const plan::KernelBuffer* buffers,
                         std::span<const int64_t> sizes_bytes, int64_t tile_begin, int64_t tile_end,
                         std::string& non_finite) override {
    // A KernelBuffer is its pointer (kernel_abi.h).
    std::vector<void*> pointers;
    for (size_t i = 0; i < sizes_bytes.size(); ++i) pointers.push_back(buffers[i].data);
    kernel::StoredNumbers stored;
    auto status = interpreters_[kernel.index].run_checked(pointers.data(), sizes_bytes, tile_begin,
                                                          tile_end, &stored);
    const bool is_nan = stored.has_nan && numerics_ != NumericsCheck::infinity;
    const bool is_infinity = stored.has_infinity && numerics_ != NumericsCheck::nan;
    if (numerics_ != NumericsCheck::none && (is_nan || is_infinity)) {
      non_finite =
          fmt::format("the first kernel that wrote {} is `{}`{}", is_nan ? "a NaN" : "an infinity",
                      kernels_[kernel.index].name, nodes_[kernel.index]);
    }
    return status;
  }

 private:
  std::vector<kernel::Kernel> kernels_;
  std::vector<kernel::Interpreter> interpreters_;
  std::vector<std::string> nodes_;  // of the model, behind each kernel: " (nodes `a`, `b`)"
  NumericsCheck numerics_;
};

}  // namespace

Result<std::unique_ptr<KernelChecker>> load_kernel_checker(const NeffImage& image,
                                                           std::string_view isa,
                                                           const plan::Plan& plan,
                                                           NumericsCheck numerics) {
  const NeffMemberView* member = image.find(fmt::format("{}/kernels.nki", isa));
  if (member == nullptr) {
    return fail(NRT_INVALID,
                "NEURON_RT_CHECK needs the kernels' text, and the NEFF has no kernels.nki; compile "
                "the model with --emit-kernels");
  }
  std::unordered_map<std::string, kernel::Kernel> by_name;
  const std::string_view text(reinterpret_cast<const char*>(member->bytes.data()),
                              member->bytes.size());
  for (std::string_view one : split_kernels(text)) {
    auto parsed = kernel::parse(one);
    if (!parsed) return fail(NRT_INVALID, "kernels.nki: {}", parsed.error().reason);
    const std::vector<std::string> errors = kernel::verify(*parsed);
    if (!errors.empty()) return fail(NRT_INVALID, "kernels.nki: {}", errors[0]);
    std::string name = parsed->name;
    by_name.emplace(std::move(name), std::move(*parsed));
  }
  std::vector<kernel::Kernel> kernels;
  for (const plan::Kernel& wanted : plan.kernels) {
    const auto it = by_name.find(wanted.symbol);
    if (it == by_name.end() || it->second.parameters().size() != wanted.num_buffers) {
      return fail(NRT_INVALID, "kernels.nki has no kernel `{}` of {} buffers", wanted.symbol,
                  wanted.num_buffers);
    }
    kernels.push_back(std::move(it->second));
  }
  std::vector<std::string> nodes;
  for (const kernel::Kernel& kernel : kernels) nodes.push_back(image.nodes_of(kernel.name));
  return std::make_unique<InterpretingChecker>(std::move(kernels), std::move(nodes), numerics);
}

}  // namespace neuronc::runtime
