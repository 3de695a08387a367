// The lowering of tree_ensemble. A tile walks some rows down every tree at once: the steps of one
// row depend on each other, those of different rows do not.
#include <algorithm>
#include <limits>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

constexpr size_t kFeatures = 1, kModes = 2, kThresholds = 3, kYes = 4, kNo = 5, kMissing = 6,
                 kRoots = 7, kDepths = 8, kLeafBegins = 9, kTargets = 10, kWeights = 11;
constexpr int64_t kMostRows = 8;       // of a tile: one register each
constexpr int64_t kMostScores = 8192;  // rows times targets of a tile, on the stack

int64_t rows_per_tile(const std::vector<int64_t>& y) {
  return std::clamp<int64_t>(kMostScores / std::max<int64_t>(y[1], 1), 1,
                             std::min(kMostRows, y[0]));
}

class Forest {
 public:
  Forest(GroupEmitter& e, const Node& node)
      : e_(e), b_(e.builder()), node_(node), y_(e.shape(node.results[0])) {
    carrier_ = e.type(node.operands[0]).dtype;
    rows_ = rows_per_tile(y_);
    scores_ = b_.local("scores", carrier_, {rows_, y_[1]});
    aggregate_ = node.view().string("aggregate");
    for (size_t i = kFeatures; i <= kWeights; ++i) {
      // Tables without entries have one that nobody reads.
      const Tensor& table = *e.constant_of(node.operands[i]);
      sizes_[i] = table.num_elements();
      tables_[i] = e.packed_buffer(std::string(node.def().operands[i].name),
                                   sizes_[i] > 0 ? table : Tensor::zeros(table.dtype(), {1}));
    }
    const std::vector<int64_t> modes = constant(kModes).to_ints();
    mode_ = modes.empty() ? 0 : modes[0];
    has_one_mode_ = std::all_of(modes.begin(), modes.end(), [&](int64_t m) { return m == mode_; });
    for (int64_t missing : constant(kMissing).to_ints()) tracks_missing_ |= missing != 0;
    for (int64_t depth : constant(kDepths).to_ints()) deepest_ = std::max(deepest_, depth);
  }

  void run() {
    const bool has_order = aggregate_ == "min" || aggregate_ == "max";
    const double least = std::numeric_limits<double>::infinity();
    const double initial = !has_order ? 0 : aggregate_ == "min" ? least : -least;
    each_score([&](Index row, Index target) { b_.store(scores_, {row, target}, number(initial)); });
    if (sizes_[kRoots] > 0) e_.loop({0, sizes_[kRoots], 1}, [&](Index tree) { walk(tree); });
    each_score([&](Index row, Index target) { store(row, target); });
  }

 private:
  const Tensor& constant(size_t i) { return *e_.constant_of(node_.operands[i]); }
  Register number(double value) { return b_.constant({carrier_, 1}, value); }
  Register entry(size_t table, Index i) { return b_.load(tables_[table], {i}); }
  Register wide(Register value) { return b_.convert(value, DType::i64); }
  Index checked(Register value, int64_t bound) { return b_.check_index(wide(value), bound); }

  void each_score(const std::function<void(Index, Index)>& body) {
    e_.loop({0, rows_, 1},
            [&](Index row) { e_.loop({0, y_[1], 1}, [&](Index target) { body(row, target); }); });
  }

  // Row `row` of the tile; the last tile reads its last row again where it has fewer.
  Index row_of_tensor(Index row) {
    return kernel::min(b_.tile() * Index(rows_) + row, Index(y_[0] - 1));
  }

  Register compare(int64_t mode, Register x, Register threshold) {
    switch (mode) {
      case 0:
        return b_.le(x, threshold);
      case 1:
        return b_.lt(x, threshold);
      case 2:
        return b_.ge(x, threshold);
      case 3:
        return b_.gt(x, threshold);
      case 4:
        return b_.eq(x, threshold);
      default:
        return b_.ne(x, threshold);
    }
  }

  Register is_yes(Index node, Register x) {
    const Register threshold = entry(kThresholds, node);
    Register yes = compare(mode_, x, threshold);
    if (!has_one_mode_) {
      const Register mode = entry(kModes, node);
      yes = compare(0, x, threshold);
      for (int64_t m = 1; m < 6; ++m) {
        const Register is_mode = b_.eq(mode, b_.constant_bits(mode.type, m));
        yes = b_.select(is_mode, compare(m, x, threshold), yes);
      }
    }
    if (!tracks_missing_) return yes;
    const Register flag = entry(kMissing, node);
    const Register goes = b_.ne(flag, b_.zero(flag.type));
    return b_.bit_or(yes, b_.bit_and(b_.ne(x, x), goes));
  }

