// Streams header and tar into a sink; the header, which needs the hashes, is patched in at the end.
#include "backend/neff_writer.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "ir/base/output_file.h"
#include "ir/plan/binary.h"
#include "runtime/neff_format.h"

namespace neuronc {
namespace {

using Done = std::monostate;

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Where bytes go: appended in order, but for the header, which is put in front last.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual bool append(std::span<const std::byte> bytes) = 0;
  virtual bool put_header(const NeffHeader& header) = 0;
};

class MemorySink : public Sink {
 public:
  bool append(std::span<const std::byte> bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return true;
  }
  bool put_header(const NeffHeader& header) override {
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return true;
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class FileSink : public Sink {
 public:
  explicit FileSink(const std::string& path) : file_(path) {}
  bool append(std::span<const std::byte> bytes) override { return file_.append(bytes); }
  bool put_header(const NeffHeader& header) override {
    return file_.overwrite(0, std::as_bytes(std::span(&header, 1)));
  }
  bool commit() { return file_.commit(); }
  std::string error() const { return file_.error(); }

 private:
  OutputFile file_;
};

struct HashState {
  HashState() : state(XXH3_createState(), XXH3_freeState) { XXH3_128bits_reset(state.get()); }
  void update(std::span<const std::byte> bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  }
  NeffHash digest() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
    return {hash.low64, hash.high64};
  }
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state;
};

enum class Place : uint8_t { anywhere, on_page };

// Writes members one after the other and keeps both hashes.
class TarWriter {
 public:
  explicit TarWriter(Sink& sink) : sink_(sink) {}

  // Starts a member of `size_bytes`; its content is to follow through `content`.
  void begin(std::string_view name, uint64_t size_bytes, Place place) {
    std::string records;
    if (size_bytes > kMaxOctalSize) records = pax_record("size", std::to_string(size_bytes));
    const uint64_t data_offset = offset_ + kTarBlockBytes;
    uint64_t pad = 0;
    if (place == Place::on_page) {
      pad = (kNeffPageBytes - data_offset % kNeffPageBytes) % kNeffPageBytes;
    }
    // Records take a block of their own and at least one of content.
    const uint64_t least = records.empty() ? (pad == 0 ? 0 : 2) : 2;
    while (pad < least * kTarBlockBytes) pad += kNeffPageBytes;
    if (pad > 0) write_pax(records, pad - kTarBlockBytes);
    write_block(name, '0', size_bytes);
    left_bytes_ = size_bytes;
  }

  void content(std::span<const std::byte> bytes) {
    append(bytes, is_weights_ ? weights_hash_ : metadata_hash_);
    left_bytes_ -= bytes.size();
    if (left_bytes_ == 0) pad_to_block();
  }

  void member(std::string_view name, std::span<const std::byte> bytes, Place place) {
    begin(name, bytes.size(), place);
    content(bytes);
  }

  // Between these calls `content` counts as weights.
  uint64_t begin_weights(uint64_t size_bytes) {
    begin("weights.bin", size_bytes, Place::on_page);
    is_weights_ = true;
    return offset_;
  }

  void finish() { zeros(2 * kTarBlockBytes); }

  void raw_header(const NeffHeader& header) {
    is_good_ &= sink_.append(std::as_bytes(std::span(&header, 1)));
    offset_ += sizeof(header);
  }

  void zeros(uint64_t count) {
    const std::vector<std::byte> bytes(count);
    append(bytes, metadata_hash_);
  }
  void weight_zeros(uint64_t count) { content(std::vector<std::byte>(count)); }

  uint64_t offset_bytes() const { return offset_; }
  bool is_good() const { return is_good_; }
  NeffHash metadata_hash() const { return metadata_hash_.digest(); }
  NeffHash weights_hash() const { return weights_hash_.digest(); }

 private:
  static constexpr uint64_t kMaxOctalSize = 077777777777;

  void append(std::span<const std::byte> bytes, HashState& hash) {
    hash.update(bytes);
    is_good_ = is_good_ && sink_.append(bytes);
    offset_ += bytes.size();
  }

  void pad_to_block() {
    is_weights_ = false;
    zeros((kTarBlockBytes - offset_ % kTarBlockBytes) % kTarBlockBytes);
  }

