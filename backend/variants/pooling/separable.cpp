// Pools of large windows, and pools on row-major images: first down the columns, then along rows.
//
//   for row of the result:
//     columns[x] = fold of x[rows of the window, x]            once per input column
//     y[q]       = fold of columns[q * stride + t * dilation] over the window's columns t
//
// A window of r x s costs r + s loads instead of r * s. Lanes run along whichever of channels and
// image columns is consecutive in memory. Columns stand in a buffer with borders, so that only the
// first fold knows where the image ends. Along image columns a stride of 2 is taken out when they
// are stored: even and odd ones apart, so that every load is of consecutive elements.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/lower/reduce.h"
#include "backend/variants/variant.h"
#include "ir/ops/window.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

// Taps along a row that are unrolled.
constexpr int64_t kMaxUnrolled = 16;

struct Plan {
  Op op = Op::max_pool;
  Window window;
  std::vector<int64_t> x, y;
  bool counts_pads = false;          // average_pool
  bool is_l1 = false;                // lp_pool
  bool runs_along_channels = false;  // otherwise along the last image dim; known in `lower`

  size_t last() const { return window.rank() - 1; }
  int64_t stride() const { return window.strides[last()]; }
  int64_t taps() const { return window.kernel[last()]; }
  int64_t pad() const { return window.pads_begin[last()]; }
  // Padded positions that some window meets, and those of the image among them.
  int64_t positions() const {
    const int64_t reach = (y.back() - 1) * stride() + (taps() - 1) * window.dilations[last()] + 1;
    return std::max(reach, pad() + x.back());
  }
  // Taps of result `q` along `axis` that count as elements.
  int64_t count(size_t axis, int64_t q) const {
    const int64_t first = q * window.strides[axis] - window.pads_begin[axis];
    const int64_t lo = counts_pads ? -window.pads_begin[axis] : 0;
    const int64_t hi = x[axis + 2] + (counts_pads ? window.pads_end[axis] : 0);
    int64_t taps = 0;
    for (int64_t t = 0; t < window.kernel[axis]; ++t) {
      const int64_t at = first + t * window.dilations[axis];
      taps += at >= lo && at < hi ? 1 : 0;
    }
    return taps;
  }
};

// Whether neither what makes the operand nor what reads the results wants channels innermost: then
// the image is taken as it comes in.
bool stays_row_major(const GroupContext& context) {
  if (context.operand_shape(0)[1] < context.machine.lanes(4)) return true;
  const ValueId input = context.outer_of(context.anchor_node().operands[0]);
  if (!input || context.graph.producer(input)) return false;
  for (ValueId result : context.graph.node(context.group).results) {
    if (context.graph.value(result).num_output_uses == 0) return false;
  }
  return true;
}

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  const Node& node = context.anchor_node();
  plan.op = node.op;
  plan.x = context.operand_shape(0);
  plan.y = context.result_shape();
  if (node.results.size() > 1) return refuse("it has a second result");
  if (plan.x.size() < 3 || plan.x.size() > 5) return refuse("one to three spatial dims only");
  if (num_elements(plan.x) == 0 || num_elements(plan.y) == 0) return refuse("it has no elements");
  NEURONC_ASSIGN(plan.window, window_of(node.view(), node.view().ints("kernel_shape")));
  if (num_elements(plan.window.kernel) == 0) return refuse("its window is empty");
  plan.counts_pads = node.op == Op::average_pool && node.view().i64("count_include_pad") != 0;
  if (node.op == Op::lp_pool) {
    const int64_t p = node.view().i64("p");
    if (p != 1 && p != 2) return refuse("its norm is neither 1 nor 2");
    plan.is_l1 = p == 1;
  }
  return plan;
}

// Elements loaded for one result.
double loads_of(const Plan& plan) {
  const int64_t taps = num_elements(plan.window.kernel);
  return static_cast<double>(taps / plan.taps() * plan.stride() + plan.taps());
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const double direct = static_cast<double>(num_elements(plan.window.kernel));
  // The buffer costs a store and a load.
  if (!stays_row_major(context) && direct <= loads_of(plan) + 2) {
    return refuse("its window is small");
  }
  const HardwareModel& hardware = context.machine.hardware;
  const double loads = static_cast<double>(num_elements(plan.y)) * loads_of(plan);
  return hardware.launch_ns + loads / hardware.vector_flops_per_s * 1e9;
}

