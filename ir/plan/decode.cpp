// Reads a plan from tables whose every byte may be hostile; the layout stands in tables.h.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "ir/plan/binary.h"
#include "ir/plan/tables.h"

namespace neuronc::plan {
namespace {

using tables::Range;
using tables::Table;

// One lane's file with its directory checked: every table lies inside the file. Reads that fail
// set `is_damaged` and give empty values, so that decoding stays a straight line; the caller asks
// once at the end.
class FileReader {
 public:
  static OrRefusal<FileReader> open(std::span<const std::byte> file);

  const tables::Header& header() const { return header_; }
  bool is_damaged() const { return is_damaged_; }
  void set_damaged() { is_damaged_ = true; }

  uint64_t count(Table table) const {
    const auto it = tables_.find(static_cast<uint32_t>(table));
    return it == tables_.end() ? 0 : it->second.count;
  }

  template <class T>
  T get(Table table, uint64_t index) {
    T record{};
    const auto it = tables_.find(static_cast<uint32_t>(table));
    budget_ = budget_ > 0 ? budget_ - 1 : 0;
    if (budget_ == 0 || it == tables_.end() || index >= it->second.count ||
        it->second.record_bytes < sizeof(T)) {
      is_damaged_ = true;
      return record;
    }
    const uint64_t offset = it->second.offset_bytes + index * it->second.record_bytes;
    std::memcpy(&record, file_.data() + offset, sizeof(T));
    return record;
  }

  // False (and damaged) if the range does not lie inside the table.
  bool is_inside(Table table, Range range) {
    if (uint64_t{range.begin} + range.count <= count(table)) return true;
    is_damaged_ = true;
    return false;
  }

  std::string text(Range range) {
    std::string result;
    if (!is_inside(Table::strings, range)) return result;
    for (uint64_t i = 0; i < range.count; ++i) {
      result += get<char>(Table::strings, range.begin + i);
    }
    return result;
  }

  std::vector<int64_t> numbers(Range range) {
    std::vector<int64_t> result;
    if (!is_inside(Table::numbers, range)) return result;
    for (uint64_t i = 0; i < range.count; ++i) {
      result.push_back(get<int64_t>(Table::numbers, range.begin + i));
    }
    return result;
  }

  // Of a reference; 0 where the table has none.
  int64_t trip_stride_bytes(uint64_t ref) {
    if (!has_strides_) {
      has_strides_ = true;
      for (uint64_t i = 0; i < count(Table::trip_strides) && !is_damaged_; ++i) {
        const auto record = get<tables::TripStride>(Table::trip_strides, i);
        strides_.emplace(record.ref, record.stride_bytes);
      }
    }
    const auto it = strides_.find(ref);
    return it == strides_.end() ? 0 : it->second;
  }

  DType dtype(Range range) {
    const std::string dtype_name = text(range);
    if (dtype_name == name(DType::none)) return DType::none;
    const std::optional<DType> dtype = dtype_from_name(dtype_name);
    if (!dtype) is_damaged_ = true;
    return dtype.value_or(DType::none);
  }

