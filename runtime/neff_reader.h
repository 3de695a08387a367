// Opens a NEFF and proves its container sound before anything in it is used: header, directory of
// members, hashes. Every failure is a status with a message; no input crashes the reader.
//
// Of a file everything but large weights is copied when it is opened, so that no later change of
// the file reaches code and plans. Large weights are mapped and shared with other processes; they
// are checked once, so the file must not be changed while it is open (write a new file and rename
// it, as the compiler does), or be opened with Weights::copied. Bytes in memory are copied.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan/plan.h"
#include "runtime/cpu.h"
#include "runtime/neff_format.h"
#include "runtime/status.h"

namespace neuronc::runtime {

// Which hashes to check: everything, or everything but the weights.
enum class Verify : uint8_t { all, metadata };

enum class Weights : uint8_t { mapped, copied };

struct NeffMemberView {
  std::string_view name;
  std::span<const std::byte> bytes;
  uint64_t offset_bytes = 0;  // in the file
};

class NeffImage {
 public:
  // Errors: NRT_INVALID (missing, truncated, damaged), NRT_UNSUPPORTED_NEFF_VERSION (newer major
  // version, unknown required features), NRT_FAIL_HOST_MEM_ALLOC.
  static Result<std::shared_ptr<const NeffImage>> open(const std::string& path, Verify verify,
                                                       Weights weights = Weights::mapped);
  static Result<std::shared_ptr<const NeffImage>> copy(std::span<const std::byte> bytes,
                                                       Verify verify);
  ~NeffImage();
  NeffImage(const NeffImage&) = delete;
  NeffImage& operator=(const NeffImage&) = delete;

  const NeffHeader& header() const { return header_; }
  std::span<const NeffMemberView> members() const { return members_; }
  const NeffMemberView* find(std::string_view name) const;

  // The names of the instruction sets that the file has code for.
  std::vector<std::string> isas() const;
  // The same with what each needs, the best last: as neff.json lists them, or by their names.
  std::vector<NeffTarget> targets() const;
  std::span<const std::byte> weights() const;

  // The model's nodes behind a kernel, as neff.json lists them: " (nodes `a`, `b`)"; empty if it
  // does not. Reads all of neff.json.
  std::string nodes_of(std::string_view kernel_symbol) const;

  // The verified plan of one isa; errors: NRT_INVALID, NRT_UNSUPPORTED_NEFF_VERSION.
  Result<plan::Plan> read_plan(std::string_view isa) const;

  // Whether the file behind mapped weights was changed since it was opened; it is looked at every
  // 20 milliseconds at most, so that asking costs nothing.
  bool is_file_changed() const;

 private:
  NeffImage() = default;
  Result<Done> read_file(uint64_t size, Weights weights);
  Result<Done> check(Verify verify);
  Result<Done> check_header();
  Result<Done> read_members();
  Result<Done> check_hashes(Verify verify) const;

  std::span<const std::byte> bytes_;
  int fd_ = -1;  // open while weights are mapped
  bool are_weights_mapped_ = false;
  struct stat info_{};  // of the file, when it was opened
  mutable std::atomic<int64_t> looked_at_ns_{0};
  mutable std::atomic<bool> is_changed_{false};
  NeffHeader header_{};
  std::vector<NeffMemberView> members_;  // in file order
};

// The header's uuid as "01234567-89ab-...".
std::string uuid_text(const NeffHeader& header);

}  // namespace neuronc::runtime
