// The NEFF container: a 1024-byte header, then a plain tar. Shared by the writer and the reader;
// `tail -c +1025 model.neff | tar t` lists the members:
//
//   neff.json            signatures, build information, options, provenance; for people and tools
//   host.nir             the graph of host nodes, where there are any (host.nirc: its constants)
//   <isa>/code.so        the kernels; no relocations, no undefined symbols; on a 4096 boundary
//   <isa>/sgNN/plan      the plan, one file a lane (ir/plan/binary.h)
//   <isa>/kernels.nki    the kernels' text, with --emit-kernels
//   weights.bin          constants, each on 64 bytes; the last member, on a 4096 boundary
//
// There may be several <isa>, each with its own code and plans over the same weights; neff.json
// lists them under "targets", the best last, with the features of the processor that each needs.
// Without that list a name says its features: `x86-64-v3`, `x86-64-v4,+avx512vnni`. A runtime skips
// members that it does not know, so that plans for further shapes may stand in folders below.
// Boundaries count from the start of the file; they are made with pax comments, so that any tar
// reads the archive. All numbers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace neuronc {

inline constexpr char kNeffMagic[8] = {'\x7f', 'N', 'E', 'F', 'F', '\r', '\n', '\x1a'};
inline constexpr uint16_t kNeffMajorVersion = 1;  // a newer one is refused
inline constexpr uint16_t kNeffMinorVersion = 0;  // a newer one is accepted
inline constexpr uint64_t kNeffHeaderBytes = 1024;
inline constexpr uint64_t kNeffPageBytes = 4096;
inline constexpr uint64_t kNeffWeightAlignment = 64;

// What a runtime must know to run the file; unknown bits are refused.
enum NeffFeature : uint64_t {
  kNeffFeatureHostNodes = 1u << 0,
  // Bit 1 stood for loops as plan 1.0 had them, which no compiler wrote.
  kNeffFeatureSharedMemory = 1u << 2,  // cores meet at barriers
  kNeffFeatureState = 1u << 3,         // outputs bound to inputs
  kNeffFeatureLists = 1u << 4,         // sequences and optionals as inputs or outputs
  kNeffFeatureControlFlow = 1u << 5,   // If and Loop as of plan 1.1
};
inline constexpr uint64_t kNeffKnownFeatures =
    kNeffFeatureHostNodes | kNeffFeatureControlFlow | kNeffFeatureSharedMemory | kNeffFeatureLists;

struct NeffHash {
  uint64_t low;
  uint64_t high;
};

struct NeffHeader {
  char magic[8];
  uint16_t major;
  uint16_t minor;
  uint32_t header_bytes;          // kNeffHeaderBytes
  uint64_t header_hash;           // XXH3-64 of the header with this field zero
  uint64_t required_features;     // NeffFeature bits
  uint64_t tar_bytes;             // what follows the header
  uint64_t weights_offset_bytes;  // of weights.bin's content in the file; 0 if there is none
  uint64_t weights_bytes;
  NeffHash metadata_hash;  // XXH3-128 of all bytes of the tar but weights.bin's content
  NeffHash weights_hash;   // XXH3-128 of weights.bin's content
  uint8_t uuid[16];        // derived from both hashes
  uint32_t num_cores;
  uint32_t num_lanes;  // cores, and one for the host if there are host nodes
  char compiler_version[64];
  char name[256];  // of the model; cut if longer
  uint8_t reserved[592];
};
static_assert(sizeof(NeffHeader) == kNeffHeaderBytes);
static_assert(offsetof(NeffHeader, metadata_hash) == 56);

// A POSIX ustar block.
struct TarBlock {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;  // '0': a file; 'x': pax records for the next member
  char link_name[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char padding[12];
};
inline constexpr uint64_t kTarBlockBytes = 512;
static_assert(sizeof(TarBlock) == kTarBlockBytes);

// Sum of the block's bytes with the checksum field counted as spaces.
inline uint32_t tar_checksum(const TarBlock& block) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&block);
  uint32_t sum = 0;
  for (size_t i = 0; i < sizeof(TarBlock); ++i) {
    const size_t begin = offsetof(TarBlock, checksum);
    const bool is_checksum = i >= begin && i < begin + sizeof(block.checksum);
    sum += is_checksum ? ' ' : bytes[i];
  }
  return sum;
}

}  // namespace neuronc
