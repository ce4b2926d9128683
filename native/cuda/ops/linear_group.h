// Linear layers that read the same values, as query, key and value do: their bf16 products, forward
// or backward, in few launches (cuda/gemm/grouped_bf16.h). Which neighbours of a program are such a
// group, and running one.
#pragma once

#include <span>

#include "ops/backend.h"

namespace fl::cuda {

/// How many of the instructions, from the first on, are a group; 0: none. Of the program alone.
int linearGroup(std::span<const Neighbour> next, std::span<const int> readers);

/// One of linearGroup's.
void runLinearGroup(std::span<const OpCall> calls);

/// loraLinearBackward without dropout, alone: the products and sums of a group of one.
void runLoraBackward(const OpCall& call);

}  // namespace fl::cuda
