// The C API: loading from file and memory, tensors and sets, statuses with messages, concurrency.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <thread>

#include "runtime/cores.h"
#include "runtime/include/nrt/nrt.hpp"
#include "test/unit/runtime/fixtures.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {

struct Session {
  Session() { REQUIRE(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "") == NRT_SUCCESS); }
};

// Loads bytes; fails the test if that fails.
nrt::Model loaded(const std::vector<std::byte>& neff) {
  std::string error;
  auto model = nrt::Model::load(neff, error);
  if (!model) FAIL(error);
  return std::move(*model);
}

using Four = std::array<float, 4>;

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return {reinterpret_cast<const std::byte*>(&value), sizeof(T)};
}
template <class T>
std::span<std::byte> bytes_of(T& value) {
  return {reinterpret_cast<std::byte*>(&value), sizeof(T)};
}

}  // namespace

TEST_CASE("the C API, from file to result") {
  CHECK(nrt_load_file("x", 0, 0, nullptr) == NRT_UNINITIALIZED);
  const Session session;
  const std::string path = std::filesystem::temp_directory_path() / "neuronc-nrt-test.neff";
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  REQUIRE(write_neff(path, contents_of(parsed_plan(kOneCore), code)));
  nrt_model_t* model = nullptr;
  REQUIRE(nrt_load_file(path.c_str(), -1, 0, &model) == NRT_SUCCESS);
  std::filesystem::remove(path);  // a loaded model does not need its name any more

  nrt_tensor_info_array_t* info = nullptr;
  REQUIRE(nrt_get_model_tensor_info(model, &info) == NRT_SUCCESS);
  REQUIRE(info->tensor_count == 2);
  CHECK(std::string(info->tensor_array[0].name) == "x");
  CHECK(info->tensor_array[1].usage == NRT_TENSOR_USAGE_OUTPUT);
  CHECK(info->tensor_array[1].dtype == NRT_DTYPE_FLOAT32);
  CHECK(info->tensor_array[1].shape[0] == 4);
  nrt_free_model_tensor_info(info);

  nrt_tensor_t *x = nullptr, *y = nullptr;
  nrt_tensor_set_t *inputs = nullptr, *outputs = nullptr;
  REQUIRE(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, 16, "x", &x) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_allocate_empty("y", &y) == NRT_SUCCESS);
  REQUIRE(nrt_allocate_tensor_set(&inputs) == NRT_SUCCESS);
  REQUIRE(nrt_allocate_tensor_set(&outputs) == NRT_SUCCESS);
  CHECK(nrt_execute(model, inputs, outputs) == NRT_EXEC_BAD_INPUT);
  CHECK(std::string(nrt_get_last_message()) == "input `x` (f32[4]) is not in the tensor set");
  REQUIRE(nrt_add_tensor_to_tensor_set(inputs, "x", x) == NRT_SUCCESS);
  REQUIRE(nrt_add_tensor_to_tensor_set(outputs, "y", y) == NRT_SUCCESS);
  const Four values{1, 2, 3, 4};
  REQUIRE(nrt_tensor_write(x, values.data(), 0, 16) == NRT_SUCCESS);
  CHECK(nrt_tensor_write(x, values.data(), 8, 16) == NRT_INVALID);
  REQUIRE(nrt_execute(model, inputs, outputs) == NRT_SUCCESS);
  Four result{};
  REQUIRE(nrt_tensor_read(y, result.data(), 0, 16) == NRT_SUCCESS);
  CHECK(result == Four{2, 3, 4, 5});
  const int64_t* dims = nullptr;
  uint32_t ndim = 0;
  REQUIRE(nrt_tensor_get_shape(y, &dims, &ndim) == NRT_SUCCESS);
  CHECK((ndim == 1 && dims[0] == 4));

  // A slice, unaligned on purpose, and an attached buffer.
  nrt_tensor_t *wide = nullptr, *slice = nullptr;
  std::array<char, 17> unaligned{};
  REQUIRE(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_DEVICE, 0, 32, "wide", &wide) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_write(wide, values.data(), 7, 16) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_allocate_slice(wide, 7, 16, "slice", &slice) == NRT_SUCCESS);
  nrt_tensor_free(&wide);
  REQUIRE(nrt_add_tensor_to_tensor_set(inputs, "x", slice) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_attach_buffer(y, unaligned.data() + 1, 16) == NRT_SUCCESS);
  REQUIRE(nrt_execute(model, inputs, outputs) == NRT_SUCCESS);
  std::memcpy(result.data(), unaligned.data() + 1, 16);
  CHECK(result == Four{2, 3, 4, 5});
  REQUIRE(nrt_tensor_attach_buffer(y, unaligned.data(), 12) == NRT_SUCCESS);
  CHECK(nrt_execute(model, inputs, outputs) == NRT_EXEC_BAD_INPUT);
  CHECK(std::string(nrt_get_last_message()) ==
        "output `y` is f32[4] of 16 bytes, the tensor has 12 bytes");

  // A size without memory, its own and a slice's.
  nrt_tensor_free(&slice);
  nrt_tensor_t* virtual_x = nullptr;
  REQUIRE(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_VIRTUAL, 0, 16, "x", &virtual_x) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_allocate_slice(virtual_x, 0, 16, "slice", &slice) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_attach_buffer(y, unaligned.data() + 1, 16) == NRT_SUCCESS);
  for (nrt_tensor_t* const input : {virtual_x, slice}) {
    REQUIRE(nrt_add_tensor_to_tensor_set(inputs, "x", input) == NRT_SUCCESS);
    CHECK(nrt_execute(model, inputs, outputs) == NRT_EXEC_BAD_INPUT);
    CHECK(std::string(nrt_get_last_message()).find("has no memory") != std::string::npos);
  }
  nrt_tensor_free(&virtual_x);

  nrt_tensor_free(&slice);
  nrt_tensor_free(&x);
  nrt_tensor_free(&y);
  nrt_destroy_tensor_set(&inputs);
  nrt_destroy_tensor_set(&outputs);
  CHECK(nrt_unload(model) == NRT_SUCCESS);
  CHECK(nrt_unload(model) == NRT_INVALID_HANDLE);
  CHECK(nrt_execute(model, nullptr, nullptr) == NRT_INVALID_HANDLE);
}

