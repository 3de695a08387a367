// The machine in numbers, for the cost model: data, not code.
//
// A model is a text file of `key = value` lines (ir/hardware/*.model); `#` starts a comment, and
// `inferred` behind a value says that its source does not publish it. The first key is
// `neuronc-hardware-model`, the version of the format. `inf1` and `host` are compiled in;
// `--hardware-model FILE` reads another. Rates are those of one core; a target of its own rate has it
// under its name: `x86-64-v4.f32_flops_per_s = 190e9`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/diagnostics.h"
#include "ir/base/dtype.h"
#include "ir/base/expected.h"

namespace neuronc {

struct HardwareModel {
  std::string name;
  std::string summary;
  double version = 0;  // of the figures

  double cores_per_chip = 1;
  double f32_flops_per_s = 0;  // matrix products and convolutions, by operand type
  double bf16_flops_per_s = 0;
  double f16_flops_per_s = 0;
  double i8_flops_per_s = 0;
  double vector_flops_per_s = 0;  // everything else
  double on_chip_bytes_per_core = 0;
  double on_chip_bytes_per_s = 0;
  double dram_bytes_per_chip = 0;
  double dram_bytes_per_s_per_chip = 0;
  double dram_bytes_per_s_per_core = 0;  // the most that one core draws; 0: its share of the chip's
  // Whether the memory on chip is a cache: of weights that do not fit into it, which are read in turns,
  // it holds nothing; otherwise it keeps what fits.
  double on_chip_is_cache = 0;
  double link_bytes_per_s = 0;  // from core to core
  double hand_off_ns = 0;       // of one message between cores
  double barrier_ns = 0;        // of one meeting of cores that work together
  double launch_ns = 0;         // of one kernel
  double wake_ns = 0;           // a message to a core that has waited for long; 0: as any other
  // The same between cores of different chips; 0: as on one chip.
  double chip_link_bytes_per_s = 0;
  double chip_hand_off_ns = 0;
  double chip_barrier_ns = 0;

  std::vector<std::string> inferred;  // keys whose value is not published

  struct TargetRate {
    std::string target;
    double HardwareModel::* rate = nullptr;
    double value = 0;
  };
  std::vector<TargetRate> target_rates;

  // With the rates of a target in place of the general ones.
  HardwareModel for_target(std::string_view target) const;
  // Matrix products with operands of `dtype`.
  double matmul_flops_per_s(DType dtype) const;
  // What one core reads; where the model does not say, its share when all cores of its chip read.
  double dram_bytes_per_s() const {
    return dram_bytes_per_s_per_core > 0 ? dram_bytes_per_s_per_core
                                         : dram_bytes_per_s_per_chip / cores_per_chip;
  }
  // What `num_cores` neighbouring cores read together.
  double dram_bytes_per_s(double num_cores) const;
  // Of weights of this size, what is read from memory for each request.
  double streamed_bytes(double weight_bytes, double num_cores) const;
};

// The names that need no file, sorted.
std::vector<std::string_view> builtin_hardware_models();
// The text of a built-in model.
std::optional<std::string_view> builtin_hardware_model_text(std::string_view name);

// Errors: NEU0603 with the line that is wrong, or the key that is missing.
Expected<HardwareModel> parse_hardware_model(std::string_view text, std::string_view file,
                                             Diagnostics& diagnostics);

// A built-in model by its name, otherwise a file. Errors: NEU0001, NEU0603.
Expected<HardwareModel> load_hardware_model(std::string_view name_or_file,
                                            Diagnostics& diagnostics);

}  // namespace neuronc
