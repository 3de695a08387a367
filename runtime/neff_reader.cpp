// Reading order: header, its hash, versions, the tar's members, hashes of the content. Nothing is
// believed before the check that covers it.
#include "runtime/neff_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>

#include "ir/base/descriptor.h"
#include "ir/plan/binary.h"
#include "ir/plan/verify.h"

namespace neuronc::runtime {
namespace {

constexpr size_t kMaxMembers = 4096;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A field of a tar block up to its first zero byte.
template <size_t N>
std::string_view field(const char (&text)[N]) {
  return {text, strnlen(text, N)};
}

std::optional<uint64_t> parse_octal(std::string_view digits) {
  while (!digits.empty() && digits.back() == ' ') digits.remove_suffix(1);
  uint64_t value = 0;
  const auto [end, errc] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (errc != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// The pax record "size", 0 if there is none; nullopt if the records are malformed.
std::optional<uint64_t> parse_pax(std::string_view records) {
  uint64_t size = 0;
  while (!records.empty()) {
    uint64_t length = 0;
    const char* begin = records.data();
    const auto [end, errc] = std::from_chars(begin, begin + records.size(), length);
    const size_t digits = static_cast<size_t>(end - begin);
    if (errc != std::errc() || length > records.size() || length < digits + 2 ||
        records[digits] != ' ' || records[length - 1] != '\n') {
      return std::nullopt;
    }
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    if (record.starts_with("size=")) {
      uint64_t value = 0;
      const std::string_view text = record.substr(5);
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
      if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
      size = value;
    } else if (!record.starts_with("comment=")) {
      return std::nullopt;
    }
    records.remove_prefix(length);
  }
  return size;
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

NeffHash digest(const XXH128_hash_t& hash) { return {hash.low64, hash.high64}; }

// Weights below this are copied: that costs less than a look at whether they were changed.
constexpr uint64_t kMinMappedBytes = uint64_t{1} << 20;

Result<Done> read_at(int fd, std::byte* bytes, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t n = pread(fd, bytes, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(NRT_INVALID, "cannot read: {}", std::strerror(errno));
    if (n == 0) return fail(NRT_INVALID, "the file became shorter while it was read");
    bytes += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<uint64_t>(n);
  }
  return Done{};
}

bool same(const NeffHash& a, const NeffHash& b) { return a.low == b.low && a.high == b.high; }

tl::unexpected<Status> damaged(std::string_view what) {
  return fail(NRT_INVALID, "the NEFF is damaged: {}", what);
}

}  // namespace

NeffImage::~NeffImage() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) close(fd_);
}

Result<std::shared_ptr<const NeffImage>> NeffImage::open(const std::string& path, Verify verify,
                                                         Weights weights) {
  std::shared_ptr<NeffImage> image(new NeffImage());
  // A pipe that nobody writes to would keep the caller waiting.
  image->fd_ = above_standard_streams(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (image->fd_ < 0 || fstat(image->fd_, &image->info_) != 0) {
    return fail(NRT_INVALID, "cannot open `{}`: {}", path, std::strerror(errno));
  }
  const struct stat& info = image->info_;
  if (!S_ISREG(info.st_mode)) return fail(NRT_INVALID, "`{}` is not a regular file", path);
  if (info.st_size < static_cast<off_t>(kNeffHeaderBytes)) {
    return fail(NRT_INVALID, "`{}` is not a NEFF: it has {} bytes", path, info.st_size);
  }
  auto done = image->read_file(static_cast<uint64_t>(info.st_size), weights);
  if (done) done = image->check(verify);
  if (!done) return fail(done.error().code, "{}: {}", path, done.error().message);
  return image;
}

// The image of the file is anonymous memory, over which the pages of large weights are mapped.
Result<Done> NeffImage::read_file(uint64_t size, Weights weights) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return fail(NRT_FAIL_HOST_MEM_ALLOC, "cannot map {} bytes: {}", size, std::strerror(errno));
  }
  auto* bytes = static_cast<std::byte*>(data);
  bytes_ = {bytes, size};
  NEURONC_TRY(read_at(fd_, bytes, kNeffHeaderBytes, 0));
  // The header is believed as far as what it says lies inside the file; its hash comes later.
  std::memcpy(&header_, bytes, sizeof(header_));
  const uint64_t begin = header_.weights_offset_bytes;
  const bool is_sane = begin >= kNeffHeaderBytes && begin % kNeffPageBytes == 0 && begin <= size &&
                       header_.weights_bytes <= size - begin;
  if (!is_sane || weights == Weights::copied || header_.weights_bytes < kMinMappedBytes) {
    return read_at(fd_, bytes + kNeffHeaderBytes, size - kNeffHeaderBytes, kNeffHeaderBytes);
  }
  const uint64_t end = (begin + header_.weights_bytes) / kNeffPageBytes * kNeffPageBytes;
  NEURONC_TRY(read_at(fd_, bytes + kNeffHeaderBytes, begin - kNeffHeaderBytes, kNeffHeaderBytes));
  NEURONC_TRY(read_at(fd_, bytes + end, size - end, end));
  if (mmap(bytes + begin, end - begin, PROT_READ, MAP_SHARED | MAP_FIXED, fd_,
           static_cast<off_t>(begin)) == MAP_FAILED) {
    return fail(NRT_FAIL_HOST_MEM_ALLOC, "cannot map weights: {}", std::strerror(errno));
  }
  are_weights_mapped_ = true;
  return Done{};
}

bool NeffImage::is_file_changed() const {
  if (!are_weights_mapped_) return false;
  if (is_changed_.load(std::memory_order_relaxed)) return true;
  constexpr int64_t kIntervalNs = 20000000;
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  const int64_t now_ns = int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
  if (now_ns - looked_at_ns_.load(std::memory_order_relaxed) < kIntervalNs) return false;
  looked_at_ns_.store(now_ns, std::memory_order_relaxed);
  struct stat info{};
  if (fstat(fd_, &info) != 0) return false;
  if (info.st_size == info_.st_size && info.st_mtim.tv_sec == info_.st_mtim.tv_sec &&
      info.st_mtim.tv_nsec == info_.st_mtim.tv_nsec) {
    return false;
  }
  is_changed_.store(true, std::memory_order_relaxed);
  return true;
}

Result<std::shared_ptr<const NeffImage>> NeffImage::copy(std::span<const std::byte> bytes,
                                                         Verify verify) {
  std::shared_ptr<NeffImage> image(new NeffImage());
  if (bytes.size() < kNeffHeaderBytes) {
    return fail(NRT_INVALID, "this is not a NEFF: it has {} bytes", bytes.size());
  }
  void* data =
      mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return fail(NRT_FAIL_HOST_MEM_ALLOC, "no memory for a NEFF of {} bytes", bytes.size());
  }
  image->bytes_ = {static_cast<const std::byte*>(data), bytes.size()};
  std::memcpy(data, bytes.data(), bytes.size());
  mprotect(data, bytes.size(), PROT_READ);
  NEURONC_TRY(image->check(verify));
  return image;
}

