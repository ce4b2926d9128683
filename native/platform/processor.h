// What the processor has and the system lets us use of it: instruction sets by CPUID and XGETBV,
// sizes of caches. Asked by ourselves: a compiler's own detection needs its runtime library, and
// that of zig answers "no" to everything. Which copy of the kernels runs: cpu/simd/isa.h.
#pragma once

#include <cstdint>

namespace fl::platform {

/// All false where the processor is no x86-64.
struct ProcessorFeatures {
  bool avx2 = false;
  bool fma = false;
  bool avxvnni = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512vl = false;
  bool avx512dq = false;
  bool avx512vnni = false;
  bool avx512bf16 = false;
  bool amxtile = false;
  bool amxbf16 = false;
  bool amxint8 = false;
};

/// What can be used: features whose registers the system does not save count as absent.
ProcessorFeatures processorFeatures();

/// Asks the system to let this process use the tile registers of AMX, which are saved only for
/// those who ask. False where it refuses (a thread's signal stack may be too small for them), and
/// on systems where nobody tried it.
bool allowTiles();

/// Bytes of a core's second-level cache; 0: not known.
int64_t cacheL2();

}  // namespace fl::platform