TEST_CASE("errors of loading have codes and messages") {
  const Session session;
  nrt_model_t* model = nullptr;
  CHECK(nrt_load_file("/nonexistent.neff", 0, 0, &model) == NRT_INVALID);
  CHECK(std::string(nrt_get_last_message()).find("/nonexistent.neff") != std::string::npos);
  CHECK(nrt_load_file("/dev/null", 0, 0, &model) == NRT_INVALID);
  CHECK(nrt_load("text", 4, 0, 0, &model) == NRT_INVALID);
  const std::vector<std::byte> neff = neff_of(parsed_plan(kFourCores));
  CHECK(nrt_load(neff.data(), neff.size(), 1000, 0, &model) == NRT_LOAD_NOT_ENOUGH_NC);
  CHECK(nrt_load(neff.data(), neff.size(), 0, 2, &model) == NRT_LOAD_NOT_ENOUGH_NC);
  CHECK(std::string(nrt_get_status_as_str(NRT_EXEC_OOB)) == "NRT_EXEC_OOB");
}

TEST_CASE("eight threads stream requests through a model on four cores") {
  const Session session;
  const nrt::Model model = loaded(neff_of(parsed_plan(kFourCores)));
  CHECK(model.num_cores() == 4);
  std::atomic<int> num_right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const float v = static_cast<float>(t * 50 + i);
        const Four x{v, v, v, i % 5 == 0 ? -1 : v};
        Four y{}, x2{};
        std::string error;
        const NRT_STATUS status = model.run({bytes_of(x)}, {bytes_of(y), bytes_of(x2)}, error);
        if (i % 5 == 0 ? status == NRT_EXEC_OOB : y == Four{v + 4, v + 4, v + 4, v + 4})
          ++num_right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_right == 400);
}

