// A warp a row: the largest magnitude by its bits, whose order is that of magnitudes with NaN above
// all, then codes, four a lane. runtime/int8.h has the same for the host.
#include "cuda/gemm/int8_rows.h"

#include <bit>

#include "cuda/device/launch.h"
#include "runtime/int8.h"

namespace fl::cuda {
namespace {

constexpr int kWarp = 32, kRowsPerBlock = 4, kThreads = kWarp * kRowsPerBlock;
constexpr uint32_t kInfinity = 0x7F800000u, kNan = 0x7FC00000u;

__device__ inline float valueAt(const Int8Rows& r, const float* row, int64_t k) {
  return r.factors ? __fmul_rn(row[k], r.factors[k]) : row[k];
}

/// Grid: rows / kRowsPerBlock.
__global__ void __launch_bounds__(kThreads) quantiseRows(const Int8Rows r) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t row = blockIdx.x * int64_t{kRowsPerBlock} + threadIdx.x / kWarp;
  if (row >= r.rows) return;  // the whole warp
  const float* const x = r.x + row * r.cols;
  uint32_t most = 0;
  for (int64_t k = lane; k < r.cols; k += kWarp) {
    const uint32_t bits = std::bit_cast<uint32_t>(valueAt(r, x, k)) & 0x7FFFFFFFu;
    most = bits > most ? bits : most;
  }
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const uint32_t other = __shfl_xor_sync(0xFFFFFFFFu, most, distance);
    most = other > most ? other : most;
  }
  const float largest = std::bit_cast<float>(most);
  const bool any = most < kInfinity && largest >= kInt8Least;
  const float inverse = any ? kInt8Most / largest : 0.0f;
  if (lane == 0) r.scales[row] = any ? largest / kInt8Most : most < kInfinity ? 0.0f : std::bit_cast<float>(kNan);

  const int64_t words = paddedCodes(r.cols) / 4;
  auto* const to = reinterpret_cast<uint32_t*>(r.codes) + row * words;
  for (int64_t w = lane; w < words; w += kWarp) {
    uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int64_t k = 4 * w + i;
      if (any && k < r.cols) {
        const int code = __float2int_rn(__fmul_rn(valueAt(r, x, k), inverse));
        word |= (static_cast<uint32_t>(code) & 0xFFu) << 8 * i;
      }
    }
    to[w] = word;
  }
}

/// A thread a word of the result: codes of four rows of one column.
__global__ void __launch_bounds__(kThreads)
    transposeAll(const int8_t* codes, int64_t rows, int64_t cols, uint32_t* to) {
  const int64_t words = paddedCodes(rows) / 4;
  const int64_t e = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (e >= cols * words) return;
  // Neighbouring threads read neighbouring columns.
  const int64_t col = e % cols, word = e / cols;
  uint32_t value = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int64_t row = 4 * word + i;
    if (row < rows) value |= static_cast<uint32_t>(static_cast<uint8_t>(codes[row * paddedCodes(cols) + col])) << 8 * i;
  }
  to[col * words + word] = value;
}

}  // namespace

void quantise(const char* op, const Int8Rows& rows) {
  if (rows.rows == 0 || rows.cols == 0) return;
  launch(op, quantiseRows, dim3(blocks(op, ceilDivide(rows.rows, kRowsPerBlock))), kThreads, rows);
}

void transposeCodes(const char* op, const int8_t* codes, int64_t rows, int64_t cols, int8_t* to) {
  const int64_t count = cols * (paddedCodes(rows) / 4);
  if (count == 0) return;
  launch(op, transposeAll, dim3(blocks(op, ceilDivide(count, kThreads))), kThreads, codes, rows, cols,
         reinterpret_cast<uint32_t*>(to));
}

}  // namespace fl::cuda
