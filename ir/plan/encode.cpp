// Writes a plan as tables; the layout stands in tables.h.
#include <cstring>
#include <map>
#include <string_view>

#include "ir/plan/binary.h"
#include "ir/plan/tables.h"

namespace neuronc::plan {
namespace {

using tables::Range;
using tables::Table;

template <class T>
void append_bytes(std::vector<std::byte>& out, const T& record) {
  const size_t size = out.size();
  out.resize(size + sizeof(T));
  std::memcpy(out.data() + size, &record, sizeof(T));
}

// Collects the tables of one lane's file.
class FileWriter {
 public:
  template <class T>
  uint32_t add(Table table, const T& record) {
    Content& content = tables_[table];
    content.record_bytes = sizeof(T);
    append_bytes(content.bytes, record);
    return static_cast<uint32_t>(content.count++);
  }

  Range add_text(std::string_view text) {
    const auto [it, is_new] = texts_.try_emplace(std::string(text));
    if (is_new) {
      it->second.begin = count(Table::strings);
      for (char c : text) add(Table::strings, c);
      it->second.count = static_cast<uint32_t>(text.size());
    }
    return it->second;
  }

  template <class Numbers>
  Range add_numbers(const Numbers& numbers) {
    const Range range{count(Table::numbers), static_cast<uint32_t>(numbers.size())};
    for (const int64_t number : numbers) add(Table::numbers, number);
    return range;
  }

  uint32_t count(Table table) { return static_cast<uint32_t>(tables_[table].count); }

  std::vector<std::byte> finish(uint32_t lane, uint32_t num_lanes) const {
    std::vector<std::byte> file;
    append_bytes(file, tables::Header{tables::kMagic, kPlanMajorVersion, kPlanMinorVersion, lane,
                                      num_lanes, static_cast<uint32_t>(tables_.size()), 0});
    uint64_t offset = file.size() + tables_.size() * sizeof(tables::DirectoryEntry);
    for (const auto& [table, content] : tables_) {
      append_bytes(file, tables::DirectoryEntry{static_cast<uint32_t>(table), content.record_bytes,
                                                offset, content.count});
      offset += padded(content.bytes.size());
    }
    for (const auto& [table, content] : tables_) {
      file.insert(file.end(), content.bytes.begin(), content.bytes.end());
      file.resize(file.size() + padded(content.bytes.size()) - content.bytes.size());
    }
    return file;
  }

 private:
  struct Content {
    uint32_t record_bytes = 1;
    uint64_t count = 0;
    std::vector<std::byte> bytes;
  };
  static uint64_t padded(uint64_t size_bytes) { return (size_bytes + 7) / 8 * 8; }

  std::map<Table, Content> tables_;
  std::map<std::string, Range> texts_;
};

tables::Ref to_record(FileWriter& writer, const BufferRef& ref) {
  if (ref.trip_stride_bytes != 0) {
    writer.add(Table::trip_strides,
               tables::TripStride{writer.count(Table::refs), 0, ref.trip_stride_bytes});
  }
  const Range touched{writer.count(Table::runs), static_cast<uint32_t>(ref.touched.size())};
  for (const Run& run : ref.touched) {
    writer.add(Table::runs,
               tables::Run{run.offset_bytes, run.size_bytes, run.stride_bytes, run.count});
  }
  return {static_cast<uint8_t>(ref.space),
          static_cast<uint8_t>(ref.access),
          0,
          ref.index,
          ref.offset_bytes,
          ref.size_bytes,
          touched};
}

// Turns steps into records; one call per kind of step.
class StepEncoder {
 public:
  explicit StepEncoder(FileWriter& writer) : writer_(writer) {}

  tables::Step operator()(const RunKernel& step) {
    return {kind(tables::StepKind::run_kernel),
            step.kernel.index,
            0,
            0,
            refs(step.buffers),
            {},
            step.tile_begin,
            step.tile_end};
  }
  tables::Step operator()(const Acquire& step) {
    return channel(tables::StepKind::acquire, step.channel);
  }
  tables::Step operator()(const Send& step) {
    return channel(tables::StepKind::send, step.channel);
  }
  tables::Step operator()(const Recv& step) {
    return channel(tables::StepKind::recv, step.channel);
  }
  tables::Step operator()(const Release& step) {
    return channel(tables::StepKind::release, step.channel);
  }
  tables::Step operator()(const Barrier& step) {
    return {kind(tables::StepKind::barrier), step.team.index};
  }
  tables::Step operator()(const Fill& step) {
    return {kind(tables::StepKind::fill),
            step.pattern_bytes,
            0,
            0,
            refs({step.target}),
            {},
            static_cast<int64_t>(step.pattern),
            0};
  }
  tables::Step operator()(const Copy& step) {
    return {kind(tables::StepKind::copy), 0, 0, 0, refs({step.source, step.target})};
  }
  tables::Step operator()(const RunHostNode& step) {
    const auto num_operands = static_cast<uint32_t>(step.operands.size());
    std::vector<tables::HostOperand> records;
    for (const auto* list : {&step.operands, &step.results}) {
      for (const HostOperand& operand : *list) records.push_back(to_host_record(operand));
    }
    const Range hosts{writer_.count(Table::host_operands), static_cast<uint32_t>(records.size())};
    for (const tables::HostOperand& record : records) writer_.add(Table::host_operands, record);
    return {kind(tables::StepKind::host_node), step.host_node, num_operands, 0, {}, hosts};
  }
  tables::Step operator()(const If& step) {
    return {kind(tables::StepKind::if_), step.then_block.index, step.else_block.index, 0,
            refs({step.condition})};
  }
  tables::Step operator()(const Loop& step) {
    std::vector<BufferRef> list;
    uint32_t present = 0;
    if (step.count) {
      present |= tables::kLoopCount;
      list.push_back(*step.count);
    }
    if (step.condition) {
      present |= tables::kLoopCondition;
      list.push_back(*step.condition);
    }
    list.push_back(step.iteration);
    return {
        kind(tables::StepKind::loop), step.body.index, present, 0, refs(list), {}, step.max_trips};
  }

