// The C API's lists: sequences and optionals as inputs and outputs of a model.
#include <array>
#include <catch2/catch.hpp>

#include "runtime/include/nrt/nrt.hpp"
#include "test/unit/runtime/fixtures.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {

// y is x, has says whether o holds something, z is o's or an empty optional.
constexpr std::string_view kPlan = R"(plan "lists" {
  input 0 "x" f32[-1,2] bytes 0 kind sequence
  input 1 "o" i64[] bytes 0 kind optional_sequence unranked
  output 0 "y" f32[-1,2] bytes 0 kind sequence
  output 1 "has" bool[] bytes 1
  output 2 "z" i64[] bytes 0 kind optional_sequence unranked
  kernel 0 @add_scalar buffers 3 tiles 4
  lane 0 core 0 arena 0 {
    block 0 {
    }
  }
  lane 1 host arena 0 {
    block 0 {
      host 0 (r input0+0:0 f32[]) -> (w output0+0:0 f32[])
      host 1 (r input1+0:0 i64[]) -> (w output1+0:1 bool[])
      host 2 (r input1+0:0 i64[]) -> (w output2+0:0 i64[])
    }
  }
})";

constexpr std::string_view kHostGraph = R"(nir 1
module "lists" stage placed {
  input %x : seq(f32[?,2])
  input %o : opt(seq(i64[*]))
  %y = identity(%x) : seq(f32[?,2]) host
  %has = optional_has_element(%o) : bool[] host
  %z = identity(%o) : opt(seq(i64[*])) host
  output %y
  output %has
  output %z
}
)";

nrt::Model lists_model() {
  REQUIRE(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "") == NRT_SUCCESS);
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  NeffContents contents = contents_of(parsed_plan(kPlan), code);
  contents.host_nir = kHostGraph;
  const auto neff = build_neff(contents);
  REQUIRE(neff);
  std::string error;
  auto model = nrt::Model::load(*neff, error);
  if (!model) FAIL(error);
  return std::move(*model);
}

std::string message_of(NRT_STATUS status, const std::string& error) {
  CHECK(status == NRT_EXEC_BAD_INPUT);
  return error;
}

struct Outputs {
  std::vector<nrt::TensorPtr> tensors;
  Outputs() {
    for (int i = 0; i < 3; ++i) tensors.push_back(nrt::Model::empty());
  }
};

size_t count_of(const nrt::TensorPtr& list, int* has_value = nullptr) {
  size_t count = 99;
  CHECK(nrt_tensor_list_get_count(list.get(), &count, has_value) == NRT_SUCCESS);
  return count;
}

}  // namespace

TEST_CASE("sequences and optionals go through a model") {
  const nrt::Model model = lists_model();
  CHECK(model.inputs()[0].kind == NRT_VALUE_SEQUENCE);
  CHECK(model.inputs()[1].kind == NRT_VALUE_OPTIONAL_SEQUENCE);
  CHECK(model.outputs()[1].kind == NRT_VALUE_TENSOR);
  std::array<float, 6> data{1, 2, 3, 4, 5, 6};
  std::vector<nrt::TensorPtr> inputs;
  inputs.push_back(nrt::Model::list());
  REQUIRE(nrt::Model::append(inputs[0], nrt::Model::attach(data.data(), 16), {2, 2}) ==
          NRT_SUCCESS);
  REQUIRE(nrt::Model::append(inputs[0], nrt::Model::attach(data.data() + 4, 8), {1, 2}) ==
          NRT_SUCCESS);
  inputs.push_back(nrt::Model::list(/*has_value=*/false));
  const Outputs outputs;
  std::string error;
  // Twice: the second request replaces the lists of the first.
  for (int round = 0; round < 2; ++round) {
    REQUIRE(model.run_tensors(inputs, outputs.tensors, error) == NRT_SUCCESS);
    REQUIRE(count_of(outputs.tensors[0]) == 2);
    nrt_tensor_t* element = nullptr;
    REQUIRE(nrt_tensor_list_get(outputs.tensors[0].get(), 1, &element) == NRT_SUCCESS);
    const int64_t* dims = nullptr;
    uint32_t ndim = 0;
    REQUIRE(nrt_tensor_get_shape(element, &dims, &ndim) == NRT_SUCCESS);
    CHECK((ndim == 2 && dims[0] == 1 && dims[1] == 2));
    CHECK(static_cast<const float*>(nrt_tensor_get_va(element))[1] == 6);
    CHECK(*static_cast<const bool*>(nrt_tensor_get_va(outputs.tensors[1].get())) == false);
    int has_value = 9;
    CHECK(count_of(outputs.tensors[2], &has_value) == 0);
    CHECK(has_value == 0);
  }
  // An empty sequence is a value.
  inputs[1] = nrt::Model::list();
  REQUIRE(model.run_tensors(inputs, outputs.tensors, error) == NRT_SUCCESS);
  int has_value = 9;
  CHECK(count_of(outputs.tensors[2], &has_value) == 0);
  CHECK(has_value == 1);
}

