// Three launches, once for a frozen weight: scales and codes of blocks, the mean of the scales, the
// codes of the scales. Each step has the operations of runtime/nf4.cc in their order.
#include "cuda/gemm/nf4_blocks.h"

#include <bit>

#include "cuda/device/launch.h"

namespace fl::cuda {
namespace {

constexpr int kWarp = 32, kBlocksAtOnce = 4, kThreads = kWarp * kBlocksAtOnce;
constexpr float kLeastScale = 1e-38f;

struct Values {
  const float* values;
  int64_t count;
  uint8_t* codes;
  float* scales;
};

/// As std::max: NaN in the first place stays.
__device__ inline float atLeast(float a, float b) { return a < b ? b : a; }

__device__ inline unsigned codeOf(const Nf4Tables& tables, float value) {
  value = value < -1.0f ? -1.0f : value > 1.0f ? 1.0f : value;
  unsigned code = 0;
#pragma unroll
  for (int i = 0; i + 1 < Nf4Tables::kCodes; i++)
    code += __fadd_rn(tables.value[i], tables.value[i + 1]) / 2 < value ? 1 : 0;
  return code;
}

/// A warp a block of 64 values, two neighbours a lane.
__global__ void __launch_bounds__(kThreads) quantiseBlocks(const Values v, const __grid_constant__ Nf4Tables tables) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t block = blockIdx.x * int64_t{kBlocksAtOnce} + threadIdx.x / kWarp;
  const int64_t first = block * nf4::kBlock;
  if (first >= v.count) return;  // the whole warp
  const int64_t length = v.count - first < nf4::kBlock ? v.count - first : nf4::kBlock;
  const bool whole = length == nf4::kBlock;
  const int64_t at = first + 2 * lane;
  const float low = at < v.count ? v.values[at] : 0.0f, high = at + 1 < v.count ? v.values[at + 1] : 0.0f;
  const auto bitsOf = [](float x) { return std::bit_cast<uint32_t>(x) & 0x7FFFFFFFu; };
  uint32_t most = bitsOf(low) > bitsOf(high) ? bitsOf(low) : bitsOf(high);
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const uint32_t other = __shfl_xor_sync(0xFFFFFFFFu, most, distance);
    most = other > most ? other : most;
  }
  float scale = std::bit_cast<float>(most);
  if (!whole) scale = atLeast(scale, kLeastScale);
  const float inverse = 1.0f / atLeast(scale, kLeastScale);
  const auto code = [&](int64_t i, float x) {
    if (i >= v.count) return 7u;
    return codeOf(tables, whole ? __fmul_rn(x, inverse) : x / scale);
  };
  if (lane == 0) v.scales[block] = scale;
  if (at < v.count) v.codes[at / 2] = static_cast<uint8_t>(code(at, low) << 4 | code(at + 1, high));
}

/// By one thread: a sum in another order has other bits.
__global__ void meanOfScales(const float* scales, int64_t blocks, float* mean) {
  double sum = 0;
  for (int64_t b = 0; b < blocks; b++) sum += scales[b];
  *mean = static_cast<float>(sum / static_cast<double>(blocks));
}

/// A block of the grid a block of 256 scales, one a thread.
__global__ void __launch_bounds__(nf4::kNestedBlock)
    quantiseScales(const float* scales, int64_t blocks, const float* mean, uint8_t* scaleCodes, float* nested,
                   const __grid_constant__ Nf4Tables tables) {
  __shared__ float largestOf[nf4::kNestedBlock / kWarp];
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t block = blockIdx.x * nf4::kNestedBlock + thread;
  const float apart = block < blocks ? __fadd_rn(scales[block], -*mean) : 0.0f;
  float largest = fabsf(apart);
  if (!(largest >= 0)) largest = 0;  // NaN is left out
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(0xFFFFFFFFu, largest, distance);
    largest = other > largest ? other : largest;
  }
  if (thread % kWarp == 0) largestOf[thread / kWarp] = largest;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < nf4::kNestedBlock / kWarp; w++) largest = largestOf[w] > largest ? largestOf[w] : largest;
  if (thread == 0) nested[blockIdx.x] = largest;
  if (block >= blocks) return;
  const float value = __fmul_rn(apart, largest > 0 ? 1.0f / largest : 0.0f);
  // The first of 255 middles that is not below the value.
  int low = 0, high = 255;
#pragma unroll 1
  while (low < high) {
    const int middle = (low + high) / 2;
    const float* const pair = tables.value + Nf4Tables::kCodes + middle;
    if (__fadd_rn(pair[0], pair[1]) / 2 < value)
      low = middle + 1;
    else
      high = middle;
  }
  scaleCodes[block] = static_cast<uint8_t>(low);
}

}  // namespace

Nf4Tables Nf4Tables::make() {
  Nf4Tables tables;
  for (int i = 0; i < kCodes; i++) tables.value[i] = nf4::kValues[i];
  for (int i = kCodes; i < kCount; i++) tables.value[i] = nf4::kScaleValues[i - kCodes];
  return tables;
}

void quantise(const char* op, const float* values, int64_t count, void* memory, float* scratch) {
  if (count == 0) return;
  const Nf4Tables tables = Nf4Tables::make();
  const Nf4Blocks to = Nf4Blocks::at(memory, count);
  const int64_t blocksOfWeight = nf4::blocksOf(count);
  auto* const mean = const_cast<float*>(to.mean);
  launch(op, quantiseBlocks, dim3(blocks(op, ceilDivide(blocksOfWeight, kBlocksAtOnce))), kThreads,
         Values{values, count, const_cast<uint8_t*>(to.codes), scratch}, tables);
  launch(op, meanOfScales, dim3(1), 1, scratch, blocksOfWeight, mean);
  launch(op, quantiseScales, dim3(blocks(op, nf4::nestedOf(count))), static_cast<int>(nf4::kNestedBlock), scratch,
         blocksOfWeight, mean, const_cast<uint8_t*>(to.scaleCodes), const_cast<float*>(to.nested), tables);
}

}  // namespace fl::cuda
