// Which compiled copy of the CPU's kernels runs: one source is compiled once for each instruction
// set (cmake/CpuVariants.cmake), and what it defines lies in the namespace of that set.
//
//   cpu/attention/attention_kernels.cc   portable, avx2, avx512
//   cpu/gemm/gemm_f32.cc                 portable, avx2, avx512
//   cpu/gemm/gemm_bf16.cc                portable, avx2, avx512, avx512bf16, amx
//   cpu/gemm/gemm_int8.cc                portable, avx2, avxvnni, avx512, avx512vnni, amx
//   cpu/rows/row_kernels.cc              portable, avx2, avx512
#pragma once

#include "cpu/attention/attention_kernels.h"
#include "cpu/gemm/int8_kernels.h"
#include "cpu/gemm/kernels.h"
#include "cpu/rows/row_kernels.h"
#include "cpu/simd/isa.h"
#include "ops/op.h"

namespace fl::cpu {

// Of an instruction set that this CPU has; of the best one that has a copy, up to the one asked
// for.
const AttentionKernels& attentionKernels(Isa isa = selectedIsa());
const Kernels& kernelsFor(Precision precision, Isa isa = selectedIsa());
const Int8Kernels& int8Kernels(Isa isa = selectedIsa());
const RowKernels& rowKernels(Isa isa = selectedIsa());

}  // namespace fl::cpu
