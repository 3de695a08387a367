// The text form of modules (`.nir`), one node a line:
//
//   nir 1
//   module "squeezenet" stage canonical ops 66 {
//     input %data : f32[1,3,N,?]
//     %0 = constant {1, 2} : i64[2]
//     %w = constant #00112233445566778899aabbccddeeff : f32[64,3,3,3]
//     %1, %rest = split(%data, _) {axis = 1} : f32[1,1,N,?], f32[1,2,N,?] core(1) @ "split_3" Split
//     13 %2 = group(%1) : f32[1,1,N,?] in f32 strides [9, 9, 3, 1] size 9 core {
//       input %a : f32[1,1,N,?]
//       output %a
//     }
//     output %2 as "prob"
//   }
//
// - Values keep the model's names (quoted where they are not plain words; `#2` behind a name that
//   was taken before in the same graph); the others are numbered in printing order.
// - Attributes that have their default are left out; `none` is an attribute without value. `_` is
//   an absent operand. Unknown dims are `?`, unranked types `f32[*]`.
// - A node whose only content is a constant tensor prints it bare. Constants up to 16 elements and
//   all strings stand in line; one value repeated stands as `{0.5, ...}`; others are named by
//   content hash and stand in the sidecar (constants_file.h).
// - `in DTYPE` is a storage: dense row-major unless strides, `block B dim D`, offset, `size N` or
//   `of %base` (a view) say otherwise.
// - Floats print as the shortest decimal that reads back as the same bits; NaNs with a payload as
//   `0x...` bits.
// Printing is deterministic, and parsing the text prints as the same text. The printer knows no
// operator: it walks the op table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace neuronc {

// How the values of one graph are written, without the `%`.
class ValueNames {
 public:
  explicit ValueNames(const Graph& graph);
  // `<invalid>` for a value that is not in the graph; only a broken module has one.
  const std::string& operator[](ValueId id) const;

 private:
  std::vector<std::string> texts_;
};

std::string to_text(const Module& module);
std::string to_text(const Module& module, const Graph& graph);  // the lines of a body
// One node, bodies as `{...}`; for messages.
std::string to_text(const Module& module, const Graph& graph, NodeId node, const ValueNames& names);

// True if the tensor is printed in line, false if it goes to the sidecar.
bool is_printed_inline(const Tensor& tensor);

// The constants that `to_text(module)` names by hash, in printing order, each once.
std::vector<ConstantId> sidecar_constants(const Module& module);

}  // namespace neuronc
