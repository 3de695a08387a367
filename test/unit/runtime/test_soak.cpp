// Many clients of several models on shared cores while others are loaded, profiled and unloaded: what the
// thread sanitizer is to look at (preset tsan).
#include <array>
#include <atomic>
#include <thread>

#include "runtime/include/nrt/nrt.hpp"
#include "test/unit/runtime/fixtures.h"

namespace neuronc::test {
namespace {

constexpr int kNumClients = 8;
constexpr int kRequestsEach = 125;

// The tensors of one client; a request adds `expected` to each element.
class SoakClient {
 public:
  SoakClient(const nrt::Model& model, float expected) : model_(model), expected_(expected) {
    nrt_tensor_set_t *inputs = nullptr, *outputs = nullptr;
    nrt_allocate_tensor_set(&inputs);
    nrt_allocate_tensor_set(&outputs);
    inputs_.reset(inputs);
    outputs_.reset(outputs);
    for (const nrt::TensorInfo& info : model.inputs()) add(inputs, info, x_.data());
    for (const nrt::TensorInfo& info : model.outputs()) {
      add(outputs, info, info.name == "y" ? y_.data() : x2_.data());
    }
  }

  bool run(int number) {
    for (size_t i = 0; i < x_.size(); ++i)
      x_[i] = static_cast<float>(number) + static_cast<float>(i);
    if (nrt_execute(model_.handle(), inputs_.get(), outputs_.get()) != NRT_SUCCESS) return false;
    for (size_t i = 0; i < x_.size(); ++i) {
      if (y_[i] != x_[i] + expected_) return false;
    }
    return true;
  }

 private:
  void add(nrt_tensor_set_t* set, const nrt::TensorInfo& info, float* data) {
    nrt_tensor_t* tensor = nullptr;
    nrt_tensor_allocate_empty(info.name.c_str(), &tensor);
    nrt_tensor_attach_buffer(tensor, data, info.size_bytes);
    tensors_.emplace_back(tensor);
    nrt_add_tensor_to_tensor_set(set, info.name.c_str(), tensor);
  }

  const nrt::Model& model_;
  float expected_;
  std::array<float, 4> x_{}, y_{}, x2_{};
  std::vector<nrt::TensorPtr> tensors_;
  nrt::TensorSetPtr inputs_, outputs_;
};

}  // namespace

TEST_CASE("eight clients, a thousand requests, loads and unloads in between", "[soak]") {
  REQUIRE(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "") == NRT_SUCCESS);
  const std::vector<std::byte> one = neff_of(parsed_plan(kOneCore));
  const std::vector<std::byte> four = neff_of(parsed_plan(kFourCores));
  std::string message;
  const auto small = nrt::Model::load(one, message);
  const auto large = nrt::Model::load(four, message, 0);
  REQUIRE(small);
  REQUIRE(large);
  std::atomic<int> num_good{0};
  std::atomic<int> num_clients{kNumClients};
  std::vector<std::thread> clients;
  for (int c = 0; c < kNumClients; ++c) {
    clients.emplace_back([&, c] {
      SoakClient client(c % 2 == 0 ? *small : *large, c % 2 == 0 ? 1.0f : 4.0f);
      for (int i = 0; i < kRequestsEach; ++i) num_good += client.run(i) ? 1 : 0;
      --num_clients;
    });
  }
  std::atomic<int> num_loads{0};
  std::atomic<bool> has_failed{false};
  const auto load_and_unload = [&](int first_core) {
    const std::string file = "/tmp/neuronc_soak_" + std::to_string(first_core);
    std::string error;
    do {
      auto model = nrt::Model::load(num_loads % 2 == 0 ? four : one, error, first_core);
      if (!model) {
        has_failed = true;
        break;
      }
      const float expected = model->num_cores() == 4 ? 4.0f : 1.0f;
      const bool is_profiled = nrt_profile_start(model->handle(), file.c_str()) == NRT_SUCCESS;
      if (!is_profiled || !SoakClient(*model, expected).run(1)) has_failed = true;
      ++num_loads;
    } while (num_clients > 0);
  };
  std::thread first([&] { load_and_unload(1); });
  std::thread second([&] { load_and_unload(-1); });
  for (std::thread& client : clients) client.join();
  first.join();
  second.join();
  CHECK(num_good == kNumClients * kRequestsEach);
  CHECK_FALSE(has_failed);
  CHECK(num_loads >= 2);
}

}  // namespace neuronc::test
