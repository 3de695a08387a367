// Records of the plan's stored form; private to the binary encoder and decoder.
//
// All fields are little-endian and naturally aligned. `Range` names entries [begin, begin + count)
// of another table.
#pragma once

#include <bit>
#include <cstdint>

namespace neuronc::plan::tables {

static_assert(std::endian::native == std::endian::little, "plans are read in place");

inline constexpr uint32_t kMagic = 0x4e4c504e;  // "NPLN"

enum class Table : uint32_t {
  strings = 1,  // bytes
  numbers = 2,  // i64: dims and lane lists
  refs = 3,
  tensors = 4,  // inputs, then outputs
  constants = 5,
  kernels = 6,
  channels = 7,
  model = 8,  // one record
  lane = 9,   // one record
  allocations = 10,
  blocks = 11,
  steps = 12,
  host_operands = 13,
  runs = 14,
  teams = 15,
  trip_strides = 16,  // since 1.1
};

struct Header {
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint32_t lane;
  uint32_t num_lanes;
  uint32_t num_tables;
  uint32_t reserved;
};
static_assert(sizeof(Header) == 24);

struct DirectoryEntry {
  uint32_t table;
  uint32_t record_bytes;
  uint64_t offset_bytes;  // from the start of the file
  uint64_t count;
};
static_assert(sizeof(DirectoryEntry) == 24);

struct Range {
  uint32_t begin;
  uint32_t count;
};

struct Ref {
  uint8_t space;
  uint8_t access;
  uint16_t reserved;
  uint32_t index;
  uint64_t offset_bytes;
  uint64_t size_bytes;
  Range touched;  // of runs
};
static_assert(sizeof(Ref) == 32);

// Of a reference that moves from trip to trip; ascending by `ref`.
struct TripStride {
  uint32_t ref;
  uint32_t reserved;
  int64_t stride_bytes;
};
static_assert(sizeof(TripStride) == 16);

struct Run {
  uint64_t offset_bytes;
  uint64_t size_bytes;
  uint64_t stride_bytes;
  uint64_t count;
};
static_assert(sizeof(Run) == 32);

struct Tensor {
  Range name;
  Range dtype;  // its name, so that the numbering of dtypes is no part of the format
  Range dims;
  uint64_t size_bytes;
  uint8_t is_output;
  uint8_t kind;  // ValueKind
  uint8_t is_unranked;
  uint8_t reserved;
  uint32_t reserved2;
};
// The numbering of the format.
enum class ValueKind : uint8_t { tensor = 0, sequence = 1, optional = 2, optional_sequence = 3 };
static_assert(sizeof(Tensor) == 40);

struct Constant {
  uint64_t hash_low;
  uint64_t hash_high;
  uint64_t size_bytes;
  uint64_t offset_bytes;
  Range name;
};
static_assert(sizeof(Constant) == 40);

struct Kernel {
  Range symbol;
  int64_t num_tiles;
  uint32_t num_buffers;
  uint32_t reserved;
};
static_assert(sizeof(Kernel) == 24);

struct Channel {
  Range name;
  uint64_t slot_bytes;
  uint32_t depth;
  uint32_t reserved;
  Range producers;  // of numbers
  Range consumers;  // of numbers
};
static_assert(sizeof(Channel) == 40);

struct Team {
  uint32_t first_lane;
  uint32_t num_lanes;
  uint64_t shared_bytes;
  // Of the first lane's file: the lane's own allocations come behind those of all teams.
  Range allocations;
};
static_assert(sizeof(Team) == 24);

struct Model {
  Range name;
  uint32_t num_host_slots;
  uint32_t reserved;
};
static_assert(sizeof(Model) == 16);

struct Lane {
  uint64_t arena_bytes;
  uint32_t kind;
  uint32_t core;
};
static_assert(sizeof(Lane) == 16);

struct Allocation {
  Range name;
  uint64_t offset_bytes;
  uint64_t size_bytes;
  uint32_t first_step;
  uint32_t last_step;
};
static_assert(sizeof(Allocation) == 32);

// What `a`, `b`, `x`, `y` mean stands with each kind.
enum class StepKind : uint32_t {
  run_kernel = 1,  // a: kernel; x, y: tiles; refs: buffers
  acquire = 2,     // a: channel
  send = 3,        // a: channel
  recv = 4,        // a: channel
  release = 5,     // a: channel
  barrier = 6,     // a: team
  fill = 7,        // a: pattern bytes; x: pattern; refs: target
  copy = 8,        // refs: source, target
  host_node = 9,   // a: node; b: number of operands; hosts: operands, then results
  if_ = 10,        // a: then block; b: else block; refs: condition
  // a: body; b: LoopRef bits; x: most trips, -1: any number; refs: those of the bits, iteration
  loop = 11,
};

enum LoopRef : uint32_t { kLoopCount = 1, kLoopCondition = 2 };

struct Step {
  uint32_t kind;
  uint32_t a;
  uint32_t b;
  uint32_t reserved;
  Range refs;
  Range hosts;
  int64_t x;
  int64_t y;
};
static_assert(sizeof(Step) == 48);

struct HostOperand {
  uint32_t ref;
  uint32_t reserved;
  Range dtype;
  Range dims;
};
static_assert(sizeof(HostOperand) == 24);

}  // namespace neuronc::plan::tables