Result<Done> NeffImage::check(Verify verify) {
  NEURONC_TRY(check_header());
  NEURONC_TRY(read_members());
  return check_hashes(verify);
}

Result<Done> NeffImage::check_header() {
  std::memcpy(&header_, bytes_.data(), sizeof(header_));
  if (std::memcmp(header_.magic, kNeffMagic, sizeof(kNeffMagic)) != 0) {
    return fail(NRT_INVALID, "this is not a NEFF (wrong magic number)");
  }
  if (header_.major != kNeffMajorVersion) {
    return fail(NRT_UNSUPPORTED_NEFF_VERSION,
                "the NEFF has format version {}.{}, this runtime reads {}.x; {}", header_.major,
                header_.minor, kNeffMajorVersion,
                header_.major > kNeffMajorVersion
                    ? "use a newer runtime, or compile the model with this release's neuronc"
                    : "compile the model again");
  }
  NeffHeader unsealed = header_;
  unsealed.header_hash = 0;
  if (XXH3_64bits(&unsealed, sizeof(unsealed)) != header_.header_hash) {
    return damaged("the header's hash is wrong");
  }
  const uint64_t unknown = header_.required_features & ~kNeffKnownFeatures;
  if (unknown != 0) {
    return fail(NRT_UNSUPPORTED_NEFF_VERSION,
                "the NEFF needs features that this runtime has not ({:#x}); use a newer runtime",
                unknown);
  }
  const uint64_t tar_bytes = bytes_.size() - kNeffHeaderBytes;
  if (header_.header_bytes != kNeffHeaderBytes || header_.tar_bytes != tar_bytes) {
    return fail(NRT_INVALID, "the NEFF is truncated or has bytes added: it has {} bytes, not {}",
                bytes_.size(), kNeffHeaderBytes + header_.tar_bytes);
  }
  // Names in the header are cut, but must end.
  header_.name[sizeof(header_.name) - 1] = 0;
  header_.compiler_version[sizeof(header_.compiler_version) - 1] = 0;
  return Done{};
}

