// Counting, naming and handing out logical cores.
#include "runtime/cores.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <system_error>
#include <thread>

namespace neuronc::runtime {
namespace {

constexpr uint32_t kMinCores = 16;
constexpr uint32_t kMaxCores = 1024;

// A decimal number that is all of `text`; false otherwise.
bool parse_number(std::string_view text, uint32_t& value) {
  const auto [end, errc] = std::from_chars(text.data(), text.data() + text.size(), value);
  return errc == std::errc() && end == text.data() + text.size();
}

std::vector<uint32_t> first_cores(uint32_t count) {
  std::vector<uint32_t> ids(count);
  for (uint32_t i = 0; i < count; ++i) ids[i] = i;
  return ids;
}

}  // namespace

uint32_t total_cores() {
  const uint32_t processors = std::thread::hardware_concurrency();
  const uint32_t rounded = (processors + kCoresPerChip - 1) / kCoresPerChip * kCoresPerChip;
  return std::clamp(rounded, kMinCores, kMaxCores);
}

Result<std::vector<uint32_t>> parse_visible_cores(std::string_view text, uint32_t total) {
  std::vector<uint32_t> ids;
  const std::string_view whole = text;
  while (true) {
    const std::string_view part = text.substr(0, text.find(','));
    const size_t dash = part.find('-');
    uint32_t first = 0;
    uint32_t last = 0;
    const bool is_good =
        parse_number(part.substr(0, dash), first) &&
        parse_number(dash == std::string_view::npos ? part : part.substr(dash + 1), last);
    if (!is_good || first > last || last >= total) {
      return fail(NRT_INVALID,
                  "NEURON_RT_VISIBLE_CORES=`{}`: `{}` is not a core or range of cores below {}",
                  whole, part, total);
    }
    for (uint32_t id = first; id <= last; ++id) {
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) {
        return fail(NRT_INVALID, "NEURON_RT_VISIBLE_CORES=`{}`: core {} is there twice", whole, id);
      }
      ids.push_back(id);
    }
    if (part.size() == text.size()) return ids;
    text.remove_prefix(part.size() + 1);
  }
}

namespace {

// The visible cores as the environment says.
Result<std::unique_ptr<Cores>> visible_cores() {
  const char* visible = std::getenv("NEURON_RT_VISIBLE_CORES");
  const char* number = std::getenv("NEURON_RT_NUM_CORES");
  if (visible != nullptr && *visible != 0) {
    NEURONC_ASSIGN(std::vector<uint32_t> ids, parse_visible_cores(visible, total_cores()));
    return std::make_unique<Cores>(std::move(ids));
  }
  uint32_t count = total_cores();
  if (number != nullptr && *number != 0) {
    // More than the host stands for are granted: they give the same bits, only slower.
    if (!parse_number(number, count) || count < 1 || count > kMaxCores) {
      return fail(NRT_INVALID, "NEURON_RT_NUM_CORES=`{}` is not a number from 1 to {}", number,
                  kMaxCores);
    }
  }
  return std::make_unique<Cores>(first_cores(count));
}

Result<bool> wants_pins() {
  const char* visible = std::getenv("NEURON_RT_VISIBLE_CORES");
  const char* value = std::getenv("NEURON_RT_PIN");
  const std::string_view pin = value == nullptr ? "" : value;
  if (pin.empty()) return visible != nullptr && *visible != 0;
  if (pin == "0" || pin == "1") return pin == "1";
  return fail(NRT_INVALID, "NEURON_RT_PIN=`{}` is not 0 or 1", pin);
}

}  // namespace

Result<std::unique_ptr<Cores>> Cores::from_environment() {
  NEURONC_ASSIGN(std::unique_ptr<Cores> cores, visible_cores());
  NEURONC_ASSIGN(const bool is_pinned, wants_pins());
  if (is_pinned) cores->pin(Topology::read());
  return cores;
}

void Cores::pin(const Topology& topology) {
  topology_ = topology;
  const bool has_nodes = topology.num_nodes() > 1;
  for (const std::unique_ptr<Core>& core : cores_) {
    const Processor* processor = topology.of_core(core->id_);
    core->processor_ = processor == nullptr ? -1 : processor->id;
    core->node_ = processor != nullptr && has_nodes ? processor->node : -1;
  }
}

