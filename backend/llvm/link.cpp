// lld takes its input and output by name; both are anonymous memory files here.
//
// lld keeps global state, and two threads in it crash, hence one lock for the process. Its fatal
// errors become a return code through LLVM's crash recovery, which is on only while lld runs.
#include "backend/llvm/link.h"

#include <fcntl.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/raw_ostream.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>

LLD_HAS_DRIVER(elf)

namespace neuronc::llvm_backend {
namespace {

class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : descriptor_(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  bool write_all(std::span<const char> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return true;
  }

  bool read_all(std::vector<std::byte>& bytes) {
    struct stat info{};
    if (fstat(descriptor_, &info) != 0) return false;
    bytes.resize(static_cast<size_t>(info.st_size));
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n =
          pread(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }

 private:
  int descriptor_;
};

std::mutex& lld_lock() {
  static std::mutex lock;
  return lock;
}

}  // namespace

OrRefusal<std::vector<std::byte>> link_shared_object(std::span<const char> object) {
  MemoryFile input("neuronc-object"), output("neuronc-code");
  if (!input.is_open() || !output.is_open() || !input.write_all(object)) {
    return refuse(std::string("no memory file for the linker: ") + std::strerror(errno));
  }
  const std::string input_path = input.path(), output_path = output.path();
  const char* arguments[] = {"ld.lld",
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
                             output_path.c_str(),
                             input_path.c_str()};
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
  if (code != 0) return refuse("the linker failed: " + error_text);
  std::vector<std::byte> bytes;
  if (!output.read_all(bytes) || bytes.empty()) return refuse("the linker wrote nothing");
  return bytes;
}

}  // namespace neuronc::llvm_backend
