// fastfood and fastfoodBackward: V of ops/fastfood.h on groups of blocks that fit scratch memory. A
// Walsh-Hadamard transform is done for 2048 values in shared memory, and its wider steps one launch
// each. No atomics: sums over blocks are taken in pieces of 256 blocks, then over the pieces.
#include "ops/fastfood.h"

#include <algorithm>

#include "cuda/ops.h"
#include "cuda/ops/elements.cuh"

namespace fl::cuda {
namespace {

constexpr int kShared = 2048;
constexpr int kThreads = 256;
/// Values of a group: 16 MB, twice.
constexpr int64_t kGroup = int64_t{1} << 22;
constexpr int64_t kPiece = 256;

/// Steps of the transform up to 2048 wide. Grid: pieces of 2048 values; n divides 2048 or the
/// reverse.
__global__ void __launch_bounds__(kThreads) narrowSteps(float* x, int64_t count, int64_t n) {
  __shared__ float values[kShared];
  const int64_t begin = blockIdx.x * int64_t{kShared};
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < kShared; i += kThreads) values[i] = begin + i < count ? x[begin + i] : 0.0f;
  const int widest = static_cast<int>(n < kShared ? n : kShared);
  for (int h = 1; h < widest; h *= 2) {
    __syncthreads();
    for (int pair = thread; pair < kShared / 2; pair += kThreads) {
      const int low = pair / h * 2 * h + pair % h;
      const float p = values[low], q = values[low + h];
      values[low] = p + q;
      values[low + h] = p - q;
    }
  }
  __syncthreads();
  for (int i = thread; i < kShared; i += kThreads)
    if (begin + i < count) x[begin + i] = values[i];
}

/// One step of width h, for every pair.
struct WideStep {
  float* x;
  int64_t h;
  __device__ void operator()(int64_t pair) const {
    const int64_t low = pair / h * 2 * h + pair % h;
    const float p = x[low], q = x[low + h];
    x[low] = p + q;
    x[low + h] = p - q;
  }
};

void walshHadamard(const char* op, float* x, int64_t count, int64_t n) {
  launch(op, narrowSteps, dim3(blocks(op, ceilDivide(count, kShared))), kThreads, x, count, n);
  for (int64_t h = kShared; h < n; h *= 2) forElements(op, count / 2, WideStep{x, h});
}

/// Blocks of V from `begin` on, in x and y of count() values each.
struct Group {
  FastfoodMap map;
  int64_t begin, blocks;
  float *x, *y;

  int64_t count() const { return blocks * map.size; }
  __device__ int64_t place(int64_t i) const { return i % map.size; }
  __device__ FastfoodBlock blockOf(int64_t i) const { return map.block(begin + i / map.size); }
};

/// x = B z
struct Signed {
  Group g;
  const float* z;
  __device__ void operator()(int64_t i) const {
    const int64_t at = g.place(i);
    g.x[i] = at >= g.map.dimension ? 0.0f : g.blockOf(i).negative(at) ? -z[at] : z[at];
  }
};

/// y = G Pi x forward, y = Pi^T G x backward: four places of a block, or all of a smaller one.
template <bool backward>
struct Permuted {
  Group g;
  int64_t quads;
  __device__ void operator()(int64_t i) const {
    const int64_t first = i / quads * g.map.size, at = i % quads * 4;
    const FastfoodBlock block = g.map.block(g.begin + i / quads);
    double normal[4];
    block.normals(i % quads, normal);
    for (int64_t j = 0; j < 4 && at + j < g.map.size; j++) {
      const int64_t source = first + block.source(at + j), target = first + at + j;
      const auto factor = static_cast<float>(normal[j]);
      if (backward)
        g.y[source] = factor * g.x[target];
      else
        g.y[target] = factor * g.x[source];
    }
  }
};

template <bool backward>
void permute(const char* op, const Group& g) {
  const int64_t quads = ceilDivide(g.map.size, 4);
  forElements(op, g.blocks * quads, Permuted<backward>{g, quads});
}

/// The rows of y that the group has.
struct Moved {
  Group g;
  const float *base, *gains;
  float* y;
  __device__ void operator()(int64_t i) const {
    const int64_t row = g.begin * g.map.size + i;
    const float gain = gains == nullptr ? 1.0f : gains[g.map.gain];
    y[row] = base[row] + static_cast<float>(g.map.scale) * gain * g.y[i];
  }
};

/// x = dy, and 0 beyond its end.
struct Loaded {
  Group g;
  const float* dy;
  int64_t rows;
  __device__ void operator()(int64_t i) const {
    const int64_t row = g.begin * g.map.size + i;
    g.x[i] = row < rows ? dy[row] : 0.0f;
  }
};

/// partial[piece][place] = sum over the piece's blocks of B y.
struct PieceSums {
  Group g;
  double* partial;
  __device__ void operator()(int64_t i) const {
    const int64_t piece = i / g.map.dimension, at = i % g.map.dimension;
    const int64_t end = (piece + 1) * kPiece < g.blocks ? (piece + 1) * kPiece : g.blocks;
    double sum = 0;
    for (int64_t b = piece * kPiece; b < end; b++) {
      const auto value = static_cast<double>(g.y[b * g.map.size + at]);
      sum += g.map.block(g.begin + b).negative(at) ? -value : value;
    }
    partial[i] = sum;
  }
};

struct AddPieces {
  const double* partial;
  int64_t pieces, dimension;
  double* sums;
  __device__ void operator()(int64_t at) const {
    for (int64_t piece = 0; piece < pieces; piece++) sums[at] += partial[piece * dimension + at];
  }
};

struct Clear {
  double* sums;
  __device__ void operator()(int64_t at) const { sums[at] = 0; }
};

struct AddToZ {
  FastfoodMap map;
  const double* sums;
  const float* gains;
  float* dz;
  __device__ void operator()(int64_t at) const {
    const double gain = gains == nullptr ? 1.0 : static_cast<double>(gains[map.gain]);
    dz[at] += static_cast<float>(gain * map.scale * sums[at]);
  }
};

/// partial[i] = sum of V^T dy times z over places of one piece.
struct AlongZ {
  FastfoodMap map;
  const double* sums;
  const float* z;
  double* partial;
  __device__ void operator()(int64_t i) const {
    const int64_t end = (i + 1) * kPiece < map.dimension ? (i + 1) * kPiece : map.dimension;
    double sum = 0;
    for (int64_t at = i * kPiece; at < end; at++) sum += sums[at] * static_cast<double>(z[at]);
    partial[i] = sum;
  }
};

struct AddToGain {
  FastfoodMap map;
  const double* partial;
  int64_t pieces;
  float* dgains;
  __device__ void operator()(int64_t) const {
    double sum = 0;
    for (int64_t i = 0; i < pieces; i++) sum += partial[i];
    dgains[map.gain] += static_cast<float>(map.scale * sum);
  }
};

/// body(group) for all blocks; x and y are at `memory`.
template <class Body>
void forGroups(const FastfoodMap& map, int64_t most, float* memory, const Body& body) {
  for (int64_t begin = 0; begin < map.blocks; begin += most)
    body(Group{map, begin, std::min(most, map.blocks - begin), memory, memory + most * map.size});
}

int64_t groupBlocks(const FastfoodMap& map) {
  return std::min(std::max<int64_t>(1, kGroup / map.size), std::max<int64_t>(1, map.blocks));
}

}  // namespace

