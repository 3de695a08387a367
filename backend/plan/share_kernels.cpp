// Implements share_kernels.h.
#include "backend/plan/share_kernels.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace neuronc {
namespace {

using kernel::Kernel;
using kernel::Op;
using kernel::OpCode;
using kernel::OpId;
using kernel::ValueId;

constexpr std::string_view kScalars = "scalars";

bool is_scalar_dtype(DType dtype) {
  return kernel::is_kernel_dtype(dtype) && dtype != DType::boolean;
}

// Values that code generation wants as numbers: divisors and distances of shifts.
std::set<ValueId> values_kept(const Kernel& kernel) {
  std::set<ValueId> kept;
  for (const Op& op : kernel.ops) {
    const bool is_of_integers = !op.results.empty() && is_integer(kernel.type(op.results[0]).dtype);
    const bool divides = is_of_integers && (op.code == OpCode::div || op.code == OpCode::rem);
    const bool shifts =
        op.code == OpCode::shl || op.code == OpCode::lshr || op.code == OpCode::ashr;
    if (divides || shifts) kept.insert(op.operands[1]);
  }
  return kept;
}

// A constant that may become a parameter, and where it stands.
struct Scalar {
  OpId op;
  kernel::BlockId block;
};

// In the order in which kernels are printed and compared.
void add_scalars_of(const Kernel& kernel, kernel::BlockId block, const std::set<ValueId>& kept,
                    std::vector<Scalar>& scalars) {
  for (OpId id : kernel.block(block).ops) {
    const Op& op = kernel.op(id);
    for (kernel::BlockId inner : op.blocks) {
      if (inner) add_scalars_of(kernel, inner, kept, scalars);
    }
    if (op.code != OpCode::constant || op.immediates.size() != 1 || kept.contains(op.results[0])) {
      continue;
    }
    if (is_scalar_dtype(kernel.type(op.results[0]).dtype)) scalars.push_back({id, block});
  }
}

// A kernel of the table with its scalars taken out.
struct Candidate {
  std::vector<Scalar> scalars;
  std::vector<int64_t> bits;
};

struct Family {
  std::vector<size_t> members;  // of the table
};

// The elements of one dtype's parameter.
struct ScalarBuffer {
  DType dtype = DType::none;
  std::vector<size_t> places;  // in Candidate::scalars
};

class Sharer {
 public:
  explicit Sharer(LoweredModule& lowered) : lowered_(lowered) {}

  void run() {
    entries_ = lowered_.kernels.take_entries();
    find_families();
    std::vector<std::optional<plan::KernelId>> new_ids(entries_.size());
    KernelTable table;
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (new_ids[i]) continue;
      const Family* family = family_of(i);
      const std::vector<ScalarBuffer> buffers =
          family == nullptr ? std::vector<ScalarBuffer>() : differing(*family);
      const bool is_shared =
          family != nullptr && share(entries_[i].kernel, candidates_[i], buffers);
      const auto num_added = static_cast<uint32_t>(is_shared ? buffers.size() : 0);
      const plan::KernelId id =
          table.add(std::move(entries_[i].kernel), entries_[i].num_buffers + num_added);
      for (size_t member : is_shared ? family->members : std::vector<size_t>{i}) {
        new_ids[member] = id;
        for (std::string& alias : entries_[member].aliases) {
          table.keep_alias(id, std::move(alias));
        }
        if (is_shared) buffers_of_[member] = buffers;
      }
    }
    for (LoweredNode& node : lowered_.nodes) {
      const size_t old = node.kernel.index;
      node.kernel = *new_ids[old];
      if (const auto it = buffers_of_.find(old); it != buffers_of_.end()) {
        add_scalars(node, candidates_[old], it->second);
      }
    }
    lowered_.kernels = std::move(table);
  }

 private:
  // What kernels of one structure have in common, and is cheaper to compare.
  using Size = std::tuple<int64_t, size_t, size_t>;
  static Size size_of(const Kernel& kernel) {
    return {kernel.num_tiles, kernel.ops.size(), kernel.buffers.size()};
  }

  void find_families() {
    std::map<Size, size_t> num_of_size;
    for (const KernelTable::Entry& entry : entries_) ++num_of_size[size_of(entry.kernel)];
    std::map<Hash128, Family> by_structure;
    candidates_.resize(entries_.size());
    for (size_t i = 0; i < entries_.size(); ++i) {
      Kernel& kernel = entries_[i].kernel;
      if (num_of_size[size_of(kernel)] < kFewestShared) continue;
      Candidate& candidate = candidates_[i];
      add_scalars_of(kernel, kernel.body, values_kept(kernel), candidate.scalars);
      for (const Scalar& scalar : candidate.scalars) {
        candidate.bits.push_back(std::exchange(kernel.ops[scalar.op.index].immediates[0], 0));
      }
      by_structure[structural_hash(kernel)].members.push_back(i);
      for (size_t k = 0; k < candidate.scalars.size(); ++k) {
        kernel.ops[candidate.scalars[k].op.index].immediates[0] = candidate.bits[k];
      }
    }
    for (auto& [structure, family] : by_structure) {
      if (family.members.size() < kFewestShared) continue;
      for (size_t member : family.members) family_index_[member] = families_.size();
      families_.push_back(std::move(family));
    }
  }