TEST_CASE("models may be loaded and unloaded while others run") {
  const Session session;
  const std::vector<std::byte> neff = neff_of(parsed_plan(kOneCore));
  std::vector<std::thread> threads;
  std::atomic<int> num_right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        std::string error;
        const auto model = nrt::Model::load(neff, error);
        const Four x{1, 2, 3, 4};
        Four y{};
        if (model && model->run({bytes_of(x)}, {bytes_of(y)}, error) == NRT_SUCCESS && y[3] == 5) {
          ++num_right;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_right == 80);
}

TEST_CASE("NEURON_RT_VISIBLE_CORES") {
  using runtime::parse_visible_cores;
  CHECK(*parse_visible_cores("0-2,5", 8) == std::vector<uint32_t>{0, 1, 2, 5});
  CHECK(*parse_visible_cores("7", 8) == std::vector<uint32_t>{7});
  for (const char* text : {"", "8", "2-1", "a", "1,", "1-", "1,1", "1 2"}) {
    INFO(text);
    CHECK_FALSE(parse_visible_cores(text, 8));
  }
}

// Last: nothing may be loaded afterwards until nrt_init is called again.
TEST_CASE("after nrt_close") {
  const Session session;
  nrt_close();
  uint32_t count = 0;
  CHECK(nrt_get_visible_nc_count(&count) == NRT_CLOSED);
  const Session again;
  CHECK(nrt_get_visible_nc_count(&count) == NRT_SUCCESS);
}

TEST_CASE("a handle that was destroyed is refused, and destroying it again does nothing") {
  const Session session;
  nrt_tensor_t* tensor = nullptr;
  REQUIRE(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, 16, "x", &tensor) == NRT_SUCCESS);
  nrt_tensor_set_t* set = nullptr;
  REQUIRE(nrt_allocate_tensor_set(&set) == NRT_SUCCESS);
  REQUIRE(nrt_add_tensor_to_tensor_set(set, "x", tensor) == NRT_SUCCESS);
  nrt_model_t* model = nullptr;
  const std::vector<std::byte> neff = neff_of(parsed_plan(kOneCore));
  REQUIRE(nrt_load(neff.data(), neff.size(), -1, 0, &model) == NRT_SUCCESS);

  nrt_tensor_t* const freed = tensor;
  nrt_tensor_free(&tensor);
  CHECK(nrt_execute(model, set, set) == NRT_INVALID_HANDLE);
  CHECK(std::string(nrt_get_last_message()) == "the tensor `x` of the set was destroyed");
  char byte = 0;
  CHECK(nrt_tensor_read(freed, &byte, 0, 1) == NRT_INVALID_HANDLE);
  CHECK(nrt_tensor_get_size(freed) == 0);
  nrt_tensor_t* stale = freed;
  nrt_tensor_free(&stale);
  CHECK(stale == nullptr);

  nrt_tensor_set_t* stale_set = set;
  nrt_destroy_tensor_set(&set);
  CHECK(nrt_add_tensor_to_tensor_set(stale_set, "x", freed) == NRT_INVALID_HANDLE);
  nrt_destroy_tensor_set(&stale_set);

  nrt_tensor_info_array_t* info = nullptr;
  REQUIRE(nrt_get_model_tensor_info(model, &info) == NRT_SUCCESS);
  CHECK(nrt_free_model_tensor_info(info) == NRT_SUCCESS);
  CHECK(nrt_free_model_tensor_info(info) == NRT_INVALID_HANDLE);
  CHECK(nrt_free_model_tensor_info(nullptr) == NRT_SUCCESS);
  nrt_unload(model);
}