void fastfood(const OpCall& call) {
  const auto op = FastfoodOp::bind(call);
  const FastfoodMap& map = op.map;
  constexpr const char* kName = "fastfood";
  const int64_t most = groupBlocks(map);
  const Device::Scratch scratch = Device::instance().scratch(2 * most * map.size);
  forGroups(map, most, scratch.data(), [&](const Group& g) {
    forElements(kName, g.count(), Signed{g, op.z.as<float>()});
    walshHadamard(kName, g.x, g.count(), map.size);
    permute<false>(kName, g);
    walshHadamard(kName, g.y, g.count(), map.size);
    forElements(kName, std::min(g.count(), op.y.count() - g.begin * map.size),
                Moved{g, op.base.as<float>(), op.gains.present() ? op.gains.as<float>() : nullptr, op.y.as<float>()});
  });
}

void fastfoodBackward(const OpCall& call) {
  const auto op = FastfoodBackwardOp::bind(call);
  const FastfoodMap& map = op.map;
  constexpr const char* kName = "fastfoodBackward";
  const int64_t d = map.dimension, most = groupBlocks(map), pieces = ceilDivide(most, kPiece);
  // Doubles first: they need to lie at even floats.
  const Device::Scratch scratch = Device::instance().scratch(2 * (pieces + 1) * d + 2 * most * map.size);
  auto* const sums = reinterpret_cast<double*>(scratch.data());
  double* const partial = sums + d;
  forElements(kName, d, Clear{sums});
  forGroups(map, most, reinterpret_cast<float*>(partial + pieces * d), [&](const Group& g) {
    forElements(kName, g.count(), Loaded{g, op.dy.as<float>(), op.dy.count()});
    walshHadamard(kName, g.x, g.count(), map.size);
    permute<true>(kName, g);
    walshHadamard(kName, g.y, g.count(), map.size);
    const int64_t own = ceilDivide(g.blocks, kPiece);
    forElements(kName, own * d, PieceSums{g, partial});
    forElements(kName, d, AddPieces{partial, own, d, sums});
  });
  const float* gains = op.gains.present() ? op.gains.as<float>() : nullptr;
  if (op.dz.present()) forElements(kName, d, AddToZ{map, sums, gains, op.dz.as<float>()});
  if (!op.dgains.present()) return;
  const int64_t along = ceilDivide(d, kPiece);
  forElements(kName, along, AlongZ{map, sums, op.z.as<float>(), partial});
  forElements(kName, 1, AddToGain{map, partial, along, op.dgains.as<float>()});
}

}  // namespace fl::cuda