class Emitter {
 public:
  Emitter(GroupEmitter& e, const Node& node, const Plan& plan)
      : e_(e), b_(e.builder()), node_(node), plan_(plan) {
    const DType declared = e.type(node.operands[0]).dtype;
    carrier_ = carrier_of(declared);
    lanes_ = std::max(1, e.machine().isa.vector_bytes / std::max(4, size_bytes(carrier_)));
    if (plan.runs_along_channels) {
      columns_ = e.workspace("columns", carrier_, {plan.positions(), lanes_});
      return;
    }
    phases_ = plan.stride() == 2 ? 2 : 1;
    // Loads of the last results run past what they need, and stores past the image.
    const int64_t longest = std::max(
        (plan.y.back() - 1) * plan.stride() + (plan.taps() - 1) * dilation() + 1, plan.positions());
    phase_length_ = round_up(longest / phases_ + 2 + int64_t{lanes_} * 2 * plan.stride());
    columns_ = e.workspace("columns", carrier_, {phases_, phase_length_});
  }

  // `tile` is one row of the result: of one image, or of one channel.
  void run(Index tile) {
    Index rest = tile;
    const auto take = [&rest](int64_t extent) {
      const Index index = kernel::mod(rest, extent);
      rest = kernel::floor_div(rest, extent);
      return extent == 1 ? Index(0) : index;
    };
    outer_.assign(plan_.window.rank() - 1, Index(0));
    for (size_t axis = outer_.size(); axis-- > 0;) outer_[axis] = take(plan_.y[axis + 2]);
    if (plan_.runs_along_channels) {
      image_ = plan_.x[0] == 1 ? Index(0) : rest;
      each_channel([&](Index channel, int active) {
        channel_ = channel;
        fold_columns_of_channels(active);
        fold_row_of_channels(active);
      });
      return;
    }
    channel_ = take(plan_.x[1]);
    image_ = plan_.x[0] == 1 ? Index(0) : rest;
    fold_columns();
    fold_row();
  }

 private:
  int64_t dilation() const { return plan_.window.dilations[plan_.last()]; }
  int64_t round_up(int64_t n) const { return (n + lanes_ - 1) / lanes_ * lanes_; }

  ReduceKind kind() const { return plan_.op == Op::max_pool ? ReduceKind::max : ReduceKind::sum; }
  Register identity(int lanes) { return neutral(b_, kind(), {carrier_, lanes}); }
  Register prepared(Register x) {
    if (plan_.op != Op::lp_pool) return x;
    return plan_.is_l1 ? b_.abs(x) : b_.mul(x, x);
  }

  // ---- down the columns

  std::vector<Index> at(const std::vector<Index>& outer, Index column) const {
    std::vector<Index> dims{image_, channel_};
    dims.insert(dims.end(), outer.begin(), outer.end());
    dims.push_back(column);
    return dims;
  }

  using Load = std::function<Values(const std::vector<Index>& outer)>;

  // Folds what `load` gives over the taps of all axes but the last that lie inside the image.
  Values fold_outer(size_t axis, const std::vector<Index>& outer, const Values& so_far,
                    const Load& load) {
    if (axis == outer_.size()) {
      const Values loaded = load(outer);
      Values next;
      for (size_t i = 0; i < loaded.size(); ++i) {
        next.push_back(combine(b_, kind(), so_far[i], prepared(loaded[i])));
      }
      return next;
    }
    const Window& w = plan_.window;
    const int64_t taps = w.kernel[axis], dilation = w.dilations[axis], extent = plan_.x[axis + 2];
    const Index first = outer_[axis] * w.strides[axis] - Index(w.pads_begin[axis]);
    const auto visit = [&](Index position, const Values& values) {
      std::vector<Index> inner = outer;
      inner.push_back(position);
      return fold_outer(axis + 1, inner, values, load);
    };
    if (dilation == 1) {
      // Over positions: the loop's bounds are what keeps them inside.
      const kernel::Range range{kernel::max(first, 0), kernel::min(first + Index(taps), extent), 1};
      return e_.loop(range, so_far, [&](Index position, std::span<const Register> carried) {
        return visit(position, {carried.begin(), carried.end()});
      });
    }
    return e_.loop({0, taps, 1}, so_far, [&](Index tap, std::span<const Register> carried) {
      const Index position = first + tap * dilation;
      const Values values(carried.begin(), carried.end());
      return e_.choose(
          {{position, 0, extent}}, [&] { return visit(position, values); }, [&] { return values; });
    });
  }

  // `count` vectors from image column `column` on, `active` elements in all.
  Values column_vectors(Index column, int count, int64_t active) {
    const Values initial(static_cast<size_t>(count), identity(lanes_));
    return fold_outer(0, {}, initial, [&](const std::vector<Index>& outer) {
      Values loaded;
      for (int v = 0; v < count; ++v) {
        const int64_t left = active - int64_t{v} * lanes_;
        if (left <= 0) {
          loaded.push_back(b_.zero({carrier_, lanes_}));
          continue;
        }
        const LaneIndex from =
            LaneIndex::along(at(outer, column + Index(v * lanes_)), plan_.x.size() - 1, lanes_,
                             static_cast<int>(std::min<int64_t>(left, lanes_)));
        loaded.push_back(e_.pull(node_.operands[0], from));
      }
      return loaded;
    });
  }

