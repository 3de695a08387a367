// What products cost on a core: the time that variants predict.
#pragma once

#include "backend/variants/product/tile.h"

namespace neuronc {

struct ProductWork {
  int64_t m = 0, n = 0, k = 0;
  int64_t count = 1;           // products of that size
  double copied_elements = 0;  // of a or b, brought into the order in which they are read
};

// Padding of rows and columns to whole register tiles counts as work; a product of few rows is
// bound by reading b.
double predict_product_ns(const Machine& machine, const ProductStep& step, const RegisterTile& tile,
                          const ProductWork& work);

}  // namespace neuronc
