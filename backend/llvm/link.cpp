// lld takes its input and output by name: here an anonymous memory file and a pipe, since lld
// writes a regular file beside its final name first, which memory files have no place for.
//
// lld keeps global state, and two threads in it crash, hence one lock for the process. Its fatal
// errors become a return code through LLVM's crash recovery, which is on only while lld runs.
#include "backend/llvm/link.h"

#include <fcntl.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/raw_ostream.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <thread>

LLD_HAS_DRIVER(elf)

namespace neuronc::llvm_backend {
namespace {

bool write_all(int descriptor, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool read_to_end(int descriptor, std::vector<std::byte>& bytes) {
  std::array<std::byte, 65536> part;
  for (;;) {
    const ssize_t n = ::read(descriptor, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
    bytes.insert(bytes.end(), part.begin(), part.begin() + n);
  }
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(number_); }
  void reset() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

std::mutex& lld_lock() {
  static std::mutex lock;
  return lock;
}

}  // namespace

OrRefusal<std::vector<std::byte>> link_shared_object(
    std::span<const std::span<const char>> objects) {
  std::list<Descriptor> inputs;
  std::vector<std::string> input_paths;
  for (std::span<const char> object : objects) {
    inputs.emplace_back(memfd_create("neuronc-object", MFD_CLOEXEC));
    if (inputs.back().number() < 0 || !write_all(inputs.back().number(), object)) {
      return refuse(std::string("no memory file for the linker: ") + std::strerror(errno));
    }
    input_paths.push_back(inputs.back().path());
  }
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return refuse(std::string("no pipe for the linker: ") + std::strerror(errno));
  }
  Descriptor source(ends[0]), sink(ends[1]);
  const std::string output_path = sink.path();
  std::vector<const char*> arguments = {"ld.lld",
                                        "-shared",
                                        "-Bsymbolic",
                                        "-z",
                                        "defs",
                                        "-z",
                                        "text",
                                        "-z",
                                        "noexecstack",
                                        "-z",
                                        "separate-code",
                                        "--hash-style=gnu",
                                        "--build-id=none",
                                        "--no-mmap-output-file",
                                        "--threads=1",
                                        "--discard-all",
                                        "-soname",
                                        "code.so",
                                        "-o",
                                        output_path.c_str()};
  for (const std::string& path : input_paths) arguments.push_back(path.c_str());
  std::vector<std::byte> bytes;
  bool is_read = false;
  std::thread reader([&] { is_read = read_to_end(source.number(), bytes); });
  std::string out_text, error_text;
  int code = 0;
  {
    const std::lock_guard<std::mutex> guard(lld_lock());
    llvm::raw_string_ostream out(out_text), error(error_text);
    llvm::CrashRecoveryContext::Enable();
    const lld::Result result = lld::lldMain(arguments, out, error, {{lld::Gnu, &lld::elf::link}});
    llvm::CrashRecoveryContext::Disable();
    code = result.retCode;
  }
  sink.reset();
  reader.join();
  if (code != 0) return refuse("the linker failed: " + error_text);
  if (!is_read || bytes.empty()) return refuse("the linker wrote nothing");
  return bytes;
}

}  // namespace neuronc::llvm_backend
