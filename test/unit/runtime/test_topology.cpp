// Processors and nodes: what is read of the system, workers that stay in their places, weights by node.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "runtime/executor.h"
#include "test/unit/runtime/fixtures.h"

namespace neuronc::test {
namespace {

using runtime::Topology;

// The system's folder as it would be with these lists of processors by node.
class FakeNodes {
 public:
  explicit FakeNodes(const std::vector<std::string>& lists)
      : path_("/tmp/neuronc_nodes_" + std::to_string(getpid())) {
    std::filesystem::create_directories(path_);
    std::ofstream(path_ + "/online") << "0-" << lists.size() - 1 << "\n";
    for (size_t i = 0; i < lists.size(); ++i) {
      const std::string node = path_ + "/node" + std::to_string(i);
      std::filesystem::create_directories(node);
      std::ofstream(node + "/cpulist") << lists[i] << "\n";
    }
  }
  ~FakeNodes() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<int> affinity_of(pid_t thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  REQUIRE(sched_getaffinity(thread, sizeof(set), &set) == 0);
  std::vector<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(static_cast<size_t>(i), &set)) processors.push_back(i);
  }
  return processors;
}

// The workers of cores that have come since this was made: other tests' may live as long as the process.
class NewWorkers {
 public:
  NewWorkers() : old_(all()) {}

  std::vector<pid_t> of_core(uint32_t core) const {
    std::vector<pid_t> threads;
    for (const auto& [thread, name] : all()) {
      if (name == "nrt core " + std::to_string(core) && !old_.contains(thread)) {
        threads.push_back(thread);
      }
    }
    return threads;
  }

 private:
  static std::map<pid_t, std::string> all() {
    std::map<pid_t, std::string> threads;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream file(entry.path() / "comm");
      std::getline(file, threads[std::stoi(entry.path().filename())]);
    }
    return threads;
  }

  std::map<pid_t, std::string> old_;
};

// Whether the plan kFourCores gives what it should; called by several threads.
bool runs_four_cores(runtime::Executor& executor) {
  const float x[4] = {1, 2, 3, 4};
  float y[4] = {};
  float x2[4] = {};
  const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(x)};
  std::byte* outputs[] = {reinterpret_cast<std::byte*>(y), reinterpret_cast<std::byte*>(x2)};
  runtime::RequestIo io;
  io.inputs = inputs;
  io.outputs = outputs;
  if (!executor.run(io)) return false;
  return std::equal(x, x + 4, y, [](float a, float b) { return a + 4 == b; });
}

int32_t check_kernel(const plan::KernelBuffer* buffers, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(static_cast<const void*>(buffers[0].data));
  auto* y = static_cast<float*>(static_cast<void*>(buffers[1].data));
  for (int64_t i = begin; i < end; ++i) y[i] = x[i];
  return plan::kKernelOk;
}

int32_t add_kernel(const plan::KernelBuffer* buffers, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(static_cast<const void*>(buffers[0].data));
  const auto* one = static_cast<const float*>(static_cast<const void*>(buffers[1].data));
  auto* y = static_cast<float*>(static_cast<void*>(buffers[2].data));
  for (int64_t i = begin; i < end; ++i) y[i] = x[i] + *one;
  return plan::kKernelOk;
}

plan::KernelFunction resolve(std::string_view symbol) {
  return symbol == "check" ? check_kernel : add_kernel;
}

}  // namespace

TEST_CASE("the topology is that of the processors that the process may use", "[topology]") {
  const std::vector<int> usable = affinity_of(0);
  const Topology topology = Topology::read();
  REQUIRE(topology.processors.size() == usable.size());
  for (size_t i = 0; i < usable.size(); ++i) CHECK(topology.processors[i].id == usable[i]);
  CHECK(topology.num_nodes() >= 1);
  CHECK(topology.of_core(static_cast<uint32_t>(usable.size())) == nullptr);
  // The last processor alone is on node 1.
  const std::string last = std::to_string(usable.back());
  const std::string others = usable.back() == 0 ? "4000" : "0-" + std::to_string(usable.back() - 1);
  const FakeNodes nodes({others, last + ",5000-5003"});
  const Topology fake = Topology::read(nodes.path());
  CHECK(fake.processors.back().node == 1);
  CHECK(fake.num_nodes() == (usable.size() > 1 ? 2 : 1));
  CHECK(Topology::read("/no/such/folder").num_nodes() == 1);
  const FakeNodes broken({"0-", "9-1,x", "-3", ""});
  CHECK(Topology::read(broken.path()).processors.size() == usable.size());
}

