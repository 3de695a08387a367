// Profiles of the C API: what is recorded, and what becomes of one when its model goes.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/include/nrt/nrt.hpp"
#include "test/unit/runtime/fixtures.h"

namespace neuronc::test {
namespace {

using Json = nlohmann::json;

nrt::Model load(const std::vector<std::byte>& neff) {
  REQUIRE(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "") == NRT_SUCCESS);
  std::string message;
  auto model = nrt::Model::load(neff, message);
  if (!model) FAIL(message);
  return std::move(*model);
}

// Called by several threads.
bool run_request(const nrt::Model& model) {
  std::vector<nrt::TensorPtr> tensors;
  nrt_tensor_set_t *inputs = nullptr, *outputs = nullptr;
  nrt_allocate_tensor_set(&inputs);
  nrt_allocate_tensor_set(&outputs);
  const nrt::TensorSetPtr input_set(inputs), output_set(outputs);
  const auto add = [&](nrt_tensor_set_t* set, const nrt::TensorInfo& info) {
    nrt_tensor_t* tensor = nullptr;
    nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, info.size_bytes, info.name.c_str(), &tensor);
    tensors.emplace_back(tensor);
    nrt_add_tensor_to_tensor_set(set, info.name.c_str(), tensor);
  };
  for (const nrt::TensorInfo& info : model.inputs()) add(inputs, info);
  for (const nrt::TensorInfo& info : model.outputs()) add(outputs, info);
  return nrt_execute(model.handle(), inputs, outputs) == NRT_SUCCESS;
}

Json read_json(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return Json::parse(text);
}

std::string trace_file() { return "/tmp/neuronc_profile_" + std::to_string(getpid()) + ".json"; }

size_t count_events(const Json& trace, const std::string& phase, int process) {
  const Json& events = trace["traceEvents"];
  return static_cast<size_t>(std::count_if(events.begin(), events.end(), [&](const Json& event) {
    return event["ph"] == phase && event["pid"] == process;
  }));
}

}  // namespace

TEST_CASE("a profile holds the requests between start and stop, and no others", "[profile]") {
  const nrt::Model model = load(neff_of(parsed_plan(kOneCore)));
  const size_t num_steps = parsed_plan(kOneCore).lanes[0].blocks[0].steps.size();
  const std::string file = trace_file();
  CHECK(run_request(model));
  REQUIRE(nrt_profile_start(model.handle(), file.c_str()) == NRT_SUCCESS);
  for (int i = 0; i < 3; ++i) CHECK(run_request(model));
  REQUIRE(nrt_profile_stop(file.c_str()) == NRT_SUCCESS);
  CHECK(run_request(model));
  const Json trace = read_json(file);
  CHECK(trace["profile"]["requests"] == 3);
  CHECK(count_events(trace, "b", 1) == 3);
  CHECK(count_events(trace, "e", 1) == 3);
  CHECK(count_events(trace, "X", 1) == 3 * num_steps);
  CHECK(count_events(trace, "X", 2) == num_steps);
  unlink(file.c_str());
}

TEST_CASE("profiles start and stop while requests run", "[profile]") {
  const nrt::Model model = load(neff_of(parsed_plan(kFourCores)));
  const std::string file = trace_file();
  std::atomic<bool> is_stopping{false};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!is_stopping && run_request(model)) {
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    REQUIRE(nrt_profile_start(model.handle(), file.c_str()) == NRT_SUCCESS);
    CHECK(run_request(model));
    REQUIRE(nrt_profile_stop(file.c_str()) == NRT_SUCCESS);
    const Json trace = read_json(file);
    // Of requests that were still on their way nothing is told.
    CHECK(count_events(trace, "b", 1) == count_events(trace, "e", 1));
    CHECK(count_events(trace, "e", 1) >= 1);
  }
  is_stopping = true;
  for (std::thread& client : clients) client.join();
  unlink(file.c_str());
}

TEST_CASE("what is wrong with a profile is a status", "[profile]") {
  const std::string file = trace_file();
  {
    const nrt::Model model = load(neff_of(parsed_plan(kOneCore)));
    CHECK(nrt_profile_start(nullptr, file.c_str()) == NRT_INVALID_HANDLE);
    CHECK(nrt_profile_start(model.handle(), nullptr) == NRT_INVALID);
    CHECK(nrt_profile_start(model.handle(), "") == NRT_INVALID);
    CHECK(nrt_profile_stop(nullptr) == NRT_INVALID);
    CHECK(nrt_profile_stop(file.c_str()) == NRT_INVALID);
    REQUIRE(nrt_profile_start(model.handle(), file.c_str()) == NRT_SUCCESS);
    CHECK(nrt_profile_start(model.handle(), "/tmp/another") == NRT_INVALID);
    CHECK(nrt_profile_stop("/tmp/another") == NRT_INVALID);
    CHECK(access(file.c_str(), F_OK) != 0);
  }
  // The model is gone, and its profile with it.
  CHECK(nrt_profile_stop(file.c_str()) == NRT_INVALID);
  const nrt::Model model = load(neff_of(parsed_plan(kOneCore)));
  CHECK(nrt_profile_start(model.handle(), "/no/such/folder") == NRT_RESOURCE);
  // The folder goes while the profile is made.
  const std::string folder = file + ".folder";
  const std::string inside = folder + "/trace.json";
  REQUIRE(mkdir(folder.c_str(), 0700) == 0);
  REQUIRE(nrt_profile_start(model.handle(), inside.c_str()) == NRT_SUCCESS);
  REQUIRE(rmdir(folder.c_str()) == 0);
  CHECK(nrt_profile_stop(inside.c_str()) == NRT_RESOURCE);
  CHECK(nrt_profile_start(model.handle(), file.c_str()) == NRT_SUCCESS);
}

}  // namespace neuronc::test