  void write_block(std::string_view name, char type, uint64_t size_bytes) {
    TarBlock block{};
    std::memcpy(block.name, name.data(), std::min(name.size(), sizeof(block.name)));
    std::memcpy(block.mode, "0000644", 8);
    std::memcpy(block.uid, "0000000", 8);
    std::memcpy(block.gid, "0000000", 8);
    const std::string size = fmt::format("{:011o}", std::min(size_bytes, kMaxOctalSize));
    std::memcpy(block.size, size.c_str(), 12);
    std::memcpy(block.mtime, "00000000000", 12);
    block.type = type;
    std::memcpy(block.magic, "ustar", 6);
    std::memcpy(block.version, "00", 2);
    const std::string checksum = fmt::format("{:06o}", tar_checksum(block));
    std::memcpy(block.checksum, checksum.c_str(), 7);
    block.checksum[7] = ' ';
    append(std::as_bytes(std::span(&block, 1)), metadata_hash_);
  }

  // "LENGTH key=value\n", where LENGTH counts itself.
  static std::string pax_record(std::string_view key, std::string_view value) {
    const size_t rest = key.size() + value.size() + 3;
    size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) ++length;
    return fmt::format("{} {}={}\n", length, key, value);
  }

  // Writes `records` and a comment that makes the content `size_bytes` long.
  void write_pax(std::string records, uint64_t size_bytes) {
    write_block("pax", 'x', size_bytes);
    const uint64_t space = size_bytes - records.size();
    const std::string width = fmt::format("{} comment=", space);
    records += width + std::string(space - width.size() - 1, '-') + "\n";
    append(as_bytes(records), metadata_hash_);
  }

