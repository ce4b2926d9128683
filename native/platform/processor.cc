// Leaves of CPUID as in Intel's manual, volume 2A, and AMD's, volume 3; bits of XCR0 as in Intel's
// volume 1, chapter 13; leave to use AMX as in the kernel's Documentation/arch/x86/xstate.rst. What
// is made of the answers: platform/processor.h.
#include "platform/processor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fl::platform {

#if defined(__x86_64__)

namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

/// All zero where the processor has no such leaf.
Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}

constexpr bool bit(unsigned word, int position) { return (word >> position & 1) != 0; }

/// Which registers the system saves for a thread; only where CPUID says OSXSAVE.
uint64_t savedRegisters() {
  uint32_t low, high;
  __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

/// Of leaf 4 (Intel) or 0x8000001D (AMD), which have one form: a cache a subleaf.
int64_t cacheOfLevel(unsigned leaf, unsigned level) {
  for (unsigned subleaf = 0; subleaf < 16; subleaf++) {
    const Registers r = cpuid(leaf, subleaf);
    const unsigned type = r.a & 31;
    if (type == 0) break;
    if ((r.a >> 5 & 7) != level || type == 2) continue;
    const int64_t ways = (r.b >> 22) + 1, partitions = (r.b >> 12 & 0x3ff) + 1, line = (r.b & 0xfff) + 1;
    return ways * partitions * line * (static_cast<int64_t>(r.c) + 1);
  }
  return 0;
}

}  // namespace

ProcessorFeatures processorFeatures() {
  ProcessorFeatures found;
  const Registers basic = cpuid(1), extended = cpuid(7), more = extended.a >= 1 ? cpuid(7, 1) : Registers{};
  if (!bit(basic.c, 27)) return found;
  const uint64_t saved = savedRegisters();
  constexpr uint64_t kYmm = 0b110;
  if ((saved & kYmm) != kYmm || !bit(basic.c, 28)) return found;
  found.fma = bit(basic.c, 12);
  found.avx2 = bit(extended.b, 5);
  found.avxvnni = bit(more.a, 4);
#if defined(__APPLE__)
  // macOS sets the bits when a thread first uses the registers, and saves them from then on.
  const bool zmm = true;
#else
  constexpr uint64_t kZmm = 0b1110'0110;
  const bool zmm = (saved & kZmm) == kZmm;
#endif
  if (!zmm) return found;
  found.avx512f = bit(extended.b, 16);
  found.avx512dq = bit(extended.b, 17);
  found.avx512bw = bit(extended.b, 30);
  found.avx512vl = bit(extended.b, 31);
  found.avx512vnni = bit(extended.c, 11);
  found.avx512bf16 = bit(more.a, 5);
  constexpr uint64_t kTiles = 0b11 << 17;
  if ((saved & kTiles) != kTiles) return found;
  found.amxbf16 = bit(extended.d, 22);
  found.amxtile = bit(extended.d, 24);
  found.amxint8 = bit(extended.d, 25);
  return found;
}

bool allowTiles() {
#if defined(__linux__)
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

int64_t cacheL2() {
  const int64_t intel = cacheOfLevel(4, 2);
  return intel > 0 ? intel : cacheOfLevel(0x8000001d, 2);
}

#else

ProcessorFeatures processorFeatures() { return {}; }
bool allowTiles() { return false; }

int64_t cacheL2() {
#if defined(__APPLE__)
  int64_t bytes = 0;
  size_t size = sizeof bytes;
  return sysctlbyname("hw.l2cachesize", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
#elif defined(_SC_LEVEL2_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : 0;
#else
  return 0;
#endif
}

#endif

}  // namespace fl::platform
