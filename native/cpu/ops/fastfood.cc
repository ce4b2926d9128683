// fastfood and fastfoodBackward on the CPU: a block of ops/fastfood.h in scratch memory, both
// products with H as fast Walsh-Hadamard transforms of n log n additions. Threads share out blocks
// forward, and backward runs of blocks whose sums are added up in order.
#include "ops/fastfood.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/ops.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

/// x = H x in place, n a power of two.
void walshHadamard(float* x, int64_t n) {
  int64_t h = 1;
  // Two steps at once: half the passes over memory.
  for (; 4 * h <= n; h *= 4)
    for (int64_t first = 0; first < n; first += 4 * h)
      for (float *a = x + first, *end = a + h; a < end; a++) {
        const float p = a[0] + a[h], q = a[0] - a[h], r = a[2 * h] + a[3 * h], s = a[2 * h] - a[3 * h];
        a[0] = p + r;
        a[h] = q + s;
        a[2 * h] = p - r;
        a[3 * h] = q - s;
      }
  for (; h < n; h *= 2)
    for (int64_t first = 0; first < n; first += 2 * h)
      for (float *a = x + first, *end = a + h; a < end; a++) {
        const float p = a[0], q = a[h];
        a[0] = p + q;
        a[h] = p - q;
      }
}

float gainOf(const FastfoodMap& map, const Tensor& gains) { return gains.present() ? gains.as<float>()[map.gain] : 1; }

/// body(place, entry of G) for all places of a block.
template <class Body>
void forNormals(const FastfoodBlock& block, int64_t n, const Body& body) {
  double normal[4];
  for (int64_t i = 0; i < n; i++) {
    if (i % 4 == 0) block.normals(i / 4, normal);
    body(i, static_cast<float>(normal[i % 4]));
  }
}

/// Of x by B: places below `count`.
void applySigns(const FastfoodBlock& block, float* x, int64_t count) {
  for (int64_t first = 0; first < count; first += 128) {
    const Philox4 signs = block.signs(first / 128);
    for (int64_t i = 0; i < std::min<int64_t>(128, count - first); i++)
      if ((signs.word[i / 32] >> (i % 32) & 1) != 0) x[first + i] = -x[first + i];
  }
}

/// Blocks of one piece of work: about 16,000 values.
int64_t pieceOf(int64_t n) { return std::max<int64_t>(1, 16384 / n); }

/// Runs of blocks whose sums are kept apart backward: fewer of a large subspace, for their memory.
int64_t runsOf(const FastfoodMap& map) {
  constexpr int64_t kMost = 64, kSums = int64_t{1} << 22;
  return std::min({map.blocks, kMost, std::max<int64_t>(1, kSums / map.dimension)});
}

}  // namespace

void fastfood(const OpCall& call) {
  const auto op = FastfoodOp::bind(call);
  const FastfoodMap& map = op.map;
  const int64_t n = map.size, d = map.dimension, rows = op.y.count(), piece = pieceOf(n);
  const float factor = static_cast<float>(map.scale) * gainOf(map, op.gains);
  const float *z = op.z.as<float>(), *base = op.base.as<float>();
  float* y = op.y.as<float>();
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor((map.blocks + piece - 1) / piece, [&](int64_t chunk, int thread) {
    auto* x = static_cast<float*>(pool.scratch(thread, 2 * n * static_cast<int64_t>(sizeof(float))));
    float* permuted = x + n;
    for (int64_t b = chunk * piece; b < std::min(map.blocks, (chunk + 1) * piece); b++) {
      const FastfoodBlock block = map.block(b);
      std::memcpy(x, z, static_cast<size_t>(d) * sizeof(float));
      std::fill(x + d, x + n, 0.0f);
      applySigns(block, x, d);
      walshHadamard(x, n);
      forNormals(block, n, [&](int64_t i, float normal) { permuted[i] = normal * x[block.source(i)]; });
      walshHadamard(permuted, n);
      const int64_t first = b * n, count = std::min(n, rows - first);
      for (int64_t i = 0; i < count; i++) y[first + i] = base[first + i] + factor * permuted[i];
    }
  });
}

void fastfoodBackward(const OpCall& call) {
  const auto op = FastfoodBackwardOp::bind(call);
  const FastfoodMap& map = op.map;
  const int64_t n = map.size, d = map.dimension, rows = op.dy.count();
  const float *dy = op.dy.as<float>(), *z = op.z.as<float>();
  const int64_t runs = runsOf(map);
  std::vector<double> sums(static_cast<size_t>(runs * d));
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor(runs, [&](int64_t run, int thread) {
    auto* w = static_cast<float*>(pool.scratch(thread, 2 * n * static_cast<int64_t>(sizeof(float))));
    float* x = w + n;
    double* sum = sums.data() + run * d;
    for (int64_t b = run * map.blocks / runs; b < (run + 1) * map.blocks / runs; b++) {
      const FastfoodBlock block = map.block(b);
      const int64_t first = b * n, count = std::min(n, rows - first);
      std::memcpy(w, dy + first, static_cast<size_t>(count) * sizeof(float));
      std::fill(w + count, w + n, 0.0f);
      walshHadamard(w, n);
      forNormals(block, n, [&](int64_t i, float normal) { x[block.source(i)] = normal * w[i]; });
      walshHadamard(x, n);
      applySigns(block, x, d);
      for (int64_t i = 0; i < d; i++) sum[i] += static_cast<double>(x[i]);
    }
  });
  const auto gain = static_cast<double>(gainOf(map, op.gains));
  double alongZ = 0;
  for (int64_t i = 0; i < d; i++) {
    double t = 0;
    for (int64_t run = 0; run < runs; run++) t += sums[static_cast<size_t>(run * d + i)];
    t *= map.scale;
    alongZ += t * static_cast<double>(z[i]);
    if (op.dz.present()) op.dz.as<float>()[i] += static_cast<float>(gain * t);
  }
  if (op.dgains.present()) op.dgains.as<float>()[map.gain] += static_cast<float>(alongZ);
}

}  // namespace fl::cpu
