// A server's loop with several requests in flight: reads requests from standard input, each the bytes
// of all inputs one after the other, and writes the outputs to standard output in the same order.
//
//   serve MODEL.neff [IN_FLIGHT] < requests > responses
//
// While one request is written out, later ones are on the cores already. Nothing is allocated behind
// the start: there are IN_FLIGHT slots, and request r uses slot r modulo IN_FLIGHT again and again.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nrt/nrt.hpp>

namespace {

struct Slot {
  std::vector<std::byte> inputs, outputs;
  std::vector<nrt::TensorPtr> tensors;
  nrt::TensorSetPtr input_set, output_set;
  std::atomic<int> status{-1};  // -1: on its way
};

void completed(void* user_data, NRT_STATUS status, const char* message) {
  if (status != NRT_SUCCESS) std::fprintf(stderr, "serve: %s\n", message);
  auto& slot = *static_cast<Slot*>(user_data);
  slot.status.store(status);
  slot.status.notify_one();
}

// Names pieces of `bytes` as the tensors of a set.
nrt::TensorSetPtr bind(const std::vector<nrt::TensorInfo>& infos, std::vector<std::byte>& bytes,
                       std::vector<nrt::TensorPtr>& tensors) {
  nrt_tensor_set_t* set = nullptr;
  nrt_allocate_tensor_set(&set);
  size_t size_bytes = 0;
  for (const nrt::TensorInfo& info : infos) size_bytes += info.size_bytes;
  bytes.resize(size_bytes);
  size_t offset = 0;
  for (const nrt::TensorInfo& info : infos) {
    tensors.push_back(nrt::Model::attach(bytes.data() + offset, info.size_bytes));
    nrt_add_tensor_to_tensor_set(set, info.name.c_str(), tensors.back().get());
    offset += info.size_bytes;
  }
  return nrt::TensorSetPtr(set);
}

bool start(const nrt::Model& model, Slot& slot) {
  slot.status = -1;
  const NRT_STATUS status = nrt_execute_async(model.handle(), slot.input_set.get(),
                                              slot.output_set.get(), completed, &slot);
  if (status != NRT_SUCCESS) std::fprintf(stderr, "serve: %s\n", nrt_get_last_message());
  return status == NRT_SUCCESS;
}

// Waits for the slot's request and writes its outputs.
bool finish(Slot& slot) {
  slot.status.wait(-1);
  if (slot.status != NRT_SUCCESS) return false;
  return std::fwrite(slot.outputs.data(), 1, slot.outputs.size(), stdout) == slot.outputs.size();
}

// Returns the number of requests; -1: one failed. Every request that was started has ended.
long serve(const nrt::Model& model, std::vector<Slot>& slots) {
  const size_t depth = slots.size();
  size_t started = 0, finished = 0;
  bool is_good = true;
  while (is_good) {
    Slot& slot = slots[started % depth];
    if (started - finished == depth) is_good = finish(slots[finished++ % depth]);
    const size_t got = std::fread(slot.inputs.data(), 1, slot.inputs.size(), stdin);
    if (got != slot.inputs.size()) {
      if (got > 0) std::fprintf(stderr, "serve: the last request is cut off\n");
      is_good = is_good && got == 0;
      break;
    }
    if (is_good && start(model, slot)) {
      ++started;
    } else {
      is_good = false;
    }
  }
  while (finished < started) is_good = finish(slots[finished++ % depth]) && is_good;
  return is_good ? static_cast<long>(started) : -1;
}

bool has_sizes(const nrt::Model& model) {
  size_t num_inputs = 0;
  for (const auto* infos : {&model.inputs(), &model.outputs()}) {
    for (const nrt::TensorInfo& info : *infos) {
      if (info.size_bytes == 0) return false;
      num_inputs += infos == &model.inputs() ? 1 : 0;
    }
  }
  return num_inputs > 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int depth = argc == 3 ? std::atoi(argv[2]) : 4;
  if (argc < 2 || argc > 3 || depth < 1) {
    std::fprintf(stderr, "usage: serve MODEL.neff [IN_FLIGHT] < requests > responses\n");
    return 2;
  }
  nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "");
  // They outlive the model: unloading waits for its completions.
  std::vector<Slot> slots(static_cast<size_t>(depth));
  std::string error;
  const auto model = nrt::Model::load_file(argv[1], error);
  if (!model || !has_sizes(*model)) {
    std::fprintf(stderr, "serve: %s\n", model ? "sizes are known only at run time" : error.c_str());
    return 1;
  }
  for (Slot& slot : slots) {
    slot.input_set = bind(model->inputs(), slot.inputs, slot.tensors);
    slot.output_set = bind(model->outputs(), slot.outputs, slot.tensors);
  }
  const long num_requests = serve(*model, slots);
  std::fprintf(stderr, "serve: %ld requests, %d in flight, on %u NeuronCores\n", num_requests,
               depth, model->num_cores());
  return num_requests < 0 ? 1 : 0;
}
