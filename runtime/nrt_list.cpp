// The C API's lists: the values of sequences and optionals.
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {
namespace {

// Reports and gives false if the handle holds no list.
bool check_list(const nrt_tensor_t* list) {
  if (!check_tensor(list, "list")) return false;
  if (list->is_list) return true;
  report(NRT_INVALID,
         fmt::format("tensor `{}` holds no list: see nrt_tensor_list_clear", list->name));
  return false;
}

}  // namespace

void clear_list(nrt_tensor& list, bool has_value) {
  for (nrt_tensor* element : list.elements) nrt_tensor_free(&element);
  list.elements.clear();
  list.is_list = true;
  list.has_value = has_value;
  list.owner.reset();
  list.data = nullptr;
  list.size_bytes = 0;
  list.has_shape = false;
}

nrt_tensor& add_element(nrt_tensor& list) {
  list.elements.reserve(list.elements.size() + 1);
  nrt_tensor_t* element = nullptr;
  if (nrt_tensor_allocate_empty("", &element) != NRT_SUCCESS) throw std::bad_alloc();
  list.elements.push_back(element);
  return *element;
}

}  // namespace neuronc::runtime

using namespace neuronc::runtime;  // NOLINT: the API's functions are this file

extern "C" {

NRT_STATUS nrt_tensor_list_clear(nrt_tensor_t* list, int has_value) {
  if (!check_tensor(list, "list")) return NRT_INVALID_HANDLE;
  clear_list(*list, has_value != 0);
  return NRT_SUCCESS;
}

NRT_STATUS nrt_tensor_list_append(nrt_tensor_t* list, const nrt_tensor_t* element) {
  return guarded([&]() -> NRT_STATUS {
    if (!check_tensor(list, "list") || !check_tensor(element, "element")) return NRT_INVALID_HANDLE;
    if (!check_list(list)) return NRT_INVALID;
    if (element->is_list) return report(NRT_INVALID, "a list holds tensors, not lists");
    if (!element->has_shape) {
      return report(NRT_INVALID,
                    fmt::format("tensor `{}` has no shape, which an element needs: see "
                                "nrt_tensor_set_shape",
                                element->name));
    }
    nrt_tensor& added = add_element(*list);
    added.name = element->name;
    added.data = element->data;
    added.size_bytes = element->size_bytes;
    added.owner = element->owner;
    added.shape = element->shape;
    added.has_shape = true;
    list->has_value = true;
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_tensor_list_get_count(const nrt_tensor_t* list, size_t* count, int* has_value) {
  return guarded([&]() -> NRT_STATUS {
    if (!check_tensor(list, "list")) return NRT_INVALID_HANDLE;
    if (count == nullptr) return report(NRT_INVALID, "`count` is null");
    if (!check_list(list)) return NRT_INVALID;
    *count = list->elements.size();
    if (has_value != nullptr) *has_value = list->has_value ? 1 : 0;
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_tensor_list_get(const nrt_tensor_t* list, size_t index, nrt_tensor_t** element) {
  return guarded([&]() -> NRT_STATUS {
    if (!check_tensor(list, "list")) return NRT_INVALID_HANDLE;
    if (element == nullptr) return report(NRT_INVALID, "`element` is null");
    if (!check_list(list)) return NRT_INVALID;
    if (index >= list->elements.size()) {
      return report(NRT_INVALID, fmt::format("list `{}` has {} elements, not one of index {}",
                                             list->name, list->elements.size(), index));
    }
    *element = list->elements[index];
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_tensor_set_shape(nrt_tensor_t* tensor, const int64_t* dims, uint32_t ndim) {
  return guarded([&]() -> NRT_STATUS {
    if (!check_tensor(tensor)) return NRT_INVALID_HANDLE;
    if (dims == nullptr && ndim > 0) return report(NRT_INVALID, "`dims` is null");
    for (uint32_t i = 0; i < ndim; ++i) {
      if (dims[i] < 0) return report(NRT_INVALID, fmt::format("dim {} is {}", i, dims[i]));
    }
    tensor->shape.assign(dims, dims + ndim);
    tensor->has_shape = true;
    return NRT_SUCCESS;
  });
}

}  // extern "C"