Result<Done> NeffImage::read_members() {
  uint64_t offset = kNeffHeaderBytes;
  uint64_t pax_size = 0;  // 0: none; the writer states it only for sizes beyond the octal field
  const auto left = [&] { return bytes_.size() - offset; };
  while (true) {
    if (left() < kTarBlockBytes) return damaged("the archive does not end");
    if (is_zero(bytes_.subspan(offset, kTarBlockBytes))) break;
    TarBlock block;
    std::memcpy(&block, bytes_.data() + offset, sizeof(block));
    const auto checksum = parse_octal(field(block.checksum));
    if (!checksum || *checksum != tar_checksum(block)) return damaged("a member's checksum");
    const auto octal_size = parse_octal(field(block.size));
    if (!octal_size) return damaged("a member's size");
    const uint64_t size = pax_size != 0 ? pax_size : *octal_size;
    offset += kTarBlockBytes;
    if (size > left()) return damaged("a member is longer than the file");
    const uint64_t padded = (size + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
    if (padded > left()) return damaged("a member is longer than the file");
    const std::span<const std::byte> content = bytes_.subspan(offset, size);
    if (block.type == 'x') {
      const auto pax = parse_pax(as_text(content));
      if (!pax || pax_size != 0) return damaged("a member's pax records");
      pax_size = *pax;
    } else if (block.type == '0' || block.type == 0) {
      const auto* start = reinterpret_cast<const TarBlock*>(bytes_.data() + offset) - 1;
      const std::string_view name = field(start->name);
      if (name.empty() || find(name) != nullptr) return damaged("a member's name");
      members_.push_back({name, content, offset});
      if (members_.size() > kMaxMembers) return damaged("it has too many members");
      pax_size = 0;
    } else {
      return damaged("the archive holds something that is not a file");
    }
    offset += padded;
  }
  if (left() != 2 * kTarBlockBytes || !is_zero(bytes_.subspan(offset))) {
    return damaged("the archive's end");
  }
  return Done{};
}

Result<Done> NeffImage::check_hashes(Verify verify) const {
  const uint64_t begin = header_.weights_offset_bytes;
  const NeffMemberView* weights_member = find("weights.bin");
  const bool has_weights = weights_member != nullptr;
  const uint64_t offset = has_weights ? weights_member->offset_bytes : 0;
  const uint64_t size = has_weights ? weights_member->bytes.size() : 0;
  if (begin != offset || header_.weights_bytes != size || offset % kNeffWeightAlignment != 0) {
    return damaged("the weights are not where the header says");
  }
  XXH3_state_t* state = XXH3_createState();
  if (state == nullptr) return fail(NRT_FAIL_HOST_MEM_ALLOC, "no memory");
  XXH3_128bits_reset(state);
  const uint64_t head_end = has_weights ? begin : bytes_.size();
  XXH3_128bits_update(state, bytes_.data() + kNeffHeaderBytes, head_end - kNeffHeaderBytes);
  if (has_weights) {
    XXH3_128bits_update(state, bytes_.data() + begin + size, bytes_.size() - begin - size);
  }
  const NeffHash metadata = digest(XXH3_128bits_digest(state));
  XXH3_freeState(state);
  if (!same(metadata, header_.metadata_hash)) return damaged("the metadata's hash is wrong");
  if (verify == Verify::metadata) return Done{};
  const NeffHash hash = digest(XXH3_128bits(bytes_.data() + begin, size));
  if (!same(hash, header_.weights_hash)) return damaged("the weights' hash is wrong");
  return Done{};
}

const NeffMemberView* NeffImage::find(std::string_view name) const {
  const auto it = std::find_if(members_.begin(), members_.end(),
                               [&](const NeffMemberView& member) { return member.name == name; });
  return it == members_.end() ? nullptr : &*it;
}

std::vector<std::string> NeffImage::isas() const {
  constexpr std::string_view kCode = "/code.so";
  std::vector<std::string> result;
  for (const NeffMemberView& member : members_) {
    if (member.name.ends_with(kCode)) {
      result.emplace_back(member.name.substr(0, member.name.size() - kCode.size()));
    }
  }
  return result;
}

std::span<const std::byte> NeffImage::weights() const {
  const NeffMemberView* member = find("weights.bin");
  return member == nullptr ? std::span<const std::byte>() : member->bytes;
}

Result<plan::Plan> NeffImage::read_plan(std::string_view isa) const {
  std::vector<std::span<const std::byte>> files;
  while (const NeffMemberView* member = find(fmt::format("{}/sg{:02}/plan", isa, files.size()))) {
    files.push_back(member->bytes);
  }
  auto plan = plan::decode(files);
  if (!plan) return fail(NRT_INVALID, "{}: {}", isa, plan.error().reason);
  const std::vector<std::string> errors = verify(*plan);
  if (!errors.empty()) return fail(NRT_INVALID, "{}: the plan is unsound: {}", isa, errors[0]);
  for (const plan::Constant& constant : plan->constants) {
    const uint64_t size = weights().size();
    if (constant.size_bytes > size || constant.offset_bytes > size - constant.size_bytes) {
      return fail(NRT_INVALID, "{}: constant `{}` lies outside the weights", isa, constant.name);
    }
  }
  if (num_cores(*plan) != header_.num_cores || plan->lanes.size() != header_.num_lanes) {
    return fail(NRT_INVALID, "{}: plan and header differ in cores", isa);
  }
  return std::move(*plan);
}

std::string uuid_text(const NeffHeader& header) {
  std::string text;
  for (size_t i = 0; i < sizeof(header.uuid); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", header.uuid[i]);
  }
  return text;
}

}  // namespace neuronc::runtime
