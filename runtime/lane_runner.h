// Runs one lane's program for one request after the other.
//
// A runner can give way: where it would have to wait it returns instead, to be called again. With
// that one thread runs all lanes of a one-core model in turns; lanes with a thread of their own
// wait in place.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "ir/tensor.h"
#include "runtime/host_evaluator.h"
#include "runtime/kernel_checker.h"
#include "runtime/memory.h"
#include "runtime/program.h"
#include "runtime/sync.h"

namespace neuronc::runtime {

// The caller's side of a request. Pointers may have any alignment; entries of tensors whose size
// is known only at run time (strings, data-dependent shapes) are null, and the host values count.
struct RequestIo {
  std::span<const std::byte* const> inputs;
  std::span<std::byte* const> outputs;
  // By input or output; empty if the model has none of this kind.
  std::span<const HostValue> host_inputs;
  std::span<HostValue> host_outputs;
};

struct Request {
  RequestIo io;
  uint64_t sequence = 0;
  Status status;  // of the step that failed first

  bool has_failed() const { return failed_.load(std::memory_order_acquire); }
  void fail(NRT_STATUS code, std::string message);
  void reset(const RequestIo& new_io, uint64_t new_sequence);

 private:
  std::mutex mutex_;
  std::atomic<bool> failed_{false};
};

// A channel between lanes. Counters count requests; slot r % depth belongs to request r.
struct ChannelState {
  std::byte* slots = nullptr;
  uint64_t stride_bytes = 0;
  uint32_t depth = 1;
  Counter sent;
  std::vector<std::unique_ptr<Counter>> released;  // one per consumer
};

// What the lanes of a model share.
struct ModelState {
  const plan::Plan* plan = nullptr;
  std::vector<std::unique_ptr<ChannelState>> channels;
  Counter barrier_arrivals;
  uint32_t num_core_lanes = 0;
  HostEvaluator* evaluator = nullptr;
  KernelChecker* checker = nullptr;  // runs kernels instead of their code, if there is one
};

enum class WaitMode : uint8_t { give_way, in_place };

class LaneRunner {
 public:
  // `core` is the lane's turn on its NeuronCore, given up while it waits; null for the host.
  LaneRunner(ModelState& model, size_t lane, LaneProgram program, TurnLock* core);

  // Runs the init list; errors: NRT_EXEC_COMPLETED_WITH_ERR.
  Result<Done> run_init();

  // Points the program at a request, whose sequence follows that of the last one.
  void begin(Request& request);
  // Runs on; true when the request is done on this lane. With WaitMode::in_place it always is.
  bool run(WaitMode mode);

 private:
  bool run_entry_step(const ProgramStep& step, WaitMode mode);
  void run_plain_step(const ProgramStep& step);
  void run_block(uint32_t block);
  void run_kernel(const ProgramStep& step);
  int32_t run_checked_kernel(const ProgramStep& step);
  void run_host_node(const ProgramStep& step);
  Result<std::vector<HostValue>> evaluate(const ProgramStep& step);
  bool is_sized_at_run_time(const plan::BufferRef& ref) const;
  HostValue load_operand(const plan::HostOperand& operand, const plan::KernelBuffer& buffer) const;
  void store_result(const plan::HostOperand& target, const plan::KernelBuffer& buffer,
                    HostValue value);
  void run_loop(const ProgramStep& step);
  bool wait(const Counter& counter, uint64_t target, WaitMode mode);
  bool wait_for_slot(const ChannelState& channel, WaitMode mode);
  bool wait_at_barrier(WaitMode mode);
  void apply(const Patch& patch, uint64_t sequence);
  Counter& my_released(uint32_t channel);

  ModelState& model_;
  size_t lane_;
  LaneProgram program_;
  TurnLock* core_;
  Request* request_ = nullptr;
  size_t next_step_ = 0;
  uint64_t num_barriers_ = 0;
  bool has_arrived_ = false;
  std::vector<HostValue> slots_;
};

}  // namespace neuronc::runtime