  void fold_columns() {
    e_.loop({0, phases_, 1}, [&](Index phase) {
      e_.loop({0, phase_length_, lanes_},
              [&](Index i) { b_.store(columns_, {phase, i}, identity(lanes_)); });
    });
    // Several vectors at a time hide each other's latency.
    const int count = phases_ == 2 || plan_.x.back() > lanes_ ? 2 : 1;
    const int64_t step = int64_t{count} * lanes_, width = plan_.x.back();
    const int64_t whole = width / step * step;
    const auto fold = [&](Index i, int64_t active) {
      store_columns(i * step, column_vectors(i * step, count, active), active);
    };
    if (whole > 0) e_.loop({0, whole / step, 1}, [&](Index i) { fold(i, step); });
    if (whole < width) fold(Index(whole / step), width - whole);
  }

  // Elements of the image's columns from `column`, a multiple of all of them, on.
  void store_columns(Index column, const Values& folded, int64_t active) {
    const int64_t pad = plan_.pad();
    const auto store = [&](int64_t phase, Index place, Register value, int64_t count) {
      if (count >= lanes_) {
        b_.store(columns_, {Index(phase), place}, value);
      } else if (count > 0) {
        b_.store_partial(columns_, {Index(phase), place}, value, Index(count));
      }
    };
    if (phases_ == 1) {
      for (size_t v = 0; v < folded.size(); ++v) {
        const int64_t done = static_cast<int64_t>(v) * lanes_;
        store(0, column + Index(done + pad), folded[v], active - done);
      }
      return;
    }
    const Index half = kernel::floor_div(column, 2);
    for (int64_t parity = 0; parity < 2; ++parity) {
      std::vector<int64_t> lanes;
      for (int64_t l = 0; l < lanes_; ++l) lanes.push_back(2 * l + parity);
      const int64_t position = parity + pad;
      store(position % 2, half + Index(position / 2), b_.shuffle(folded[0], folded[1], lanes),
            (active - parity + 1) / 2);
    }
  }