TEST_CASE("a handle of another kind is refused") {
  const Session session;
  nrt_tensor_t* tensor = nullptr;
  REQUIRE(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, 16, "x", &tensor) == NRT_SUCCESS);
  nrt_tensor_set_t* set = nullptr;
  REQUIRE(nrt_allocate_tensor_set(&set) == NRT_SUCCESS);
  nrt_model_t* model = nullptr;
  const std::vector<std::byte> neff = neff_of(parsed_plan(kOneCore));
  REQUIRE(nrt_load(neff.data(), neff.size(), -1, 0, &model) == NRT_SUCCESS);

  auto* tensor_as_set = reinterpret_cast<nrt_tensor_set_t*>(tensor);
  auto* set_as_tensor = reinterpret_cast<nrt_tensor_t*>(set);
  CHECK(nrt_execute(model, tensor_as_set, set) == NRT_INVALID_HANDLE);
  CHECK(std::string(nrt_get_last_message()) == "the tensor set is a handle of another kind");
  CHECK(nrt_add_tensor_to_tensor_set(set, "x", set_as_tensor) == NRT_INVALID_HANDLE);
  CHECK(nrt_tensor_get_va(set_as_tensor) == nullptr);
  CHECK(nrt_execute(reinterpret_cast<nrt_model_t*>(set), set, set) == NRT_INVALID_HANDLE);
  CHECK(nrt_unload(reinterpret_cast<nrt_model_t*>(tensor)) == NRT_INVALID_HANDLE);
  CHECK(nrt_free_model_tensor_info(reinterpret_cast<nrt_tensor_info_array_t*>(set)) ==
        NRT_INVALID_HANDLE);
  nrt_tensor_free(&set_as_tensor);
  nrt_destroy_tensor_set(&tensor_as_set);
  CHECK(nrt_tensor_get_size(tensor) == 16);
  CHECK(nrt_add_tensor_to_tensor_set(set, "x", tensor) == NRT_SUCCESS);
  nrt_tensor_free(&tensor);
  nrt_destroy_tensor_set(&set);
  nrt_unload(model);
}

TEST_CASE("numbers without a meaning are refused") {
  CHECK(nrt_init(static_cast<nrt_framework_type_t>(77), "", "") == NRT_INVALID);
  const Session session;
  nrt_tensor_t* tensor = nullptr;
  const auto placement = static_cast<nrt_tensor_placement_t>(99);
  CHECK(nrt_tensor_allocate(placement, 0, 16, "x", &tensor) == NRT_INVALID);
  CHECK(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, -5, 16, "x", &tensor) == NRT_INVALID);
  nrt_model_t* model = nullptr;
  const std::vector<std::byte> neff = neff_of(parsed_plan(kOneCore));
  CHECK(nrt_load(neff.data(), neff.size(), -7, 0, &model) == NRT_INVALID);
  CHECK(nrt_load(neff.data(), neff.size(), -1, -9, &model) == NRT_INVALID);
  CHECK(nrt_execute_repeat(nullptr, nullptr, nullptr, -1) == NRT_INVALID);
}

