// A status of the C API with the message that goes with it; the error type of the whole runtime.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <variant>

#include "ir/base/expected.h"
#include "runtime/include/nrt/nrt.h"

namespace neuronc::runtime {

struct Status {
  NRT_STATUS code = NRT_SUCCESS;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Status>;
using Done = std::monostate;

template <class... Args>
tl::unexpected<Status> fail(NRT_STATUS code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Status>(Status{code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace neuronc::runtime
