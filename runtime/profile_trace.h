// A profile as a trace that chrome://tracing and Perfetto open: process 1 is what was measured, a thread
// per NeuronCore, and process 2 the request that was predicted. `neuron-profile` reads it too: what
// these viewers do not know stands under the key "profile".
#pragma once

#include <string>
#include <vector>

#include "runtime/neff_reader.h"
#include "runtime/profile.h"
#include "runtime/profile_costs.h"

namespace neuronc::runtime {

struct ProfiledModel {
  std::string name;
  std::string uuid;
  std::string target;
  std::vector<std::vector<uint32_t>> core_ids;  // by group of cores and core of the plan
};

std::string trace_json(const ProfiledModel& model, const plan::Plan& plan,
                       const ProfileCosts& costs, const Profile::Records& records);

}  // namespace neuronc::runtime