  void each_channel(const std::function<void(Index, int)>& body) {
    const int64_t channels = plan_.x[1], whole = channels / lanes_ * lanes_;
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index c) { body(c, lanes_); });
    if (whole < channels) body(Index(whole), static_cast<int>(channels - whole));
  }

  void fold_columns_of_channels(int active) {
    const int64_t pad = plan_.pad(), width = plan_.x.back();
    const auto fill = [&](int64_t from, int64_t to) {
      if (from >= to) return;
      e_.loop({from, to, 1}, [&](Index i) { b_.store(columns_, {i, Index(0)}, identity(lanes_)); });
    };
    fill(0, pad);
    fill(pad + width, plan_.positions());
    e_.loop({0, width, 1}, [&](Index column) {
      const Values folded =
          fold_outer(0, {}, {identity(lanes_)}, [&](const std::vector<Index>& outer) {
            return Values{
                e_.pull(node_.operands[0], LaneIndex::along(at(outer, column), 1, lanes_, active))};
          });
      b_.store(columns_, {column + Index(pad), Index(0)}, folded[0]);
    });
  }

  // ---- along the row

  // The fold of the window's columns, unrolled or not.
  Register fold_taps(const std::function<Register(Index tap)>& load) {
    if (plan_.taps() <= kMaxUnrolled) {
      Register value = load(Index(0));
      for (int64_t t = 1; t < plan_.taps(); ++t) {
        value = combine(b_, kind(), value, load(Index(t)));
      }
      return value;
    }
    return e_.loop({0, plan_.taps(), 1}, {identity(lanes_)},
                   [&](Index t, std::span<const Register> carried) {
                     return Values{combine(b_, kind(), carried[0], load(t))};
                   })[0];
  }

  // Columns of `lanes_` results from `q` on at tap `t`.
  Register load_columns(Index q, Index t) {
    if (plan_.stride() > 2) {
      return b_.load_strided(columns_, {{Index(0), q * plan_.stride() + t * dilation()}}, lanes_,
                             plan_.stride());
    }
    const Index position = t * dilation();
    if (phases_ == 1) return b_.load(columns_, {Index(0), q + position}, lanes_);
    return b_.load(columns_, {kernel::mod(position, 2), q + kernel::floor_div(position, 2)},
                   lanes_);
  }

  void fold_row() {
    const int64_t extent = plan_.y.back(), whole = extent / lanes_ * lanes_;
    const auto fold = [&](Index q, int active) {
      const Register sum = fold_taps([&](Index t) { return load_columns(q, t); });
      store(LaneIndex::along(at(outer_, q), plan_.y.size() - 1, lanes_, active), sum);
    };
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index q) { fold(q, lanes_); });
    if (whole < extent) fold(Index(whole), static_cast<int>(extent - whole));
  }

  void fold_row_of_channels(int active) {
    e_.loop({0, plan_.y.back(), 1}, [&](Index q) {
      const Register sum = fold_taps([&](Index t) {
        return b_.load(columns_, {q * plan_.stride() + t * dilation(), Index(0)}, lanes_);
      });
      store(LaneIndex::along(at(outer_, q), 1, lanes_, active), sum);
    });
  }

  // ---- results

  // The number of elements that count along `axis`, per result.
  BufferId counts_of(size_t axis) {
    return e_.table("counts" + std::to_string(axis), [&] {
      const int64_t extent = plan_.y[axis + 2];
      // Lanes past the end divide by something.
      Tensor counts = Tensor::zeros(carrier_, {extent + lanes_});
      for (int64_t q = 0; q < extent + lanes_; ++q) {
        counts.set_f64(q, static_cast<double>(q < extent ? plan_.count(axis, q) : 1));
      }
      return counts;
    });
  }

  bool is_uniform(size_t axis) const {
    for (int64_t q = 1; q < plan_.y[axis + 2]; ++q) {
      if (plan_.count(axis, q) != plan_.count(axis, 0)) return false;
    }
    return true;
  }

  Register average(const LaneIndex& to, Register sum) {
    double uniform = 1;
    Register count;
    const auto times = [&](Register factor) { count = count.id ? b_.mul(count, factor) : factor; };
    for (size_t axis = 0; axis < plan_.window.rank(); ++axis) {
      if (is_uniform(axis)) {
        uniform *= static_cast<double>(plan_.count(axis, 0));
      } else if (to.varies(axis + 2)) {
        times(b_.load(counts_of(axis), {to.dims[axis + 2]}, lanes_));
      } else {
        times(b_.load_splat(counts_of(axis), {to.dims[axis + 2]}, lanes_));
      }
    }
    const Register rest = b_.constant(sum.type, uniform);
    if (!count.id || uniform != 1) times(rest);
    // A window with no elements gives 0, not 0/0.
    return b_.div(sum, b_.max_num(count, b_.constant(count.type, 1)));
  }

  void store(const LaneIndex& to, Register folded) {
    if (plan_.op == Op::average_pool) folded = average(to, folded);
    if (plan_.op == Op::lp_pool && !plan_.is_l1) folded = b_.sqrt(folded);
    const Register result = e_.rounded(folded, e_.type(node_.results[0]).dtype);
    e_.provide(node_.results[0], to, result);
    e_.store_results(to);
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  const Plan& plan_;
  DType carrier_ = DType::f32;
  int lanes_ = 8;
  int64_t phases_ = 1, phase_length_ = 0;
  BufferId columns_;
  Index image_, channel_;
  std::vector<Index> outer_;  // result position along all spatial axes but the last
};

GroupEmitter emitter_for(const GroupContext& context, int64_t num_tiles) {
  return GroupEmitter(context.module, context.graph, context.group, context.machine,
                      kernel_name(context), num_tiles);
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(Plan plan, make_plan(context));
  const Node& node = context.anchor_node();
  GroupEmitter probe = emitter_for(context, 1);
  plan.runs_along_channels = contiguous_dim(probe, node.operands[0]) == 1;
  int64_t num_tiles = plan.x[0] * (plan.runs_along_channels ? 1 : plan.x[1]);
  for (size_t axis = 0; axis < plan.last(); ++axis) num_tiles *= plan.y[axis + 2];
  GroupEmitter e = emitter_for(context, num_tiles);
  Emitter(e, node, plan).run(num_tiles > 1 ? e.builder().tile() : Index(0));
  return std::move(e).finish();
}

DimOrder operand_order(const GroupContext& context, size_t operand) {
  if (operand > 0 || stays_row_major(context)) return {};
  return channels_last(context.operand_shape(0).size());
}

DimOrder result_order(const GroupContext& context) { return operand_order(context, 0); }

}  // namespace

const Variant kPoolSeparable = {.name = "pool.separable",
                                .predict_ns = predict_ns,
                                .lower = lower,
                                .operand_order = operand_order,
                                .result_order = result_order,
                                .prologue = no_prologue};

}  // namespace neuronc
