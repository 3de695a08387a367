// Suppression of overlapping boxes. Detectors give it tens of thousands of boxes of which thousands
// stay, so that each box is compared only with those that can reach it: boxes that stay are kept by
// where their left edge stands, in levels of cells that are as wide as the boxes in them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kF32{DType::f32};
constexpr DTypeSet kI64{DType::i64};

constexpr OperandSpec kNmsOperands[] = {{"boxes", kF32},
                                        {"scores", kF32},
                                        {"max_output_boxes_per_class", kI64, 0, Arity::optional},
                                        {"iou_threshold", kF32, 0, Arity::optional},
                                        {"score_threshold", kF32, 0, Arity::optional}};
constexpr ResultSpec kNmsResults[] = {{"selected", kI64}};
constexpr AttributeSpec kNmsAttributes[] = {{"center_point_box", AttributeKind::i64, "0"}};

Types infer_nms(const InferInput& input) {
  const Type& boxes = input.operands[0];
  const Type& scores = input.operands[1];
  if (boxes.is_ranked &&
      (boxes.rank() != 3 || (boxes.dims[2].is_number() && boxes.dims[2] != Dim(4)))) {
    return refuse("the boxes are not of shape [batch, boxes, 4]");
  }
  if (scores.is_ranked && scores.rank() != 3) {
    return refuse("the scores are not of shape [batch, classes, boxes]");
  }
  if (boxes.is_ranked && scores.is_ranked) {
    NEURONC_TRY(same_dim(boxes.dims[0], scores.dims[0], "the batch"));
    NEURONC_TRY(same_dim(boxes.dims[1], scores.dims[2], "the number of boxes"));
  }
  return std::vector<Type>{ranked(DType::i64, {Dim::unknown(), Dim(3)})};
}

struct Box {
  double top, left, bottom, right;
  double area;
};

Box box_at(std::span<const float> boxes, int64_t i, bool is_centred) {
  const float* b = boxes.data() + 4 * i;
  Box box{};
  if (is_centred) {
    box = {b[1] - b[3] / 2.0, b[0] - b[2] / 2.0, b[1] + b[3] / 2.0, b[0] + b[2] / 2.0, 0};
  } else {
    box = {std::min<double>(b[0], b[2]), std::min<double>(b[1], b[3]), std::max<double>(b[0], b[2]),
           std::max<double>(b[1], b[3]), 0};
  }
  box.area = (box.bottom - box.top) * (box.right - box.left);
  return box;
}

double overlap(const Box& a, const Box& b) {
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  const double shared = height * width;
  const double all = a.area + b.area - shared;
  return all > 0 ? shared / all : 0;
}

// The boxes that stay. A box of level l is at most as wide as the level's cells, so that those which
// reach into [left, right] have their left edges in the cells of [left - width of a cell, right].
class KeptBoxes {
 public:
  // All boxes to come. Where one is not finite there is no order of cells, and one holds them all;
  // so it is where a bound below 0 suppresses boxes that do not touch.
  KeptBoxes(const std::vector<Box>& boxes, double max_overlap) : max_overlap_(max_overlap) {
    double left = 0, right = 0, widest = 0;
    bool is_finite = max_overlap >= 0 && !boxes.empty();
    for (size_t i = 0; i < boxes.size() && is_finite; ++i) {
      const Box& b = boxes[i];
      is_finite = std::isfinite(b.area) && std::isfinite(b.left) && std::isfinite(b.right) &&
                  std::isfinite(b.top) && std::isfinite(b.bottom) && b.right >= b.left;
      left = i == 0 ? b.left : std::min(left, b.left);
      right = i == 0 ? b.right : std::max(right, b.right);
      widest = std::max(widest, b.right - b.left);
    }
    left_ = left;
    const double range = right - left;
    if (is_finite && range > 0 && std::isfinite(range)) {
      double cell = range / kMostCells;
      for (; static_cast<int>(levels_.size()) < kMostLevels && cell < widest; cell *= 2) {
        add_level(cell, range);
      }
      add_level(std::max(cell, widest), range);
    } else {
      add_level(0, 0);
    }
  }

  bool is_free(const Box& box) const {
    for (const Level& level : levels_) {
      if (level.num_boxes == 0) continue;
      const size_t last = cell_of(level, box.right);
      for (size_t cell = cell_of(level, box.left - level.width); cell <= last; ++cell) {
        for (int64_t i = level.newest[cell]; i >= 0; i = before_[static_cast<size_t>(i)]) {
          if (!(overlap(box, kept_[static_cast<size_t>(i)]) <= max_overlap_)) return false;
        }
      }
    }
    return true;
  }

