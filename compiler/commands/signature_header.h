// The inputs and outputs of a NEFF as a C header, so that a program that is built for one model gets
// names, types and sizes from the compiler and not from a person.
#pragma once

#include <string>
#include <string_view>

#include "ir/plan/plan.h"

namespace neuronc {

// Macros MODEL_INPUT_NAME_SIZE_BYTES and the like, `model` in capitals, and the symbols under which
// neuronc_add_model(EMBED) embeds the NEFF. Characters that an identifier cannot have become `_`; names
// that meet in that way get numbers, in order.
std::string signature_header(std::string_view model, const plan::Plan& plan, std::string_view uuid,
                             size_t num_neuroncores);

}  // namespace neuronc