TEST_CASE("the wrapper's deadlines and asynchronous requests") {
  const Session session;
  const nrt::Model model = loaded(neff_of(parsed_plan(kFourCores)));
  Four x{1, 2, 3, 4};
  std::vector<nrt::TensorPtr> inputs, outputs;
  inputs.push_back(nrt::Model::attach(x.data(), sizeof(x)));
  for (int i = 0; i < 2; ++i) outputs.push_back(nrt::Model::empty());
  std::string error;
  REQUIRE(model.run_tensors_for(std::chrono::seconds(10), inputs, outputs, error) == NRT_SUCCESS);
  CHECK(static_cast<const float*>(nrt_tensor_get_va(outputs[0].get()))[3] == 8);
  CHECK(model.run_tensors_for(std::chrono::nanoseconds(1), inputs, outputs, error) == NRT_TIMEOUT);
  CHECK(error.find("the deadline passed before the request began") != std::string::npos);

  std::atomic<int> ended{-1};
  std::string told;
  const auto start = [&] {
    ended = -1;
    return model.run_async(
        inputs, outputs,
        [&](NRT_STATUS status, const std::string& message) {
          told = message;
          ended = status;
        },
        error);
  };
  REQUIRE(start() == NRT_SUCCESS);
  while (ended < 0) std::this_thread::yield();
  CHECK(ended == NRT_SUCCESS);
  x[0] = -1;  // the kernels refuse it
  REQUIRE(start() == NRT_SUCCESS);
  while (ended < 0) std::this_thread::yield();
  CHECK(ended == NRT_EXEC_OOB);
  CHECK_FALSE(told.empty());
  inputs.clear();
  CHECK(start() == NRT_EXEC_BAD_INPUT);
  CHECK(ended == -1);  // nothing was started, so nothing ends
}

namespace {

// A NEFF file whose weights are large enough to be mapped.
std::string large_file(const char* name) {
  std::string text(kOneCore);
  const std::string constant =
      "  constant 1 \"large\" bytes 4194304 offset 64 hash 00000000000000000000000000000000\n";
  text.insert(text.find("  kernel 0"), constant);
  const std::vector<std::byte> large(4194304, std::byte{7});
  plan::Plan plan = parsed_plan(text);
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  NeffContents contents = contents_of(plan, code);
  contents.variants[0].plan.constants[1].hash = hash_bytes(large);
  contents.constants.push_back({hash_bytes(large), large});
  const std::string path = std::filesystem::temp_directory_path() / name;
  REQUIRE(write_neff(path, contents));
  return path;
}

// Whether memory of this process is mapped from the file.
bool is_mapped(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) != std::string::npos) return true;
  }
  return false;
}

NRT_STATUS run_once(const nrt::Model& model, std::string& error) {
  const Four x{1, 2, 3, 4};
  Four y{};
  return model.run({bytes_of(x)}, {bytes_of(y)}, error);
}

}  // namespace

TEST_CASE("large weights are mapped, and a file that changes under them is noticed") {
  const Session session;
  const std::string path = large_file("neuronc-nrt-mapped.neff");
  std::string error;
  const auto model = nrt::Model::load_file(path, error);
  REQUIRE(model);
  CHECK(is_mapped(path));
  REQUIRE(run_once(*model, error) == NRT_SUCCESS);
  std::filesystem::last_write_time(
      path, std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // it is looked at now and then
  CHECK(run_once(*model, error) == NRT_INVALID);
  CHECK(error.find("the NEFF's file was changed while the model was loaded") == 0);
  std::filesystem::remove(path);
}

TEST_CASE("NEURON_RT_LOAD=copy maps nothing, and no change of the file matters") {
  const Session session;
  const std::string path = large_file("neuronc-nrt-copied.neff");
  setenv("NEURON_RT_LOAD", "copy", 1);
  std::string error;
  const auto model = nrt::Model::load_file(path, error);
  setenv("NEURON_RT_LOAD", "elsewhere", 1);
  nrt_model_t* other = nullptr;
  CHECK(nrt_load_file(path.c_str(), -1, 0, &other) == NRT_INVALID);
  unsetenv("NEURON_RT_LOAD");
  setenv("NEURON_RT_VERIFY", "metdata", 1);
  CHECK(nrt_load_file(path.c_str(), -1, 0, &other) == NRT_INVALID);
  unsetenv("NEURON_RT_VERIFY");
  REQUIRE(model);
  CHECK_FALSE(is_mapped(path));
  std::filesystem::resize_file(path, 100);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(run_once(*model, error) == NRT_SUCCESS);
  std::filesystem::remove(path);
}