TEST_CASE("workers stay on the processors of their cores, and others go where they like",
          "[topology]") {
  const Topology topology = Topology::read();
  const auto num_processors = static_cast<uint32_t>(topology.processors.size());
  const NewWorkers workers;
  runtime::Cores cores({0, num_processors});
  cores.pin(topology);
  const auto assigned = cores.assign(0, 2);
  REQUIRE(assigned);
  REQUIRE((*assigned)[0]->worker());
  REQUIRE((*assigned)[1]->worker());
  const std::vector<pid_t> first = workers.of_core(0);
  REQUIRE(first.size() == 1);
  CHECK(affinity_of(first[0]) == std::vector<int>{topology.processors[0].id});
  const std::vector<pid_t> second = workers.of_core(num_processors);
  REQUIRE(second.size() == 1);
  CHECK(affinity_of(second[0]) == affinity_of(0));
  cores.release(*assigned);
}

TEST_CASE("NEURON_RT_PIN and named cores decide whether workers stay", "[topology]") {
  const auto is_pinned = [] {
    const NewWorkers workers;
    auto cores = runtime::Cores::from_environment();
    REQUIRE(cores);
    const auto assigned = (*cores)->assign(0, 1);
    REQUIRE((*assigned)[0]->worker());
    const std::vector<pid_t> threads = workers.of_core(0);
    REQUIRE(threads.size() == 1);
    const bool result = affinity_of(threads[0]).size() == 1;
    (*cores)->release(*assigned);
    return result;
  };
  if (affinity_of(0).size() == 1) return;  // then every thread stays
  CHECK_FALSE(is_pinned());
  setenv("NEURON_RT_PIN", "1", 1);
  CHECK(is_pinned());
  setenv("NEURON_RT_VISIBLE_CORES", "0-1", 1);
  setenv("NEURON_RT_PIN", "0", 1);
  CHECK_FALSE(is_pinned());
  unsetenv("NEURON_RT_PIN");
  CHECK(is_pinned());
  setenv("NEURON_RT_PIN", "maybe", 1);
  CHECK_FALSE(runtime::Cores::from_environment());
  unsetenv("NEURON_RT_PIN");
  unsetenv("NEURON_RT_VISIBLE_CORES");
}

TEST_CASE("with fewer processors than cores lanes share workers, in turns", "[topology]") {
  const plan::Plan plan = parsed_plan(kFourCores);
  for (const uint32_t num_processors : {1U, 2U, 3U, 4U, 9U}) {
    const NewWorkers workers;
    runtime::Cores cores({0, 1, 2, 3});
    runtime::ExecutorOptions options;
    options.cores = &cores;
    options.num_processors = num_processors;
    const auto assigned = cores.assign(0, 4);
    REQUIRE(assigned);
    options.assigned = *assigned;
    auto executor = runtime::Executor::create(plan, one_bytes().data(), resolve, options);
    REQUIRE(executor);
    size_t num_threads = 0;
    for (uint32_t core = 0; core < 4; ++core) num_threads += workers.of_core(core).size();
    CHECK(num_threads == std::min<size_t>(num_processors, 4));
    std::vector<std::thread> clients;
    std::atomic<int> num_good{0};
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back([&] {
        for (int request = 0; request < 50; ++request)
          num_good += runs_four_cores(**executor) ? 1 : 0;
      });
    }
    for (std::thread& client : clients) client.join();
    CHECK(num_good == 150);
  }
}

TEST_CASE("each node has a copy of the weights that its lanes read", "[topology]") {
  const plan::Plan plan = parsed_plan(kFourCores);
  // Cores 0 and 1 on one node, 2 and 3 on another; the machine need not have them.
  Topology topology;
  const int here = affinity_of(0)[0];
  topology.processors = {{here, 0}, {here, 0}, {here, 1}, {here, 1}};
  runtime::Cores cores({0, 1, 2, 3});
  cores.pin(topology);
  runtime::ExecutorOptions options;
  options.cores = &cores;
  const auto assigned = cores.assign(0, 4);
  REQUIRE(assigned);
  options.assigned = *assigned;
  auto executor = runtime::Executor::create(plan, one_bytes().data(), resolve, options);
  REQUIRE(executor);
  CHECK(runs_four_cores(**executor));
  runtime::ExecutorOptions plain;
  auto other = runtime::Executor::create(plan, one_bytes().data(), resolve, plain);
  REQUIRE(other);
  // Two nodes read the constant of four bytes.
  CHECK((*executor)->memory_bytes() == (*other)->memory_bytes() + 8);
  CHECK(runs_four_cores(**other));
}

}  // namespace neuronc::test
