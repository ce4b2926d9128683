// squaredNorm and adamw of one tensor on the CPU, in pieces that threads share out.
// A whole optimizer step over all tensors is in ops/optimizer_update.cc.
#include "ops/optimizer.h"

#include <vector>

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

void squaredNorm(const OpCall& call) {
  const auto op = SquaredNormOp::bind(call);
  const int64_t count = op.x.count();
  const float* x = op.x.as<float>();
  std::vector<double> partial(static_cast<size_t>((count + SquaredNormOp::kChunk - 1) / SquaredNormOp::kChunk));
  forPieces(count, SquaredNormOp::kChunk, [&](int64_t begin, int64_t end) {
    partial[static_cast<size_t>(begin / SquaredNormOp::kChunk)] = rowKernels().squaredNorm(x + begin, end - begin);
  });
  double total = 0;
  for (const double sum : partial) total += sum;
  *op.out.as<double>() = total;
}

void adamw(const OpCall& call) {
  const auto op = AdamWOp::bind(call);
  const AdamWSettings& s = op.settings;
  const AdamWStep step{static_cast<float>(s.gradientScale),
                       static_cast<float>(1 - s.learningRate * s.weightDecay),
                       static_cast<float>(s.beta1),
                       static_cast<float>(s.beta2),
                       static_cast<float>(1 - s.beta1),
                       static_cast<float>(1 - s.beta2),
                       static_cast<float>(1 / std::sqrt(s.correction2)),
                       static_cast<float>(s.eps),
                       static_cast<float>(s.learningRate / s.correction1)};
  const float* gradient = op.gradient.as<float>();
  float *p = op.p.as<float>(), *m = op.m.as<float>(), *v = op.v.as<float>();
  forElements(op.gradient.count(), [&](int64_t begin, int64_t end) {
    rowKernels().adamw(step, gradient + begin, p + begin, m + begin, v + begin, end - begin);
  });
}

}  // namespace fl::cpu
