// The kernels of the products for the instruction set in use.
#pragma once

#include "cpu/gemm/kernels.h"
#include "cpu/simd/isa.h"
#include "ops/op.h"

namespace fl::cpu {

/// Those of selectedIsa(), unless a test chose others.
const Kernels& kernelsFor(Precision precision);

/// For tests: replaces the choice, not while an op runs; an instruction set that this CPU has. Packed copies are kept
/// per layout, so that a parameter works under each.
void useIsaForProducts(Isa isa);

}  // namespace fl::cpu
