// What the files of the C API share: the object behind a result, and how jobs become options.
#pragma once

#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/include/neuronc/compiler.h"
#include "compiler/include/neuronc/neuronc.h"
#include "compiler/public_api.h"
#include "ir/base/entry.h"
#include "ir/tensor.h"

struct neuronc_result {
  neuronc::CompileResult result;
  std::string messages;
  std::vector<std::string> hints;  // of each message, one a line
  // Of neuronc_evaluate.
  std::vector<neuronc::Tensor> outputs;
  std::vector<std::string> output_names;
  std::vector<std::string> output_strings;  // the bytes of outputs that hold strings
};

namespace neuronc {

// The options behind `words`. No value: `failed` says why.
std::optional<CompileOptions> options_of(const char* const* words, size_t num_words,
                                         CompileResult& failed);

// A result that says NEU0003.
CompileResult usage(std::string_view what);

// A result that says NEU0005.
CompileResult out_of_memory();

std::string hints_text(const Message& message);

// Whether a job is there and its size ends behind one of its fields: of half a pointer nothing can be
// made.
bool is_job(const neuronc_job* job);

// The job in a structure of today's size: fields that its caller does not know are 0.
neuronc_job current_job(const neuronc_job& given);

// Fills in the texts that are made of the messages.
void finish_result(neuronc_result& result);
void add_internal_error(neuronc_result& result, const char* what);

// Runs `fill` on a new result; nothing thrown inside leaves the API.
template <class Fill>
neuronc_result* filled_result(const Fill& fill) {
  const NoCancellation whole;
  auto* result = new neuronc_result;
  try {
    with_room(kCompilerRoomBytes, [&] {
      fill(*result);
      return true;
    });
  } catch (const std::bad_alloc&) {
    result->result = out_of_memory();
  } catch (const std::exception& error) {
    add_internal_error(*result, error.what());
  }
  finish_result(*result);
  return result;
}

// The same for a function that gives a CompileResult.
template <class Make>
neuronc_result* result_of(const Make& make) {
  return filled_result([&](neuronc_result& result) { result.result = make(); });
}

}  // namespace neuronc
