// The C API's execution.
#include <cstdlib>

#include "ir/base/command.h"
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {
namespace {

NRT_STATUS check_file(const nrt_model& model) {
  if (!model.model->image().is_file_changed()) return NRT_SUCCESS;
  return report(NRT_INVALID,
                "the NEFF's file was changed while the model was loaded; unload it and load it "
                "again (replace files by renaming new ones, or set NEURON_RT_LOAD=copy)");
}

// What is left to do when a request has ended well.
Result<Done> finish(const ModelInUse& model, BoundRequest& request) {
  NEURONC_TRY(request.store_outputs(model.plan()));
  if (model->numerics == NumericsCheck::none) return Done{};
  return request.check_numerics(model.plan(), model->numerics);
}

// Binds the sets and runs `run(model, request)`, which gives a Result<Done>.
template <class Run>
NRT_STATUS execute(const nrt_model_t* handle, const nrt_tensor_set_t* input_set,
                   nrt_tensor_set_t* output_set, const Run& run) {
  return guarded([&]() -> NRT_STATUS {
    const ModelInUse model(handle);
    if (!model) return model.status();
    if (!check_tensors_of(input_set) || !check_tensors_of(output_set)) return NRT_INVALID_HANDLE;
    if (const NRT_STATUS status = check_file(*model); status != NRT_SUCCESS) return status;
    auto request = BoundRequest::bind(model.plan(), *input_set, *output_set);
    if (!request) return report(request.error());
    model->model->published().show_tensor_bytes(tensor_bytes());
    const auto run_bound = [&]() -> Result<Done> {
      if (Result<Done> done = run(model, *request); !done) return done;
      return finish(model, *request);
    };
    const Result<Done> done = model->needs_room ? with_room(kRoomBytes, run_bound) : run_bound();
    return done ? NRT_SUCCESS : report(done.error());
  });
}

// An asynchronous request and what keeps its model loaded.
struct AsyncRequest {
  ModelInUse model;
  HeldTensors tensors;
  BoundRequest request;
  nrt_completion_t completion;
  void* user_data;

  void complete(Status status) {
    if (status.code == NRT_SUCCESS) {
      Result<Done> done = Done{};
      const NRT_STATUS code = guarded([&] {
        done = finish(model, request);
        return NRT_SUCCESS;
      });
      if (code != NRT_SUCCESS) status = {code, reported_message()};
      if (!done) status = done.error();
    }
    // The caller may free tensors and unload the model from here.
    tensors.release();
    {
      const ModelInUse released = std::move(model);
    }
    completion(user_data, status.code, status.message.c_str());
  }
};

}  // namespace
}  // namespace neuronc::runtime

using namespace neuronc::runtime;  // NOLINT: the API's functions are this file

extern "C" {

NRT_STATUS nrt_execute(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                       nrt_tensor_set_t* output_set) {
  return execute(model, input_set, output_set, [](const ModelInUse& in_use, BoundRequest& request) {
    return in_use->choose_executor().run(request.io());
  });
}

NRT_STATUS nrt_execute_repeat(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                              nrt_tensor_set_t* output_set, int repeat_count) {
  if (repeat_count < 0) return report(NRT_INVALID, "`repeat_count` is negative");
  for (int i = 0; i < repeat_count; ++i) {
    const NRT_STATUS status = nrt_execute(model, input_set, output_set);
    if (status != NRT_SUCCESS) return status;
  }
  return NRT_SUCCESS;
}

NRT_STATUS nrt_execute_timeout(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                               nrt_tensor_set_t* output_set, uint64_t timeout_ns) {
  constexpr uint64_t kLongest = uint64_t{1} << 62;
  const Deadline deadline =
      Clock::now() + std::chrono::nanoseconds(timeout_ns < kLongest ? timeout_ns : 0);
  if (timeout_ns >= kLongest) return nrt_execute(model, input_set, output_set);
  return execute(model, input_set, output_set,
                 [&](const ModelInUse& in_use, BoundRequest& bound) -> Result<Done> {
                   auto request = std::make_unique<BoundRequest>(std::move(bound));
                   auto done = in_use->choose_executor().run_until(request->io(), deadline);
                   if (!done && done.error().code == NRT_EXEC_UNIT_UNRECOVERABLE) {
                     request.release();  // the request that does not end still uses it
                     auto tensors = std::make_unique<HeldTensors>();
                     tensors->hold(input_set);
                     tensors->hold(output_set);
                     tensors.release();
                     return done;
                   }
                   bound = std::move(*request);
                   return done;
                 });
}

NRT_STATUS nrt_execute_async(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                             nrt_tensor_set_t* output_set, nrt_completion_t completion,
                             void* user_data) {
  return guarded([&]() -> NRT_STATUS {
    if (completion == nullptr) return report(NRT_INVALID, "`completion` is null");
    ModelInUse in_use(model);
    if (!in_use) return in_use.status();
    HeldTensors tensors;
    if (!tensors.hold(input_set) || !tensors.hold(output_set)) return NRT_INVALID_HANDLE;
    if (const NRT_STATUS status = check_file(*in_use); status != NRT_SUCCESS) return status;
    auto bound = BoundRequest::bind(in_use.plan(), *input_set, *output_set);
    if (!bound) return report(bound.error());
    in_use->model->published().show_tensor_bytes(tensor_bytes());
    Executor& executor = in_use->choose_executor();
    // The completion may unload the model before `submit` has returned.
    const ModelInUse stays(model);
    if (!stays) return stays.status();
    std::shared_ptr<AsyncRequest> request(new AsyncRequest{
        std::move(in_use), std::move(tensors), std::move(*bound), completion, user_data});
    const auto done = executor.submit(
        request->request.io(), [request](const Status& status) { request->complete(status); });
    return done ? NRT_SUCCESS : report(done.error());
  });
}

}  // extern "C"