TEST_CASE("lists that do not fit their input are refused") {
  const nrt::Model model = lists_model();
  std::array<float, 6> data{};
  const Outputs outputs;
  std::string error;
  const auto refused = [&](nrt::TensorPtr x) {
    std::vector<nrt::TensorPtr> inputs;
    inputs.push_back(std::move(x));
    inputs.push_back(nrt::Model::list());
    const NRT_STATUS status = model.run_tensors(inputs, outputs.tensors, error);
    return message_of(status, error);
  };
  CHECK(refused(nrt::Model::attach(data.data(), 16)) ==
        "input `x` is seq(f32[-1,2]), which takes a list: see nrt_tensor_list_clear");
  nrt::TensorPtr list = nrt::Model::list();
  nrt::Model::append(list, nrt::Model::attach(data.data(), 12), {1, 3});
  CHECK(refused(std::move(list)) == "input `x` is seq(f32[-1,2]), its element 0 is f32[1,3]");
  list = nrt::Model::list();
  nrt::Model::append(list, nrt::Model::attach(data.data(), 12), {2, 2});
  CHECK(refused(std::move(list)) == "input `x`: element 0 is f32[2,2], and has 12 bytes");
  // Extents whose product overflows.
  list = nrt::Model::list();
  nrt::Model::append(list, nrt::Model::attach(data.data(), 0), {int64_t{1} << 62, 2});
  CHECK(refused(std::move(list)).starts_with("input `x`: element 0 is f32[4611686018427387904,2]"));
  // A size without memory.
  nrt_tensor_t* element = nullptr;
  REQUIRE(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_VIRTUAL, 0, 8, "e", &element) == NRT_SUCCESS);
  const std::array<int64_t, 2> dims{1, 2};
  REQUIRE(nrt_tensor_set_shape(element, dims.data(), 2) == NRT_SUCCESS);
  list = nrt::Model::list();
  REQUIRE(nrt_tensor_list_append(list.get(), element) == NRT_SUCCESS);
  CHECK(refused(std::move(list)).starts_with("input `x`: the tensor has no memory"));
  nrt_tensor_free(&element);
}

TEST_CASE("lists are handles like others") {
  nrt::TensorPtr plain = nrt::Model::empty();
  size_t count = 0;
  CHECK(nrt_tensor_list_get_count(plain.get(), &count, nullptr) == NRT_INVALID);
  nrt::TensorPtr list = nrt::Model::list();
  nrt::TensorPtr inner = nrt::Model::list();
  nrt_tensor_t* element = nullptr;
  CHECK(nrt_tensor_list_append(list.get(), plain.get()) == NRT_INVALID);  // it has no shape
  CHECK(nrt_tensor_list_append(list.get(), inner.get()) == NRT_INVALID);
  CHECK(nrt_tensor_list_get(list.get(), 0, &element) == NRT_INVALID);
  const int64_t negative = -1;
  CHECK(nrt_tensor_set_shape(plain.get(), &negative, 1) == NRT_INVALID);
  std::array<float, 2> data{};
  REQUIRE(nrt::Model::append(list, nrt::Model::attach(data.data(), 8), {2}) == NRT_SUCCESS);
  REQUIRE(nrt_tensor_list_get(list.get(), 0, &element) == NRT_SUCCESS);
  CHECK(nrt_tensor_get_size(element) == 8);
  nrt_tensor_list_clear(list.get(), 1);
  CHECK(nrt_tensor_get_size(element) == 0);  // the element went with the list
  CHECK(nrt_tensor_get_va(element) == nullptr);
}
