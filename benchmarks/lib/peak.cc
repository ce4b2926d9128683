// What the machine can do at most: multiply-adds on independent registers, and copying memory.
// Prints one number; compiled and called by peak.ts.
//
//   peak f32|bf16 THREADS SECONDS     FLOP/s (a multiply-add counts 2); bf16: of AMX where there is
//                                     AMX, else of AVX512_BF16. Of the instruction set that
//                                     FUSED_LORA_CPU_ISA names, where it is set
//   peak copy THREADS SECONDS         bytes/s read and written, 32 MiB buffers a thread
//
// "unsupported" where the instruction set is not there.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define HAS_TILES 1
#endif

namespace {

using Work = double (*)(int64_t iterations);  // returns the work done, in FLOP or bytes
volatile float sink;

// Twelve sums, more than latency x ports on any processor of
// today; named one by one, since an array would live in memory.
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define PEAK_LOOP(Vector, zero, flopPerOp)    \
  EACH(DECLARE)                               \
  for (int64_t n = 0; n < iterations; n++) {  \
    EACH(STEP)                                \
  }                                           \
  Vector sum = zero;                          \
  EACH(ADD)                                   \
  sink = reinterpret_cast<const float&>(sum); \
  return static_cast<double>(iterations) * 12 * (flopPerOp)
#define ADD(i) sum += c##i;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) double multiplyAddAvx512(int64_t iterations) {
  const __m512 a = _mm512_set1_ps(0.999F), b = _mm512_set1_ps(1e-3F);
#define DECLARE(i) __m512 c##i = _mm512_set1_ps(i);
#define STEP(i) c##i = _mm512_fmadd_ps(c##i, a, b);
  PEAK_LOOP(__m512, _mm512_setzero_ps(), 32);
#undef DECLARE
#undef STEP
}

__attribute__((target("avx512f,avx512bf16"))) double dotBf16Avx512(int64_t iterations) {
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3F), _mm512_set1_ps(2e-3F));
#define DECLARE(i) __m512 c##i = _mm512_set1_ps(i);
#define STEP(i) c##i = _mm512_dpbf16_ps(c##i, a, a);
  PEAK_LOOP(__m512, _mm512_setzero_ps(), 64);
#undef DECLARE
#undef STEP
}

#if defined(HAS_TILES)
// Leaf 7 of CPUID, and leave of the system to use the tile registers of AMX.
bool allowTiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool known = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0;
  constexpr unsigned kTilesAndBf16 = 1u << 24 | 1u << 22;
  return known && (d & kTilesAndBf16) == kTilesAndBf16 && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

// Four sums of 16 x 16 by 16 x 32 x 16, from registers.
__attribute__((target("amx-tile,amx-bf16"))) double tileProductsBf16(int64_t iterations) {
  alignas(64) unsigned char shapes[64] = {1};
  for (int i = 0; i < 8; i++) {
    shapes[16 + 2 * i] = 64;
    shapes[48 + i] = 16;
  }
  __asm__ volatile("" ::"r"(shapes) : "memory");
  _tile_loadconfig(shapes);
  for (int64_t n = 0; n < iterations; n++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return static_cast<double>(iterations) * 4 * 2 * 16 * 16 * 32;
}
#endif

__attribute__((target("avx2,fma"))) double multiplyAddAvx2(int64_t iterations) {
  const __m256 a = _mm256_set1_ps(0.999F), b = _mm256_set1_ps(1e-3F);
#define DECLARE(i) __m256 c##i = _mm256_set1_ps(i);
#define STEP(i) c##i = _mm256_fmadd_ps(c##i, a, b);
  PEAK_LOOP(__m256, _mm256_setzero_ps(), 16);
#undef DECLARE
#undef STEP
}
#endif

using Lanes = float __attribute__((vector_size(16)));

double multiplyAddPortable(int64_t iterations) {
  const Lanes a = Lanes{} + 0.999F, b = Lanes{} + 1e-3F;
#define DECLARE(i) Lanes c##i = Lanes{} + static_cast<float>(i);
#define STEP(i) c##i = c##i * a + b;
  PEAK_LOOP(Lanes, Lanes{}, 8);
#undef DECLARE
#undef STEP
}

double copyMemory(int64_t iterations) {
  constexpr size_t bytes = 32 << 20;
  thread_local std::vector<char> from(bytes, 1), to(bytes, 2);
  for (int64_t n = 0; n < iterations; n++) {
    std::memcpy(to.data(), from.data(), bytes);
    from[static_cast<size_t>(n) % bytes] = to[bytes - 1];
  }
  return static_cast<double>(iterations) * 2 * bytes;
}

// True where FUSED_LORA_CPU_ISA is not set, or names a set that begins so, as avx2 does with "avx".
bool mayUse(const char* prefix) {
  const char* forced = std::getenv("FUSED_LORA_CPU_ISA");
  return !forced || !*forced || !std::strncmp(forced, prefix, std::strlen(prefix));
}

Work workOf(const char* name) {
  if (!std::strcmp(name, "copy")) return copyMemory;
  const bool bf16 = !std::strcmp(name, "bf16");
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(HAS_TILES)
  if (bf16 && mayUse("amx") && allowTiles()) return tileProductsBf16;
#endif
  const bool wide = mayUse("avx512") || mayUse("amx");
  if (bf16) return wide && __builtin_cpu_supports("avx512bf16") ? dotBf16Avx512 : nullptr;
  if (wide && __builtin_cpu_supports("avx512f")) return multiplyAddAvx512;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && (wide || mayUse("avx"))) return multiplyAddAvx2;
#endif
  return bf16 ? nullptr : multiplyAddPortable;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const Work work = workOf(argv[1]);
  const int threads = std::atoi(argv[2]);
  const double seconds = std::atof(argv[3]);
  if (!work) {
    std::puts("unsupported");
    return 0;
  }
  using Clock = std::chrono::steady_clock;
  const int64_t slice = work == copyMemory ? 1 : 100000;
  std::atomic<int> ready{0};
  std::vector<double> rates(static_cast<size_t>(threads));
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; t++)
    pool.emplace_back([&, t] {
      work(slice);
      ready++;
      while (ready < threads) std::this_thread::yield();
      const auto started = Clock::now();
      double done = 0, elapsed = 0;
      do {
        done += work(slice);
        elapsed = std::chrono::duration<double>(Clock::now() - started).count();
      } while (elapsed < seconds);
      rates[static_cast<size_t>(t)] = done / elapsed;
    });
  for (std::thread& thread : pool) thread.join();
  double total = 0;
  for (const double rate : rates) total += rate;
  std::printf("%.6g\n", total);
  return 0;
}