  const Family* family_of(size_t entry) const {
    const auto it = family_index_.find(entry);
    return it == family_index_.end() ? nullptr : &families_[it->second];
  }

  // The scalars on which the members do not agree, by dtype.
  std::vector<ScalarBuffer> differing(const Family& family) const {
    const size_t first = family.members[0];
    const Candidate& reference = candidates_[first];
    std::map<DType, ScalarBuffer> buffers;
    for (size_t place = 0; place < reference.scalars.size(); ++place) {
      const bool agree = std::all_of(
          family.members.begin(), family.members.end(),
          [&](size_t member) { return candidates_[member].bits[place] == reference.bits[place]; });
      if (agree) continue;
      const Kernel& kernel = entries_[first].kernel;
      const DType dtype = kernel.type(kernel.op(reference.scalars[place].op).results[0]).dtype;
      buffers[dtype].dtype = dtype;
      buffers[dtype].places.push_back(place);
    }
    std::vector<ScalarBuffer> list;
    for (auto& [dtype, buffer] : buffers) list.push_back(std::move(buffer));
    return list;
  }

  // Turns constants into loads at the beginning of each tile. False, and the kernel as it was, if
  // there is nothing to turn.
  static bool share(Kernel& kernel, const Candidate& candidate,
                    const std::vector<ScalarBuffer>& buffers) {
    if (buffers.empty()) return false;
    std::vector<OpId> loads;
    for (const ScalarBuffer& scalars : buffers) {
      const kernel::BufferId buffer(kernel.buffers.size());
      kernel.buffers.push_back({std::string(kScalars),
                                scalars.dtype,
                                {static_cast<int64_t>(scalars.places.size())},
                                {1}});
      for (size_t k = 0; k < scalars.places.size(); ++k) {
        loads.push_back(load_scalar(kernel, buffer, static_cast<int64_t>(k),
                                    candidate.scalars[scalars.places[k]]));
      }
    }
    std::vector<OpId>& body = kernel.blocks[kernel.body.index].ops;
    body.insert(body.begin(), loads.begin(), loads.end());
    return true;
  }

  // Gives the constant's value by a load, which is not yet in a block.
  static OpId load_scalar(Kernel& kernel, kernel::BufferId buffer, int64_t index, Scalar constant) {
    Op load{OpCode::load};
    load.buffer = buffer;
    load.indices = {kernel.indices().constant(index)};
    const kernel::ValueType type = kernel.type(kernel.op(constant.op).results[0]);
    if (type.lanes == 1) {
      load.results = kernel.op(constant.op).results;
      kernel.ops[constant.op.index] = std::move(load);
      std::erase(kernel.blocks[constant.block.index].ops, constant.op);
      return constant.op;
    }
    const OpId id(kernel.ops.size());
    const ValueId scalar(kernel.values.size());
    kernel.values.push_back({{type.dtype, 1}, id});
    load.results = {scalar};
    kernel.ops.push_back(std::move(load));
    Op& op = kernel.ops[constant.op.index];
    op.code = OpCode::splat;
    op.operands = {scalar};
    op.immediates.clear();
    return id;
  }

  void add_scalars(LoweredNode& node, const Candidate& candidate,
                   const std::vector<ScalarBuffer>& buffers) {
    for (const ScalarBuffer& scalars : buffers) {
      Tensor tensor = Tensor::zeros(scalars.dtype, {static_cast<int64_t>(scalars.places.size())});
      const auto width = static_cast<size_t>(size_bytes(scalars.dtype));
      for (size_t k = 0; k < scalars.places.size(); ++k) {
        std::memcpy(tensor.mutable_data() + k * width, &candidate.bits[scalars.places[k]], width);
      }
      node.packed_constants.push_back(lowered_.constants.add(tensor, std::string(kScalars)));
      KernelBuffer buffer;
      buffer.kind = KernelBuffer::Kind::packed;
      buffer.size_bytes = tensor.size_bytes();
      node.buffers.push_back(std::move(buffer));
    }
  }

  LoweredModule& lowered_;
  std::vector<KernelTable::Entry> entries_;
  std::vector<Candidate> candidates_;
  std::vector<Family> families_;
  std::map<size_t, size_t> family_index_;
  std::map<size_t, std::vector<ScalarBuffer>> buffers_of_;
};

}  // namespace

void share_kernels(LoweredModule& lowered) { Sharer(lowered).run(); }

}  // namespace neuronc