  void add(const Box& box) {
    Level* level = &levels_.back();
    for (Level& narrow : levels_) {
      if (box.right - box.left <= narrow.width) {
        level = &narrow;
        break;
      }
    }
    int64_t& newest = level->newest[cell_of(*level, box.left)];
    before_.push_back(newest);
    newest = static_cast<int64_t>(kept_.size());
    kept_.push_back(box);
    ++level->num_boxes;
  }

  int64_t size() const { return static_cast<int64_t>(kept_.size()); }

 private:
  static constexpr int kMostCells = 1024;
  static constexpr int kMostLevels = 12;

  struct Level {
    double width;                 // of a cell; 0: there is one for all
    std::vector<int64_t> newest;  // of each cell's boxes; -1: none
    int64_t num_boxes = 0;
  };

  void add_level(double width, double range) {
    const double count = width > 0 ? std::floor(range / width) + 1 : 1;
    levels_.push_back({width, std::vector<int64_t>(static_cast<size_t>(count), -1), 0});
  }

  size_t cell_of(const Level& level, double x) const {
    if (level.width == 0 || !(x > left_)) return 0;
    const auto last = static_cast<double>(level.newest.size() - 1);
    return static_cast<size_t>(std::min((x - left_) / level.width, last));
  }

  double max_overlap_;
  double left_ = 0;
  std::vector<Level> levels_;
  std::vector<Box> kept_;
  std::vector<int64_t> before_;  // the next older box of the same cell
};

double scalar_or(const EvaluateInput& input, size_t i, double fallback) {
  return input.has(i) && input.tensor(i).num_elements() > 0 ? input.tensor(i).f64(0) : fallback;
}

// Boxes whose scores are above `least`, the best first; of equal ones the first.
std::vector<int64_t> best_first(const float* scores, int64_t count, double least) {
  struct Candidate {
    float score;
    int64_t box;
  };
  std::vector<Candidate> candidates;
  for (int64_t b = 0; b < count; ++b) {
    if (scores[b] > least) candidates.push_back({scores[b], b});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.score > b.score || (a.score == b.score && a.box < b.box);
  });
  std::vector<int64_t> order;
  order.reserve(candidates.size());
  for (const Candidate& candidate : candidates) order.push_back(candidate.box);
  return order;
}

Values evaluate_nms(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  const Tensor& boxes = input.tensor(0);
  const Tensor& scores = input.tensor(1);
  const bool is_centred = input.op.i64("center_point_box") != 0;
  // Not by way of f64: exporters write INT64_MAX for "all of them", which no double holds.
  const bool has_limit = input.has(2) && input.tensor(2).num_elements() > 0;
  const int64_t limit = has_limit ? input.tensor(2).i64(0) : 0;
  const double max_overlap = scalar_or(input, 3, 0);
  const double least = scalar_or(input, 4, -std::numeric_limits<double>::infinity());
  const int64_t num_boxes = boxes.shape()[1];
  const int64_t num_classes = scores.shape()[1];
  std::vector<int64_t> selected;
  std::vector<Box> candidates;
  for (int64_t i = 0; i < boxes.shape()[0] * num_classes && limit > 0; ++i) {
    const int64_t batch = i / num_classes;
    const std::vector<int64_t> order =
        best_first(scores.as<float>().data() + i * num_boxes, num_boxes, least);
    candidates.clear();
    for (int64_t b : order) {
      candidates.push_back(box_at(boxes.as<float>(), batch * num_boxes + b, is_centred));
    }
    KeptBoxes kept(candidates, max_overlap);
    for (size_t c = 0; c < order.size() && kept.size() < limit; ++c) {
      if (!kept.is_free(candidates[c])) continue;
      kept.add(candidates[c]);
      selected.insert(selected.end(), {batch, i % num_classes, order[c]});
    }
  }
  return one(from_ints(DType::i64, {static_cast<int64_t>(selected.size() / 3), 3}, selected));
}

}  // namespace

/// Rows (batch, class, box) of the boxes that remain per class, best first, when each box must
/// score above `score_threshold` and overlap no better one by more than `iou_threshold` of their
/// union; at most `max_output_boxes_per_class` (default 0).
/// Shapes: boxes [B,N,4] as corners y1,x1,y2,x2 or, with `center_point_box`, x,y,width,height;
/// scores [B,C,N]; y [n,3].   Types: f32.   Source: ONNX NonMaxSuppression-11.
NEURONC_OP(non_max_suppression) = {"non_max_suppression",
                                   "boxes without those that overlap",
                                   "ONNX NonMaxSuppression-11",
                                   kNmsOperands,
                                   kNmsAttributes,
                                   kNmsResults,
                                   Trait::host,
                                   Precision::fixed,
                                   infer_nms,
                                   evaluate_nms,
                                   no_flops};

}  // namespace neuronc
