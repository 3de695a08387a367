// What the files of the C API share: the objects behind the handles, and how errors leave.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/include/nrt/nrt.h"
#include "runtime/model.h"

struct nrt_model {
  std::unique_ptr<neuronc::runtime::Model> model;
  std::shared_mutex in_use;  // shared by requests; unloading takes it alone
};

struct nrt_tensor {
  std::string name;
  std::byte* data = nullptr;
  size_t size_bytes = 0;
  std::shared_ptr<std::byte> owner;  // null: the caller's memory, or none
  std::vector<int64_t> shape;        // given by an execution
  bool has_shape = false;
};

struct nrt_tensor_set {
  std::map<std::string, nrt_tensor*, std::less<>> tensors;
};

namespace neuronc::runtime {

// Keeps the message for nrt_get_last_message and gives the code.
NRT_STATUS report(const Status& status);
NRT_STATUS report(NRT_STATUS code, std::string message);

// NRT_SUCCESS between nrt_init and nrt_close; reports otherwise.
NRT_STATUS check_ready();

// Runs `body`, which returns an NRT_STATUS; nothing thrown inside leaves the C API.
template <class Body>
NRT_STATUS guarded(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return report(NRT_FAIL_HOST_MEM_ALLOC, "out of memory");
  } catch (const std::exception& exception) {
    return report(NRT_FAILURE, exception.what());
  }
}

// The tensors and sets that exist, so that a handle that was destroyed is refused.
void add_handle(const void* handle);
bool remove_handle(const void* handle);  // false: there is no such handle

// Report NRT_INVALID_HANDLE and give false if the handle is null or was destroyed; the set's
// tensors are looked at too.
bool check_tensor(const nrt_tensor* tensor, std::string_view what = "tensor");
bool check_set(const nrt_tensor_set* set);
bool check_tensors_of(const nrt_tensor_set* set);

// Gives the tensor zeroed memory of its own, 64-byte aligned; false if there is none.
bool allocate_tensor(nrt_tensor& tensor, size_t size_bytes);

// The tensors of one request, checked against the model's signature.
class BoundRequest {
 public:
  // Errors: NRT_EXEC_BAD_INPUT with the tensor's name.
  static Result<BoundRequest> bind(const plan::Plan& plan, const nrt_tensor_set& inputs,
                                   const nrt_tensor_set& outputs);
  RequestIo io();
  // Gives outputs their shapes, and those sized at run time their bytes.
  Result<Done> store_outputs(const plan::Plan& plan);

 private:
  std::vector<const std::byte*> inputs_;
  std::vector<std::byte*> outputs_;
  std::vector<HostValue> host_inputs_;
  std::vector<HostValue> host_outputs_;
  std::vector<nrt_tensor*> output_tensors_;
};

}  // namespace neuronc::runtime
