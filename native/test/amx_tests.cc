// Tile registers that other code of the process uses too: whatever shapes it leaves them in,
// products are the same. What products are on AMX and elsewhere: product_tests.cc, int8_tests.cc.
#include <cstring>
#include <functional>

#include "cpu/dispatch.h"
#include "cpu/gemm/product.h"
#include "runtime/thread_pool.h"
#include "test/random.h"
#include "test/tests.h"

#if defined(__x86_64__) && !defined(FUSED_LORA_NO_AVX512)
#include <immintrin.h>

namespace fl::test {
namespace {

struct alignas(64) Shapes {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytesOfRow[16] = {};
  uint8_t rows[16] = {};
};

/// Every register of another size than products give it.
__attribute__((target("amx-tile"))) void leaveOtherShapes() {
  Shapes shapes;
  for (int i = 0; i < 8; i++) {
    shapes.bytesOfRow[i] = static_cast<uint16_t>(4 * (i + 1));
    shapes.rows[i] = static_cast<uint8_t>(i + 2);
  }
  __asm__ volatile("" ::"r"(&shapes) : "memory");  // gcc's intrinsic does not say that it reads all
  _tile_loadconfig(&shapes);
}

__attribute__((target("amx-tile"))) void leaveNone() { _tile_release(); }

void foreignShapes() {
  if (!canRun(Isa::amx)) skip("this processor has no AMX");
  ThreadPool& pool = ThreadPool::instance();
  const int threads = pool.threads();
  pool.setThreads(1);
  Random random(7);
  const int64_t m = 45, n = 70, k = 100;
  const auto floats = [&](int64_t count) {
    std::vector<float> values;
    for (const double v : random.normals(count)) values.push_back(static_cast<float>(v));
    return values;
  };
  std::vector<float> x = floats(m * k), w = floats(n * k), first, y(static_cast<size_t>(m * n));
  const Tensor W = Tensor::of(w.data(), DType::f32, {n, k});
  for (const bool int8 : {false, true}) {
    cpu::Product p(cpu::kernelsFor(Precision::bf16, Isa::amx));
    if (int8)
      p.int8 = cpu::int8Weight(cpu::int8Kernels(Isa::amx), W, cpu::WeightUse::forward);
    else
      p.b = cpu::weightPanels(p.kernels, W, cpu::WeightUse::forward, cpu::WorkspaceSlot::weightPanels).panels;
    p.m = m;
    p.n = n;
    p.k = p.lda = k;
    p.a = x.data();
    p.c = y.data();
    cpu::multiply(p);
    first = y;
    for (const auto& leave : {leaveOtherShapes, leaveNone}) {
      std::fill(y.begin(), y.end(), -1.0f);
      leave();
      cpu::multiply(p);
      check(std::memcmp(y.data(), first.data(), y.size() * sizeof(float)) == 0,
            std::string(int8 ? "int8" : "bf16") + ": another result after tiles of other shapes");
    }
  }
  pool.setThreads(threads);
}

}  // namespace

void addAmxTests(Suite& suite) { suite.add("amx/foreignShapes", foreignShapes); }

}  // namespace fl::test

#else

namespace fl::test {
void addAmxTests(Suite&) {}
}  // namespace fl::test

#endif
