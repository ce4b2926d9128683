// Steps of several programs at once: each computes what it computes alone, and products of one
// frozen weight, which several of them have, are run together (Backend::runSideBySide). A single
// program: program/program.h.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "program/program.h"
#include "runtime/error.h"

namespace fl {

/// Program::accumulate of one of them.
struct SideStep {
  Program* program = nullptr;
  std::span<const BatchInput> batch;
  Sizes sizes;
  StepState step;
  bool zeroGradients = true;
};

/// Runs accumulate of each program, each with the bits that it has alone; in turns where they are
/// on a GPU, or on several devices, or train a parameter in common. What lives within a step is in
/// memory for all of them at a time.
/// @return of each the error that ended it, which ends no other.
std::vector<std::optional<Error>> accumulateSideBySide(std::span<const SideStep> steps);

}  // namespace fl
