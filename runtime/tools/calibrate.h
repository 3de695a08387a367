// Measures this host as a hardware model (ir/hardware_model.h): arithmetic by dtype and target, memory,
// and what it costs threads to meet and to hand over.
//
// Every figure is the best of several short rounds: what the machine can do when nothing else runs
// on it. Rates are peaks; how much of them a kernel reaches is its variant's to predict.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace neuronc::tools {

struct TargetRates {
  std::string target;  // "x86-64-v4"
  double f32_flops_per_s = 0;
  double bf16_flops_per_s = 0;
  double i8_flops_per_s = 0;
};

struct Calibration {
  std::vector<TargetRates> targets;  // that this machine runs, the least demanding first
  double vector_flops_per_s = 0;
  double on_chip_bytes_per_core = 0;
  double on_chip_bytes_per_s = 0;
  double dram_bytes = 0;
  double dram_bytes_per_s = 0;  // all processors together
  double dram_bytes_per_s_per_core = 0;
  double link_bytes_per_s = 0;
  double hand_off_ns = 0;  // from a thread's signal to the other's waking, both on their processors
  double wake_ns = 0;      // the same to a thread that has gone to sleep
  double barrier_ns = 0;   // of a meeting of two threads
  double launch_ns = 0;
  uint32_t num_processors = 1;
};

Calibration calibrate();

// The file that `--hardware-model` reads. `name` is the model's.
std::string to_hardware_model(const Calibration& calibration, const std::string& name);

// A table for people.
std::string to_text(const Calibration& calibration);

}  // namespace neuronc::tools
