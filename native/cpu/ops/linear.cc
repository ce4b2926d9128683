// linear and its three gradients (input, weight, bias) on the CPU, each a product of
// cpu/gemm/product.h. With an adapter: lora_linear.cc.
#include "ops/linear.h"

#include <algorithm>

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/gemm/product.h"
#include "cpu/ops.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {

void linear(const OpCall& call) {
  const LinearOp op = LinearOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  Product p = outputProduct(kernels, op);
  multiply(p);
}

void linearBackwardInput(const OpCall& call) {
  const LinearBackwardInputOp op = LinearBackwardInputOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  Product p = inputGradientProduct(kernels, op);
  setEpilogue(p, op.epilogue);
  multiply(p);
}

void linearBackwardWeight(const OpCall& call) {
  const LinearBackwardWeightOp op = LinearBackwardWeightOp::bind(call);
  Product p(kernelsFor(op.precision));
  p.m = op.dy.cols();
  p.n = op.x.cols();
  p.k = op.x.rows();
  p.a = op.dy.as<float>();
  p.lda = p.m;
  p.aTransposed = true;
  p.bRows = op.x.as<float>();
  p.ldb = p.n;
  p.c = op.dW.as<float>();
  p.accumulate = true;
  multiply(p);
}

void biasBackward(const OpCall& call) {
  const BiasBackwardOp op = BiasBackwardOp::bind(call);
  constexpr int64_t columnsPerChunk = 64, rowsPerSum = 256;
  const int64_t rows = op.dy.rows(), n = op.dy.cols();
  const float* dy = op.dy.as<float>();
  float* db = op.db.as<float>();
  ThreadPool::instance().parallelFor((n + columnsPerChunk - 1) / columnsPerChunk, [=](int64_t chunk, int) {
    const int64_t first = chunk * columnsPerChunk, width = std::min(columnsPerChunk, n - first);
    float total[columnsPerChunk] = {};
    for (int64_t begin = 0; begin < rows; begin += rowsPerSum) {
      float sum[columnsPerChunk] = {};
      for (int64_t row = begin; row < std::min(rows, begin + rowsPerSum); row++)
        for (int64_t j = 0; j < width; j++) sum[j] += dy[row * n + first + j];
      for (int64_t j = 0; j < width; j++) total[j] += sum[j];
    }
    for (int64_t j = 0; j < width; j++) db[first + j] += total[j];
  });
}

}  // namespace fl::cpu