 private:
  static uint32_t kind(tables::StepKind kind) { return static_cast<uint32_t>(kind); }
  static tables::Step channel(tables::StepKind step_kind, ChannelId id) {
    return {kind(step_kind), id.index};
  }
  Range refs(const std::vector<BufferRef>& list) {
    const Range range{writer_.count(Table::refs), static_cast<uint32_t>(list.size())};
    for (const BufferRef& ref : list) writer_.add(Table::refs, to_record(writer_, ref));
    return range;
  }
  tables::HostOperand to_host_record(const HostOperand& operand) {
    const uint32_t ref = writer_.add(Table::refs, to_record(writer_, operand.ref));
    return {ref, 0, writer_.add_text(name(operand.dtype)), writer_.add_numbers(operand.dims)};
  }

  FileWriter& writer_;
};

uint8_t to_record(Type::Kind kind) {
  switch (kind) {
    case Type::Kind::sequence:
      return static_cast<uint8_t>(tables::ValueKind::sequence);
    case Type::Kind::optional:
      return static_cast<uint8_t>(tables::ValueKind::optional);
    case Type::Kind::optional_sequence:
      return static_cast<uint8_t>(tables::ValueKind::optional_sequence);
    default:
      return static_cast<uint8_t>(tables::ValueKind::tensor);
  }
}

void add_tensor(FileWriter& writer, const TensorSpec& tensor, uint8_t is_output) {
  writer.add(
      Table::tensors,
      tables::Tensor{writer.add_text(tensor.name), writer.add_text(name(tensor.dtype)),
                     writer.add_numbers(tensor.dims), tensor.size_bytes, is_output,
                     to_record(tensor.kind), static_cast<uint8_t>(tensor.is_ranked ? 0 : 1), 0, 0});
}

Range add_allocations(FileWriter& writer, const std::vector<Allocation>& list) {
  const Range range{writer.count(Table::allocations), static_cast<uint32_t>(list.size())};
  for (const Allocation& allocation : list) {
    writer.add(
        Table::allocations,
        tables::Allocation{writer.add_text(allocation.name), allocation.offset_bytes,
                           allocation.size_bytes, allocation.first_step, allocation.last_step});
  }
  return range;
}

void add_model_tables(FileWriter& writer, const Plan& plan) {
  writer.add(Table::model, tables::Model{writer.add_text(plan.model_name), plan.num_host_slots, 0});
  for (const TensorSpec& tensor : plan.inputs) add_tensor(writer, tensor, 0);
  for (const TensorSpec& tensor : plan.outputs) add_tensor(writer, tensor, 1);
  for (const Constant& constant : plan.constants) {
    writer.add(Table::constants,
               tables::Constant{constant.hash.low, constant.hash.high, constant.size_bytes,
                                constant.offset_bytes, writer.add_text(constant.name)});
  }
  for (const Kernel& kernel : plan.kernels) {
    writer.add(Table::kernels, tables::Kernel{writer.add_text(kernel.symbol), kernel.num_tiles,
                                              kernel.num_buffers, 0});
  }
  for (const Channel& channel : plan.channels) {
    std::vector<int64_t> producers, consumers;
    for (LaneId lane : channel.producers) producers.push_back(lane.index);
    for (LaneId lane : channel.consumers) consumers.push_back(lane.index);
    writer.add(Table::channels,
               tables::Channel{writer.add_text(channel.name), channel.slot_bytes, channel.depth, 0,
                               writer.add_numbers(producers), writer.add_numbers(consumers)});
  }
  for (const Team& team : plan.teams) {
    const Range allocations = add_allocations(writer, team.allocations);
    writer.add(Table::teams,
               tables::Team{team.first_lane.index, team.num_lanes, team.shared_bytes, allocations});
  }
}

void add_steps(FileWriter& writer, const std::vector<Step>& steps) {
  const Range range{writer.count(Table::steps), static_cast<uint32_t>(steps.size())};
  writer.add(Table::blocks, range);
  StepEncoder encoder(writer);
  for (const Step& step : steps) writer.add(Table::steps, std::visit(encoder, step));
}

void add_lane_tables(FileWriter& writer, const Lane& lane) {
  writer.add(Table::lane,
             tables::Lane{lane.arena_bytes, static_cast<uint32_t>(lane.kind), lane.core});
  add_allocations(writer, lane.allocations);
  for (const Block& block : lane.blocks) add_steps(writer, block.steps);
}

}  // namespace

std::vector<std::vector<std::byte>> encode(const Plan& plan) {
  std::vector<std::vector<std::byte>> files;
  for (uint32_t i = 0; i < plan.lanes.size(); ++i) {
    FileWriter writer;
    if (i == 0) add_model_tables(writer, plan);
    add_lane_tables(writer, plan.lanes[i]);
    files.push_back(writer.finish(i, static_cast<uint32_t>(plan.lanes.size())));
  }
  return files;
}

}  // namespace neuronc::plan
