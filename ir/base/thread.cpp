// Implements thread.h.
#include "ir/base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "ir/base/check.h"

namespace neuronc {
namespace {

// Blocks signals while it lives; a thread that starts meanwhile inherits the mask.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t saved_;
};

// The quota in processors that the files of a control group state; infinity without one.
double quota_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return INFINITY;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) {
    return INFINITY;
  }
  return quota / period;
}

// Of this process's group and the groups around it.
double control_group_quota() {
  double least = INFINITY;
  std::ifstream groups("/proc/self/cgroup");
  // A line is "0::/path" in version 2, "N:cpu,cpuacct:/path" in version 1.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool is_v2 = controllers == ",,";
    if (!is_v2 && controllers.find(",cpu,") == std::string::npos) continue;
    std::string path = line.substr(second + 1);
    while (true) {
      least = std::min(
          least, is_v2 ? quota_v2("/sys/fs/cgroup" + path) : quota_v1("/sys/fs/cgroup/cpu" + path));
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  return least;
}

uint32_t count_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  uint32_t count = sched_getaffinity(0, sizeof(set), &set) == 0
                       ? static_cast<uint32_t>(CPU_COUNT(&set))
                       : std::thread::hardware_concurrency();
  const double quota = control_group_quota();
  if (std::isfinite(quota)) {
    count = std::min(count, static_cast<uint32_t>(std::max(std::ceil(quota), 1.0)));
  }
  return std::max<uint32_t>(count, 1);
}

}  // namespace

FloatEnvironment::FloatEnvironment() {
  fegetenv(&saved_);
  fesetenv(FE_DFL_ENV);
}

FloatEnvironment::~FloatEnvironment() { fesetenv(&saved_); }

namespace {

void* run_body(void* given) {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(given));
  (*body)();
  return nullptr;
}

}  // namespace

Thread::Thread(std::function<void()> body) {
  auto given = std::make_unique<std::function<void()>>(std::move(body));
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error == 0) {
    error = pthread_attr_setstacksize(&attributes, kThreadStackBytes);
    if (error == 0) error = pthread_create(&handle_, &attributes, run_body, given.get());
    pthread_attr_destroy(&attributes);
  }
  if (error != 0) throw std::system_error(error, std::generic_category());
  static_cast<void>(given.release());  // the thread's own
  is_started_ = true;
}

Thread::~Thread() { NEURONC_CHECK(!is_started_); }

Thread::Thread(Thread&& other) noexcept
    : is_started_(std::exchange(other.is_started_, false)), handle_(other.handle_) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  NEURONC_CHECK(!is_started_);
  is_started_ = std::exchange(other.is_started_, false);
  handle_ = other.handle_;
  return *this;
}

void Thread::join() {
  pthread_join(handle_, nullptr);
  is_started_ = false;
}

void Thread::detach() {
  pthread_detach(handle_);
  is_started_ = false;
}

bool Thread::is_current() const {
  return is_started_ && pthread_equal(handle_, pthread_self()) != 0;
}

Thread start_thread(std::string_view name, std::function<void()> body) {
  const SignalsBlocked blocked;
  Thread thread([body = std::move(body)] {
    fesetenv(FE_DFL_ENV);
    body();
  });
  // From here, so that it has its name when the call that needed it returns, whether it ran yet or not.
  const std::string short_name(name.substr(0, 15));
  pthread_setname_np(thread.native_handle(), short_name.c_str());
  return thread;
}

uint32_t num_usable_processors() {
  static const uint32_t count = count_processors();
  return count;
}

}  // namespace neuronc
