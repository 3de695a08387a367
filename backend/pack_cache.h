// Packed weights that the targets of one compile share: the form does not depend on the instruction
// set (variants/product/pack.h), so each weight is packed, and held, once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "ir/tensor.h"

namespace neuronc {

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

 private:
  std::map<std::pair<const std::byte*, std::string>, Tensor> packed_;
};

}  // namespace neuronc