std::shared_ptr<Cores> Cores::remade() const {
  auto cores = std::make_shared<Cores>(ids());
  cores->pin(topology_);
  return cores;
}

namespace {

// `processor` -1: it runs anywhere.
Result<Worker*> start_once(std::unique_ptr<Worker>& worker, const std::string& name, TurnLock& turn,
                           int processor, Worker::BusyCounter count_busy) {
  if (worker != nullptr) return worker.get();
  try {
    worker = std::make_unique<Worker>(name, turn, std::move(count_busy));
    if (processor >= 0) worker->pin(processor);
  } catch (const std::system_error& error) {
    return fail(NRT_RESOURCE, "cannot start the thread `{}`: {}", name, error.what());
  }
  return worker.get();
}

}  // namespace

Result<Worker*> Core::worker() {
  const std::lock_guard lock(mutex_);
  return start_once(worker_, fmt::format("nrt core {}", id_), turn_, processor_,
                    [this](int64_t time_ns) { add_busy_ns(time_ns); });
}

Result<Worker*> Core::host_worker() {
  const std::lock_guard lock(mutex_);
  return start_once(host_worker_, fmt::format("nrt host {}", id_), host_turn_, -1, nullptr);
}

Cores::Cores(std::vector<uint32_t> ids) {
  for (uint32_t id : ids) cores_.push_back(std::make_unique<Core>(id));
}

std::shared_ptr<Publication> Cores::publish() {
  const std::lock_guard lock(mutex_);
  if (publication_ != nullptr) return publication_;
  publication_ = std::make_shared<Publication>(static_cast<uint32_t>(cores_.size()));
  for (const std::unique_ptr<Core>& core : cores_) {
    if (core->id_ >= kUsageCores) continue;
    core->busy_ns_.store(&publication_->segment().busy_ns[core->id_], std::memory_order_relaxed);
  }
  return publication_;
}

std::shared_ptr<Publication> Cores::publication() const {
  const std::lock_guard lock(mutex_);
  return publication_;
}

Result<Completions*> Cores::completions() {
  const std::lock_guard lock(mutex_);
  try {
    if (completions_ == nullptr) completions_ = std::make_unique<Completions>();
  } catch (const std::system_error& error) {
    return fail(NRT_RESOURCE, "cannot start a thread for completions: {}", error.what());
  }
  return completions_.get();
}

std::vector<uint32_t> Cores::ids() const {
  std::vector<uint32_t> ids;
  for (const std::unique_ptr<Core>& core : cores_) ids.push_back(core->id());
  return ids;
}

Result<std::vector<Core*>> Cores::assign(int32_t start, uint32_t count) {
  const std::lock_guard lock(mutex_);
  if (count > num_visible() ||
      (start >= 0 && static_cast<uint32_t>(start) > num_visible() - count)) {
    return fail(NRT_LOAD_NOT_ENOUGH_NC,
                "the model needs {} NeuronCores from core {}, and {} are visible; see "
                "NEURON_RT_NUM_CORES, or compile with a smaller --num-neuroncores",
                count, std::max(start, 0), num_visible());
  }
  auto best = static_cast<uint32_t>(std::max(start, 0));
  uint64_t best_load = UINT64_MAX;
  for (uint32_t first = 0; start < 0 && first + count <= num_visible(); ++first) {
    uint64_t load = 0;
    for (uint32_t i = 0; i < count; ++i) load += cores_[first + i]->num_models_;
    if (load < best_load) {
      best_load = load;
      best = first;
    }
  }
  std::vector<Core*> result;
  for (uint32_t i = 0; i < count; ++i) {
    ++cores_[best + i]->num_models_;
    result.push_back(cores_[best + i].get());
  }
  return result;
}

void Cores::release(const std::vector<Core*>& cores) {
  const std::lock_guard lock(mutex_);
  for (Core* core : cores) --core->num_models_;
}

}  // namespace neuronc::runtime
