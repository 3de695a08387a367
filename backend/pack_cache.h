// Packed weights that the targets of one compile share: the form does not depend on the instruction
// set (variants/product/pack.h), so each weight is packed, and held, once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "ir/tensor.h"

namespace neuronc {

// A matrix in the form of a product that multiplies by its transpose: its rows are the panels'
// columns, its columns their k.
struct PanelRows {
  Tensor packed;  // [panels, groups of k, 16 * k_step]
  int64_t k_step = 1;
};

class PackCache {
 public:
  // `make`'s tensor for these bytes of `source`, which must outlive the cache; `form` says all else
  // that the result depends on.
  Tensor get(const Tensor& source, std::string form, const std::function<Tensor()>& make) {
    form += name(source.dtype());
    const auto [it, is_new] = packed_.try_emplace({source.data(), std::move(form)});
    if (is_new) it->second = make();
    return it->second;
  }

  // Says that single elements of `source` are to be read from these panels (share_tables.h).
  void read_from(const Tensor& source, PanelRows panels) {
    rows_[source.data()] = std::move(panels);
  }
  // The panels to read `source` from; nullptr: read it as it is.
  const PanelRows* panels_of(const Tensor& source) const {
    const auto it = rows_.find(source.data());
    return it == rows_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::pair<const std::byte*, std::string>, Tensor> packed_;
  std::map<const std::byte*, PanelRows> rows_;
};

}  // namespace neuronc