 private:
  std::span<const std::byte> file_;
  tables::Header header_{};
  std::map<uint32_t, tables::DirectoryEntry> tables_;
  bool has_strides_ = false;
  std::map<uint64_t, int64_t> strides_;
  bool is_damaged_ = false;
  // Records that may still be read. Ranges may share records (names do), but a file whose ranges
  // all name everything must not make the decoder's memory grow with the square of its size.
  uint64_t budget_ = 0;
};

OrRefusal<FileReader> FileReader::open(std::span<const std::byte> file) {
  FileReader reader;
  reader.file_ = file;
  reader.budget_ = 16 * uint64_t{file.size()};
  if (file.size() < sizeof(tables::Header)) return refuse("the plan is truncated");
  std::memcpy(&reader.header_, file.data(), sizeof(tables::Header));
  if (reader.header_.magic != tables::kMagic) return refuse("the plan has a wrong magic number");
  if (reader.header_.major != kPlanMajorVersion) {
    return refuse(fmt::format("the plan has format version {}.{}; this runtime reads {}.x",
                              reader.header_.major, reader.header_.minor, kPlanMajorVersion));
  }
  const uint64_t directory_bytes =
      uint64_t{reader.header_.num_tables} * sizeof(tables::DirectoryEntry);
  if (directory_bytes > file.size() - sizeof(tables::Header)) {
    return refuse("the plan's directory is truncated");
  }
  for (uint32_t i = 0; i < reader.header_.num_tables; ++i) {
    tables::DirectoryEntry entry;
    std::memcpy(&entry, file.data() + sizeof(tables::Header) + i * sizeof(entry), sizeof(entry));
    if (entry.record_bytes == 0 || entry.offset_bytes > file.size() ||
        entry.count > (file.size() - entry.offset_bytes) / entry.record_bytes) {
      return refuse(fmt::format("the plan's table {} lies outside the file", entry.table));
    }
    if (!reader.tables_.emplace(entry.table, entry).second) {
      return refuse(fmt::format("the plan has table {} twice", entry.table));
    }
  }
  return reader;
}

template <class Enum>
Enum to_enum(FileReader& reader, uint32_t value, Enum last) {
  if (value <= static_cast<uint32_t>(last)) return static_cast<Enum>(value);
  reader.set_damaged();
  return last;
}

BufferRef read_ref(FileReader& reader, uint64_t index) {
  const auto record = reader.get<tables::Ref>(Table::refs, index);
  if (record.access < 1) reader.set_damaged();
  BufferRef ref{to_enum(reader, record.space, Space::host_slot),
                to_enum(reader, record.access, Access::read_write), record.index,
                record.offset_bytes, record.size_bytes};
  if (!reader.is_inside(Table::runs, record.touched)) return ref;
  for (uint32_t i = 0; i < record.touched.count && !reader.is_damaged(); ++i) {
    const auto run = reader.get<tables::Run>(Table::runs, uint64_t{record.touched.begin} + i);
    ref.touched.push_back({run.offset_bytes, run.size_bytes, run.stride_bytes, run.count});
  }
  ref.trip_stride_bytes = reader.trip_stride_bytes(index);
  return ref;
}

HostOperand read_host_operand(FileReader& reader, uint64_t index) {
  const auto record = reader.get<tables::HostOperand>(Table::host_operands, index);
  return {read_ref(reader, record.ref), reader.dtype(record.dtype), reader.numbers(record.dims)};
}

RunHostNode read_host_node(FileReader& reader, const tables::Step& record) {
  RunHostNode step{record.a, {}, {}};
  if (!reader.is_inside(Table::host_operands, record.hosts) || record.b > record.hosts.count) {
    reader.set_damaged();
    return step;
  }
  for (uint32_t i = 0; i < record.hosts.count; ++i) {
    (i < record.b ? step.operands : step.results)
        .push_back(read_host_operand(reader, uint64_t{record.hosts.begin} + i));
  }
  return step;
}

BlockId to_block_id(uint32_t index) { return index == BlockId::kNone ? BlockId() : BlockId(index); }

Loop read_loop(FileReader& reader, const tables::Step& record, const std::vector<BufferRef>& refs) {
  Loop loop;
  loop.max_trips = record.x;
  loop.body = to_block_id(record.a);
  const bool has_count = (record.b & tables::kLoopCount) != 0;
  const bool has_condition = (record.b & tables::kLoopCondition) != 0;
  if (refs.size() != size_t{1} + (has_count ? 1 : 0) + (has_condition ? 1 : 0)) {
    reader.set_damaged();
    return loop;
  }
  if (has_count) loop.count = refs[0];
  if (has_condition) loop.condition = refs[has_count ? 1 : 0];
  loop.iteration = refs.back();
  return loop;
}

Step read_step(FileReader& reader, uint64_t index) {
  const auto record = reader.get<tables::Step>(Table::steps, index);
  std::vector<BufferRef> refs;
  if (reader.is_inside(Table::refs, record.refs)) {
    for (uint32_t i = 0; i < record.refs.count; ++i) {
      refs.push_back(read_ref(reader, uint64_t{record.refs.begin} + i));
    }
  }
  const auto ref = [&](size_t i) {
    if (i < refs.size()) return refs[i];
    reader.set_damaged();
    return BufferRef{};
  };
  const ChannelId channel(record.a);
  switch (static_cast<tables::StepKind>(record.kind)) {
    case tables::StepKind::run_kernel:
      return RunKernel{KernelId(record.a), std::move(refs), record.x, record.y};
    case tables::StepKind::acquire:
      return Acquire{channel};
    case tables::StepKind::send:
      return Send{channel};
    case tables::StepKind::recv:
      return Recv{channel};
    case tables::StepKind::release:
      return Release{channel};
    case tables::StepKind::barrier:
      return Barrier{TeamId(record.a)};
    case tables::StepKind::fill:
      return Fill{ref(0), static_cast<uint64_t>(record.x), record.a};
    case tables::StepKind::copy:
      return Copy{ref(0), ref(1)};
    case tables::StepKind::host_node:
      return read_host_node(reader, record);
    case tables::StepKind::if_:
      return If{ref(0), to_block_id(record.a), to_block_id(record.b)};
    case tables::StepKind::loop:
      return read_loop(reader, record, refs);
  }
  reader.set_damaged();
  return Barrier{};
}

Type::Kind read_kind(FileReader& reader, uint8_t kind) {
  switch (static_cast<tables::ValueKind>(kind)) {
    case tables::ValueKind::tensor:
      return Type::Kind::tensor;
    case tables::ValueKind::sequence:
      return Type::Kind::sequence;
    case tables::ValueKind::optional:
      return Type::Kind::optional;
    case tables::ValueKind::optional_sequence:
      return Type::Kind::optional_sequence;
  }
  reader.set_damaged();
  return Type::Kind::none;
}

void read_model_tables(FileReader& reader, Plan& plan) {
  const auto model = reader.get<tables::Model>(Table::model, 0);
  plan.model_name = reader.text(model.name);
  plan.num_host_slots = model.num_host_slots;
  for (uint64_t i = 0; i < reader.count(Table::tensors) && !reader.is_damaged(); ++i) {
    const auto record = reader.get<tables::Tensor>(Table::tensors, i);
    (record.is_output != 0 ? plan.outputs : plan.inputs)
        .push_back({reader.text(record.name), reader.dtype(record.dtype),
                    reader.numbers(record.dims), record.size_bytes, read_kind(reader, record.kind),
                    record.is_unranked == 0});
  }
  for (uint64_t i = 0; i < reader.count(Table::constants) && !reader.is_damaged(); ++i) {
    const auto record = reader.get<tables::Constant>(Table::constants, i);
    plan.constants.push_back({{record.hash_low, record.hash_high},
                              record.size_bytes,
                              record.offset_bytes,
                              reader.text(record.name)});
  }
  for (uint64_t i = 0; i < reader.count(Table::kernels) && !reader.is_damaged(); ++i) {
    const auto record = reader.get<tables::Kernel>(Table::kernels, i);
    plan.kernels.push_back({reader.text(record.symbol), record.num_buffers, record.num_tiles});
  }
  for (uint64_t i = 0; i < reader.count(Table::channels) && !reader.is_damaged(); ++i) {
    const auto record = reader.get<tables::Channel>(Table::channels, i);
    Channel channel{reader.text(record.name), record.slot_bytes, record.depth, {}, {}};
    for (int64_t lane : reader.numbers(record.producers)) {
      channel.producers.push_back(LaneId(static_cast<size_t>(lane)));
    }
    for (int64_t lane : reader.numbers(record.consumers)) {
      channel.consumers.push_back(LaneId(static_cast<size_t>(lane)));
    }
    plan.channels.push_back(std::move(channel));
  }
}

std::vector<Allocation> read_allocations(FileReader& reader, Range range) {
  std::vector<Allocation> list;
  if (!reader.is_inside(Table::allocations, range)) return list;
  for (uint64_t i = 0; i < range.count && !reader.is_damaged(); ++i) {
    const auto a = reader.get<tables::Allocation>(Table::allocations, range.begin + i);
    list.push_back({reader.text(a.name), a.offset_bytes, a.size_bytes, a.first_step, a.last_step});
  }
  return list;
}

// Teams' allocations are laid one after the other; gives their number.
uint32_t read_teams(FileReader& reader, Plan& plan) {
  uint32_t num_allocations = 0;
  for (uint64_t i = 0; i < reader.count(Table::teams) && !reader.is_damaged(); ++i) {
    const auto record = reader.get<tables::Team>(Table::teams, i);
    if (record.allocations.begin != num_allocations) reader.set_damaged();
    Team team{LaneId(record.first_lane), record.num_lanes, record.shared_bytes, {}};
    team.allocations = read_allocations(reader, record.allocations);
    num_allocations += record.allocations.count;
    plan.teams.push_back(std::move(team));
  }
  return num_allocations;
}

Lane read_lane_tables(FileReader& reader, uint32_t num_team_allocations) {
  Lane lane;
  const auto record = reader.get<tables::Lane>(Table::lane, 0);
  lane.kind = to_enum(reader, record.kind, LaneKind::host);
  lane.core = record.core;
  lane.arena_bytes = record.arena_bytes;
  const auto num_allocations = static_cast<uint32_t>(reader.count(Table::allocations));
  lane.allocations = read_allocations(
      reader,
      {num_team_allocations, num_allocations - std::min(num_allocations, num_team_allocations)});
  // Blocks are laid one after the other, so that no table can make the decoder multiply its work.
  uint64_t next_step = 0;
  for (uint64_t i = 0; i < reader.count(Table::blocks) && !reader.is_damaged(); ++i) {
    const auto range = reader.get<Range>(Table::blocks, i);
    if (range.begin != next_step || !reader.is_inside(Table::steps, range)) {
      reader.set_damaged();
      break;
    }
    next_step += range.count;
    std::vector<Step> steps;
    for (uint32_t s = 0; s < range.count && !reader.is_damaged(); ++s) {
      steps.push_back(read_step(reader, uint64_t{range.begin} + s));
    }
    lane.blocks.push_back({std::move(steps)});
  }
  return lane;
}

}  // namespace

OrRefusal<Plan> decode(std::span<const std::span<const std::byte>> lane_files) {
  Plan plan;
  if (lane_files.empty()) return refuse("there is no plan");
  for (size_t i = 0; i < lane_files.size(); ++i) {
    auto reader = FileReader::open(lane_files[i]);
    if (!reader) return refuse(fmt::format("sg{:02}: {}", i, reader.error().reason));
    if (reader->header().lane != i || reader->header().num_lanes != lane_files.size()) {
      return refuse(fmt::format("sg{:02}: the plan is of another lane or model", i));
    }
    uint32_t num_team_allocations = 0;
    if (i == 0) {
      read_model_tables(*reader, plan);
      num_team_allocations = read_teams(*reader, plan);
    }
    plan.lanes.push_back(read_lane_tables(*reader, num_team_allocations));
    if (reader->is_damaged()) {
      return refuse(fmt::format("sg{:02}: the plan's tables contradict each other", i));
    }
  }
  return plan;
}

}  // namespace neuronc::plan
