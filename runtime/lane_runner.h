// Runs one lane's program for one request after the other.
//
// A runner gives way: where it would have to wait it returns instead, to be called again. With that
// one thread runs all lanes of a one-core model in turns, and a core's worker the lanes of several
// models.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "ir/tensor.h"
#include "ir/tensor_pool.h"
#include "runtime/host_evaluator.h"
#include "runtime/kernel_checker.h"
#include "runtime/memory.h"
#include "runtime/profile.h"
#include "runtime/program.h"
#include "runtime/sync.h"
#include "runtime/worker.h"

namespace neuronc::runtime {

// The caller's side of a request. Pointers may have any alignment; entries of tensors whose size
// is known only at run time (strings, data-dependent shapes) are null, and the host values count.
struct RequestIo {
  std::span<const std::byte* const> inputs;
  std::span<std::byte* const> outputs;
  // By input or output; empty if the model has none of this kind.
  std::span<const HostValue> host_inputs;
  std::span<HostValue> host_outputs;
  // May be null: which kernel wrote an element first that is not finite, if a checker looks for it.
  std::string* first_non_finite = nullptr;
};

struct Request {
  RequestIo io;
  uint64_t sequence = 0;
  Status status;  // of the step that failed first
  // Who is told how long its steps take; null but for models that are being profiled.
  std::shared_ptr<Profile> profile;
  uint32_t profile_number = 0;

  bool has_failed() const { return failed_.load(std::memory_order_acquire); }
  void fail(NRT_STATUS code, std::string message);
  void note_non_finite(const std::string& where);
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
  std::vector<std::unique_ptr<Counter>> sent;      // one per producer
  std::vector<std::unique_ptr<Counter>> released;  // one per consumer
};

// Where the lanes of a team meet. Lanes that have given up spinning count as sleepers: only for
// them does the last one to arrive send signals.
struct TeamState {
  Counter arrivals;
  alignas(64) std::atomic<uint32_t> num_sleepers{0};
};

// What the lanes of a model share.
struct ModelState {
  const plan::Plan* plan = nullptr;
  std::vector<std::unique_ptr<ChannelState>> channels;
  std::vector<std::unique_ptr<TeamState>> teams;
  HostEvaluator* evaluator = nullptr;
  KernelChecker* checker = nullptr;  // runs kernels instead of their code, if there is one
  TensorPool* pool = nullptr;        // of the evaluator's results
  // By lane: whom to signal when something may have happened that it waits for; empty where one
  // thread runs all lanes.
  std::vector<Worker*> workers;
  bool lanes_share_workers = false;  // then no lane may keep its worker from the others

  void signal(size_t lane) const {
    if (!workers.empty()) workers[lane]->signal();
  }
};

class LaneRunner {
 public:
  LaneRunner(ModelState& model, size_t lane, LaneProgram program);

  // Points the program at a request, whose sequence follows that of the last one.
  void begin(Request& request);
  // Runs on; true when the request is done on this lane, false where it would have to wait.
  bool run();
  // Where the lane is, from any thread: "core 2, step 7 of 40, kernel `conv_1`".
  std::string describe_position() const;

 private:
  bool run_profiled();
  bool run_entry_step(const ProgramStep& step);
  void run_plain_step(const ProgramStep& step);
  void run_block(uint32_t block);
  void run_kernel(const ProgramStep& step);
  int32_t run_checked_kernel(const ProgramStep& step);
  void run_host_node(const ProgramStep& step);
  Result<std::vector<HostValue>> evaluate(const ProgramStep& step);
  void own_results(const plan::RunHostNode& node, std::span<const HostValue> operands,
                   std::vector<HostValue>& results) const;
  bool is_sized_at_run_time(const plan::BufferRef& ref) const;
  HostValue load_operand(const plan::HostOperand& operand, const plan::KernelBuffer& buffer) const;
  void store_result(const plan::HostOperand& target, const plan::KernelBuffer& buffer,
                    HostValue value);
  void run_loop(const ProgramStep& step);
  bool holds(uint32_t buffer) const;
  void move_buffers(const ProgramStep& step, int64_t trips);
  void send(uint32_t channel);
  void release(uint32_t channel);
  bool is_slot_free(const ChannelState& channel) const;
  bool is_sent(const ChannelState& channel) const;
  bool pass_barrier(uint32_t team);
  void apply(const Patch& patch, uint64_t sequence);
  static size_t position(const std::vector<plan::LaneId>& lanes, size_t lane);

  ModelState& model_;
  size_t lane_;
  LaneProgram program_;
  Request* request_ = nullptr;
  std::atomic<uint32_t> next_step_{0};
  uint64_t num_barriers_ = 0;
  bool has_arrived_ = false;  // at the barrier where the lane stands
  bool is_sleeper_ = false;
  std::vector<HostValue> slots_;
  // Of a profiled request.
  std::vector<StepRecord> records_;
  int64_t step_begin_ns_ = 0;
};

}  // namespace neuronc::runtime