  Sink& sink_;
  HashState metadata_hash_;
  HashState weights_hash_;
  uint64_t offset_ = 0;
  uint64_t left_bytes_ = 0;
  bool is_weights_ = false;
  bool is_good_ = true;
};

// Where each used constant goes in weights.bin: in the order in which plans name them.
struct WeightsLayout {
  struct Entry {
    uint64_t offset_bytes;
    std::span<const std::byte> bytes;
  };
  std::map<Hash128, uint64_t> offsets;
  std::vector<Entry> entries;
  uint64_t size_bytes = 0;
};

OrRefusal<WeightsLayout> lay_out_weights(const NeffContents& contents) {
  std::map<Hash128, std::span<const std::byte>> available;
  for (const NeffConstant& constant : contents.constants) {
    available.emplace(constant.hash, constant.bytes);
  }
  WeightsLayout layout;
  for (const NeffVariant& variant : contents.variants) {
    for (const plan::Constant& constant : variant.plan.constants) {
      const auto it = available.find(constant.hash);
      if (it == available.end() || it->second.size() != constant.size_bytes) {
        return refuse(fmt::format("constant `{}` ({}, {} bytes) has no bytes", constant.name,
                                  to_hex(constant.hash), constant.size_bytes));
      }
      if (!layout.offsets.emplace(constant.hash, layout.size_bytes).second) continue;
      layout.entries.push_back({layout.size_bytes, it->second});
      layout.size_bytes += (constant.size_bytes + kNeffWeightAlignment - 1) / kNeffWeightAlignment *
                           kNeffWeightAlignment;
    }
  }
  return layout;
}

uint64_t features_of(const plan::Plan& plan) {
  uint64_t features = 0;
  if (!plan.teams.empty()) features |= kNeffFeatureSharedMemory;
  for (const plan::TensorSpec& output : plan.outputs) {
    if (output.kind != Type::Kind::tensor) features |= kNeffFeatureLists;
  }
  for (const plan::TensorSpec& input : plan.inputs) {
    if (input.kind != Type::Kind::tensor) features |= kNeffFeatureLists;
  }
  for (const plan::Lane& lane : plan.lanes) {
    for (const plan::Block& block : lane.blocks) {
      for (const plan::Step& step : block.steps) {
        if (std::holds_alternative<plan::RunHostNode>(step)) features |= kNeffFeatureHostNodes;
        if (std::holds_alternative<plan::Barrier>(step)) features |= kNeffFeatureSharedMemory;
        if (std::holds_alternative<plan::If>(step) || std::holds_alternative<plan::Loop>(step)) {
          features |= kNeffFeatureControlFlow;
        }
      }
    }
  }
  return features;
}

OrRefusal<Done> check_variants(const NeffContents& contents) {
  if (contents.variants.empty()) return refuse("a NEFF needs code for one instruction set");
  std::set<std::string> names;
  for (const NeffMember& member : contents.more) {
    if (member.name.empty() || member.name.size() >= sizeof(TarBlock::name)) {
      return refuse("a member has no usable name");
    }
  }
  for (const NeffVariant& variant : contents.variants) {
    const plan::Plan& first = contents.variants[0].plan;
    if (!names.insert(variant.isa).second) return refuse(variant.isa + " is there twice");
    if (variant.isa.empty() || variant.isa.size() > 80) return refuse("an isa has no usable name");
    if (variant.plan.inputs != first.inputs || variant.plan.outputs != first.outputs ||
        num_cores(variant.plan) != num_cores(first) ||
        variant.plan.lanes.size() != first.lanes.size()) {
      return refuse(fmt::format("{} and {} differ in inputs, outputs or lanes", variant.isa,
                                contents.variants[0].isa));
    }
  }
  return Done{};
}

NeffHeader make_header(const NeffContents& contents) {
  NeffHeader header{};
  std::memcpy(header.magic, kNeffMagic, sizeof(kNeffMagic));
  header.major = kNeffMajorVersion;
  header.minor = kNeffMinorVersion;
  header.header_bytes = kNeffHeaderBytes;
  for (const NeffVariant& variant : contents.variants) {
    header.required_features |= features_of(variant.plan);
  }
  header.num_cores = num_cores(contents.variants[0].plan);
  header.num_lanes = static_cast<uint32_t>(contents.variants[0].plan.lanes.size());
  contents.compiler_version.copy(header.compiler_version, sizeof(header.compiler_version) - 1);
  contents.name.copy(header.name, sizeof(header.name) - 1);
  return header;
}

void write_variant(TarWriter& tar, const NeffVariant& variant, const WeightsLayout& weights) {
  plan::Plan plan = variant.plan;
  for (plan::Constant& constant : plan.constants) {
    constant.offset_bytes = weights.offsets.at(constant.hash);
  }
  tar.member(variant.isa + "/code.so", variant.code, Place::on_page);
  const std::vector<std::vector<std::byte>> files = encode(plan);
  for (size_t i = 0; i < files.size(); ++i) {
    tar.member(fmt::format("{}/sg{:02}/plan", variant.isa, i), files[i], Place::anywhere);
  }
  if (!variant.kernels.empty()) {
    tar.member(variant.isa + "/kernels.nki", as_bytes(variant.kernels), Place::anywhere);
  }
}

void write_weights(TarWriter& tar, NeffHeader& header, const WeightsLayout& weights) {
  if (weights.size_bytes == 0) return;
  header.weights_offset_bytes = tar.begin_weights(weights.size_bytes);
  header.weights_bytes = weights.size_bytes;
  uint64_t position = 0;
  for (const WeightsLayout::Entry& entry : weights.entries) {
    if (entry.offset_bytes > position) tar.weight_zeros(entry.offset_bytes - position);
    if (!entry.bytes.empty()) tar.content(entry.bytes);
    position = entry.offset_bytes + entry.bytes.size();
  }
  if (weights.size_bytes > position) tar.weight_zeros(weights.size_bytes - position);
}

void seal(NeffHeader& header, const TarWriter& tar) {
  header.tar_bytes = tar.offset_bytes() - kNeffHeaderBytes;
  header.metadata_hash = tar.metadata_hash();
  header.weights_hash = tar.weights_hash();
  const NeffHash both[] = {header.metadata_hash, header.weights_hash};
  const XXH128_hash_t uuid = XXH3_128bits(both, sizeof(both));
  std::memcpy(header.uuid, &uuid.low64, 8);
  std::memcpy(header.uuid + 8, &uuid.high64, 8);
  header.header_hash = 0;
  header.header_hash = XXH3_64bits(&header, sizeof(header));
}

// Writes everything to `sink`; false on an input/output error, which the sink knows.
OrRefusal<bool> write_to(Sink& sink, const NeffContents& contents) {
  NEURONC_TRY(check_variants(contents));
  NEURONC_ASSIGN(const WeightsLayout weights, lay_out_weights(contents));
  NeffHeader header = make_header(contents);
  TarWriter tar(sink);
  tar.raw_header(header);
  tar.member("neff.json", as_bytes(contents.json), Place::anywhere);
  if (!contents.host_nir.empty()) {
    tar.member("host.nir", as_bytes(contents.host_nir), Place::anywhere);
  }
  for (const NeffMember& member : contents.more) {
    tar.member(member.name, member.bytes, Place::anywhere);
  }
  for (const NeffVariant& variant : contents.variants) write_variant(tar, variant, weights);
  write_weights(tar, header, weights);
  tar.finish();
  seal(header, tar);
  return tar.is_good() && sink.put_header(header);
}

}  // namespace

OrRefusal<std::monostate> write_neff(const std::string& path, const NeffContents& contents) {
  FileSink sink(path);
  NEURONC_ASSIGN(const bool is_good, write_to(sink, contents));
  if (!is_good || !sink.commit()) return refuse(sink.error());
  return Done{};
}

OrRefusal<std::vector<std::byte>> build_neff(const NeffContents& contents) {
  MemorySink sink;
  NEURONC_TRY(write_to(sink, contents));
  return sink.take();
}

}  // namespace neuronc