  Register step(Index row, Register place) {
    const Index node = b_.check_index(place, sizes_[kFeatures]);
    const int64_t num_features = e_.shape(node_.operands[0])[1];
    const Index feature = checked(entry(kFeatures, node), num_features);
    const Register x = e_.pull(node_.operands[0], LaneIndex::scalar({row_of_tensor(row), feature}));
    return wide(b_.select(is_yes(node, x), entry(kYes, node), entry(kNo, node)));
  }

  void walk(Index tree) {
    const Register root = wide(entry(kRoots, tree));
    const Index depth = checked(entry(kDepths, tree), deepest_ + 1);
    Values places(static_cast<size_t>(rows_), root);
    if (deepest_ > 0) {
      places = e_.loop({0, depth, 1}, places, [&](Index, std::span<const Register> carried) {
        Values next;
        for (size_t r = 0; r < carried.size(); ++r) {
          next.push_back(step(Index(static_cast<int64_t>(r)), carried[r]));
        }
        return next;
      });
    }
    for (size_t r = 0; r < places.size(); ++r) add_leaf(Index(static_cast<int64_t>(r)), places[r]);
  }

  void add_leaf(Index row, Register place) {
    if (sizes_[kTargets] == 0) return;
    const Index node = b_.check_index(place, sizes_[kFeatures]);
    const Register begin = wide(entry(kLeafBegins, node));
    const Register count = b_.sub(wide(entry(kLeafBegins, node + Index(1))), begin);
    e_.loop({0, b_.check_index(count, sizes_[kTargets] + 1), 1}, [&](Index i) {
      const Index at = b_.check_index(b_.add(begin, b_.index_value(i)), sizes_[kTargets]);
      const Index target = checked(entry(kTargets, at), y_[1]);
      const Register weight = entry(kWeights, at), old = b_.load(scores_, {row, target});
      const Register next = aggregate_ == "min"   ? b_.min_num(weight, old)
                            : aggregate_ == "max" ? b_.max_num(weight, old)
                                                  : b_.add(old, weight);
      b_.store(scores_, {row, target}, next);
    });
  }

  void store(Index row, Index target) {
    Register score = b_.load(scores_, {row, target});
    if (aggregate_ == "average" && sizes_[kRoots] > 0) {
      score = b_.div(score, number(static_cast<double>(sizes_[kRoots])));
    }
    if (aggregate_ == "min" || aggregate_ == "max") {
      const Register infinity = number(std::numeric_limits<double>::infinity());
      score = b_.select(b_.eq(b_.abs(score), infinity), number(0), score);
    }
    const Index place = b_.tile() * Index(rows_) + row;
    e_.when({{place, 0, y_[0]}}, [&] {
      const LaneIndex at = LaneIndex::scalar({place, target});
      e_.provide(node_.results[0], at, score);
      e_.store_results(at);
    });
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  std::vector<int64_t> y_;
  DType carrier_;
  int64_t rows_ = 1, mode_ = 0, deepest_ = 0;
  bool has_one_mode_ = true, tracks_missing_ = false;
  std::string aggregate_;
  BufferId scores_;
  std::array<BufferId, 12> tables_;
  std::array<int64_t, 12> sizes_{};
};

int64_t forest_tiles(const Graph& body, const Node& node) {
  const std::vector<int64_t> y = body.type(node.results[0]).shape();
  if (num_elements(y) == 0) return 1;
  const int64_t rows = rows_per_tile(y);
  return (y[0] + rows - 1) / rows;
}

void nest_forest(GroupEmitter& e, const Node& node) {
  if (e.type(node.results[0]).num_elements() > 0) Forest(e, node).run();
}

OrRefusal<void> accepts_forest(const Module& module, const Graph& graph, const Node& node) {
  for (size_t i = kFeatures; i <= kWeights; ++i) {
    if (module.constant_of(graph, node.operands[i]) == nullptr) {
      return refuse("its tables are not constant");
    }
  }
  if (graph.type(node.results[0]).shape()[1] > kMostScores) {
    return refuse("it has more than 8192 targets");
  }
  if (graph.type(node.operands[0]).shape()[1] == 0) return refuse("its rows are empty");
  return {};
}

}  // namespace

void add_tree_ensemble_lowerings(LoweringTable& t) {
  row(t, Op::tree_ensemble) = {nullptr, nest_forest, forest_tiles, accepts_forest};
}

}  // namespace neuronc
