// Breaks sound plans of teams, in ways that always make them wrong.
#pragma once

#include <random>

#include "ir/plan/plan.h"

namespace neuronc::test {

// Takes a barrier from all lanes of a team or from one, lets a lane write what another one writes before
// they meet, or takes away the end of the team's memory. False: the plan has nothing to break.
bool break_plan(plan::Plan& plan, std::mt19937& random);

}  // namespace neuronc::test
