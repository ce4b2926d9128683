// segmentedLoraLinear and its gradients on the CPU: the products of lora_linear.cc for all rows at
// once, whose row panels end where a segment ends and take the adapter of their segment as more
// k-steps. Which rows those are: ops/segmented_lora_linear.h.
//
// Each adapter that has rows is packed for every call; what belongs to one alone is in a workspace
// set of its own.
#include "ops/segmented_lora_linear.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/product.h"
#include "cpu/ops.h"
#include "cpu/ops/lora_parts.h"

namespace fl::cpu {
namespace {

/// The workspace set of segment i.
int64_t setOf(size_t i) { return static_cast<int64_t>(i) + 1; }

/// u = 0 where no adapter writes it.
void clearRest(const SegmentedLoraLinearOp& op, const std::vector<Segment>& segments) {
  for (const Segment& s : segments) {
    float* u = op.u.as<float>() + s.first * op.mostRank();
    const int64_t used = s.rows() * s.rank;
    std::memset(u + used, 0, static_cast<size_t>(s.rows() * op.mostRank() - used) * sizeof(float));
  }
}

}  // namespace

void segmentedLoraLinear(const OpCall& call) {
  const SegmentedLoraLinearOp op = SegmentedLoraLinearOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  const std::vector<Segment> segments = segmentsOf<float>(op.ends, op.settings, op.x.rows(), op.mostRank());
  clearRest(op, segments);
  Product p = outputProduct(kernels, op);
  const float* dropped = droppedInput(op.x, op.dropout);
  int64_t words = 0;
  for (const Segment& s : segments) words += Panels(kernels, s.rank, p.n).words();
  Word* memory = wordWorkspace(WorkspaceSlot::adapterPanels, words);
  std::vector<Packing> packings;
  for (size_t i = 0; i < segments.size(); i++) {
    const Segment& s = segments[i];
    ProductSegment& part = p.segments.emplace_back();
    part.end = s.end;
    part.rank = s.rank;
    if (s.rank == 0) continue;
    part.adapter = Panels(kernels, s.rank, p.n);
    packings.push_back({op.adapterB(s).as<float>(), part.adapter, memory});
    part.adapter.data = memory;
    memory += part.adapter.words();
    const WorkspaceSet own(setOf(i));
    part.u = op.adapterU(s).as<float>();
    const LowRank low = lowRank(kernels, op.adapterA(s), WeightUse::forward, static_cast<float>(s.scaling));
    if (op.dropout.active())
      lowRankInput(kernels, low, dropped + s.first * p.k, s.rows(), p.k, part.u);
    else
      part.low = low;
  }
  packTogether(kernels, packings);
  multiply(p);
}

void segmentedLoraLinearBackward(const OpCall& call) {
  const SegmentedLoraLinearBackwardOp op = SegmentedLoraLinearBackwardOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.dy.cols();
  const std::vector<Segment> segments = segmentsOf<float>(op.ends, op.settings, rows, op.mostRank());
  const float* dy = op.dy.as<float>();
  const float* x = droppedInput(op.x, op.dropout);
  const bool fused = op.dx.present() && !op.dropout.active();
  float* v = workspace(WorkspaceSlot::lowRank, rows * op.mostRank());
  std::deque<AdapterGradients> gradients;
  std::vector<ProductSegment> parts;
  for (size_t i = 0; i < segments.size(); i++) {
    const Segment& s = segments[i];
    const WorkspaceSet own(setOf(i));
    ProductSegment& part = parts.emplace_back();
    part.end = s.end;
    part.rank = s.rank;
    part.u = v + s.first * op.mostRank();
    gradients.emplace_back(
        kernels, AdapterGradient{s.rank, k, n, x + s.first * k, part.u, dy + s.first * n, op.partOfU(s).as<float>(),
                                 op.dA.present() ? op.partOfA(op.dA, s).as<float>() : nullptr,
                                 op.dB.present() ? op.partOfB(op.dB, s).as<float>() : nullptr});
    if (s.rank == 0) continue;
    part.low = lowRank(kernels, op.partOfB(op.B, s), WeightUse::backward, static_cast<float>(s.scaling));
    if (fused)
      part.adapter = adapterPanels(kernels, op.partOfA(op.A, s), WeightUse::backward);
    else
      lowRankInput(kernels, part.low, dy + s.first * n, s.rows(), n, part.u);
  }
  // Of rows of the batch, those of each segment, counted from its begin.
  const auto addRows = [&](int64_t begin, int64_t end) {
    for (size_t i = 0; i < segments.size(); i++) {
      const Segment& s = segments[i];
      if (s.rank != 0 && begin < s.end && end > s.first)
        gradients[i].add(std::max(begin, s.first) - s.first, std::min(end, s.end) - s.first);
    }
  };
  if (op.dx.present()) {
    Product p = inputGradientProduct(kernels, op);
    if (fused) {
      p.segments = parts;
      p.rowsAtOnce = rowsInCache(kernels, k, n);
      setEpilogue(p, op.epilogue);
      p.afterRows = addRows;
    }
    multiply(p);
    for (size_t i = 0; !fused && i < segments.size(); i++) {
      const Segment& s = segments[i];
      addDroppedUpdate({op.dx, op.partOfA(op.A, s), op.dropout, op.precision, op.epilogue, s.first, s.end, parts[i].u});
    }
  }
  if (!fused) addRows(0, rows);
  for (size_t i = 0; i < segments.size(); i++)
    if (segments[i].rank != 0) gradients[i].finish();
}

}  // namespace fl::cpu
