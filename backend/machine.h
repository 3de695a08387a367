// The machine that code is made for: made once, passed as a value.
#pragma once

#include <memory>

#include "backend/blocking.h"
#include "backend/isa.h"
#include "backend/pack_cache.h"
#include "ir/hardware_model.h"

namespace neuronc {

// Options that change the code of a kernel.
struct CodeOptions {
  int opt_level = 2;       // 0: no optimisation, 2: the pipeline
  bool is_strict = false;  // --numerics strict: no variant whose sums differ in kind
  Blocking blocking;       // of the group that is lowered
};

struct Machine {
  Isa isa;
  HardwareModel hardware;
  CodeOptions code;
  // Shared by the machines of one compile.
  std::shared_ptr<PackCache> packs = std::make_shared<PackCache>();

  // Lanes of a full register of `bytes` wide elements.
  int lanes(int bytes) const { return isa.vector_bytes / bytes; }
};

}  // namespace neuronc
