// Copies in int8 and NF4: one kept with a parameter while nothing trains it, else one in scratch
// memory. The forms themselves are int8_rows.cu's and nf4_blocks.cu's, the products with them
// product_int8.cu's, product_nf4_f32.cu's and product_nf4_bf16.cu's.
#include "cuda/gemm/held_weights.h"

#include "cuda/device/memory.h"
#include "cuda/gemm/scratch_pieces.h"
#include "runtime/parameter.h"

namespace fl::cuda {
namespace {

/// Keys of Parameter::derived; cast_weights.cu has another.
constexpr int kForwardKey = 2, kBackwardKey = 3, kNf4Key = 4;
const char* const kMaking = "quantising a weight";

std::shared_ptr<void> allocate(int64_t floats) {
  return {deviceMemory().allocate(static_cast<size_t>(floats) * sizeof(float)),
          [](void* memory) { deviceMemory().release(memory); }};
}

/// Codes of W's rows, and the rows' scales behind them.
struct ForwardCodes {
  int8_t* codes;
  float* scales;

  static int64_t floats(const Tensor& W) { return codeFloats(W.rows(), W.cols()) + W.rows(); }
  static ForwardCodes at(const Tensor& W, const void* memory) {
    auto* const floats = static_cast<float*>(const_cast<void*>(memory));
    return {reinterpret_cast<int8_t*>(floats), floats + codeFloats(W.rows(), W.cols())};
  }
  static ForwardCodes make(const char* op, const Tensor& W, void* memory) {
    const ForwardCodes made = at(W, memory);
    quantise(op, Int8Rows{W.rows(), W.cols(), W.as<float>(), nullptr, made.codes, made.scales});
    return made;
  }
};

void requireValues(const Tensor& W, const Tensor& value) {
  if (value.data == nullptr) fail("INTERNAL", W.parameter->name() + ": its values are not on the device");
}

std::shared_ptr<const void> keptForward(const Tensor& W) {
  return W.parameter->derived(kForwardKey, [&W](const Tensor& value) -> std::shared_ptr<const void> {
    requireValues(W, value);
    const std::shared_ptr<void> memory = allocate(ForwardCodes::floats(value));
    ForwardCodes::make(kMaking, value, memory.get());
    return memory;
  });
}

/// From the forward codes, which stay: their scales are part of both.
std::shared_ptr<const void> keptBackward(const Tensor& W, const ForwardCodes& forward) {
  return W.parameter->derived(kBackwardKey, [&forward](const Tensor& value) -> std::shared_ptr<const void> {
    const std::shared_ptr<void> memory = allocate(codeFloats(value.cols(), value.rows()));
    transposeCodes(kMaking, forward.codes, value.rows(), value.cols(), static_cast<int8_t*>(memory.get()));
    return memory;
  });
}

std::shared_ptr<const void> keptNf4(const Tensor& W) {
  return W.parameter->derived(kNf4Key, [&W](const Tensor& value) -> std::shared_ptr<const void> {
    requireValues(W, value);
    const std::shared_ptr<void> memory = allocate(Nf4Blocks::floats(value.count()));
    const std::shared_ptr<void> scratch = allocate(Nf4Blocks::scratchFloats(value.count()));
    quantise(kMaking, value.as<float>(), value.count(), memory.get(), static_cast<float*>(scratch.get()));
    return memory;
  });
}

/// The pieces of an int8 product's scratch memory.
struct Int8Counts {
  int64_t forward = 0, backward = 0, codes, scales;

  Int8Counts(const Tensor& W, Layout layout, const Tensor& x)
      : codes(codeFloats(x.rows(), x.cols())), scales(x.rows()) {
    if (keepsCastCopy(W)) return;
    forward = ForwardCodes::floats(W);
    if (layout == Layout::nn) backward = codeFloats(W.cols(), W.rows());
  }
  int64_t sum() const { return Pieces::countOf({forward, backward, codes, scales}); }
};

}  // namespace

int64_t HeldWeight::scratchCount(const Tensor& W, BaseWeights form, Layout layout, const Tensor& x) {
  switch (form) {
    case BaseWeights::fp32:
      return 0;
    case BaseWeights::int8:
      return Int8Counts(W, layout, x).sum();
    case BaseWeights::nf4:
      return keepsCastCopy(W) ? 0
                              : Pieces::countOf({Nf4Blocks::floats(W.count()), Nf4Blocks::scratchFloats(W.count())});
  }
  return 0;
}

HeldWeight::HeldWeight(const char* op, const Tensor& W, BaseWeights form, Layout layout, const Tensor& x,
                       float* scratch)
    : form_(form) {
  if (form == BaseWeights::fp32) return;
  Pieces pieces(scratch);
  if (form == BaseWeights::nf4) {
    if (keepsCastCopy(W)) {
      kept_ = keptNf4(W);
      nf4_ = Nf4Blocks::at(kept_.get(), W.count());
    } else {
      float* const memory = pieces.take(Nf4Blocks::floats(W.count()));
      quantise(op, W.as<float>(), W.count(), memory, pieces.take(Nf4Blocks::scratchFloats(W.count())));
      nf4_ = Nf4Blocks::at(memory, W.count());
    }
    return;
  }
  const Int8Counts counts(W, layout, x);
  ForwardCodes forward{};
  const bool across = layout == Layout::nn;
  if (keepsCastCopy(W)) {
    keptForward_ = keptForward(W);
    forward = ForwardCodes::at(W, keptForward_.get());
    if (across) kept_ = keptBackward(W, forward);
    int8_.weight = across ? static_cast<const int8_t*>(kept_.get()) : forward.codes;
  } else {
    forward = ForwardCodes::make(op, W, pieces.take(counts.forward));
    auto* const backward = reinterpret_cast<int8_t*>(pieces.take(counts.backward));
    if (across) transposeCodes(op, forward.codes, W.rows(), W.cols(), backward);
    int8_.weight = across ? backward : forward.codes;
  }
  auto* const codes = reinterpret_cast<int8_t*>(pieces.take(counts.codes));
  float* const scales = pieces.take(counts.scales);
  // The scales of W stand inside the sum of dx: they go into dy.
  quantise(op, Int8Rows{x.rows(), x.cols(), x.as<float>(), across ? forward.scales : nullptr, codes, scales});
  int8_.rows = codes;
  int8_.rowScales = scales;
  int8_.columnScales = across ? nullptr : forward.scales;
  int8_.depth = x.cols();
}

int64_t WeightBf16::scratchCount(const Tensor& W, BaseWeights form, Layout layout, const Tensor& x, bool wide) {
  if (form != BaseWeights::fp32) return HeldWeight::scratchCount(W, form, layout, x);
  return wide ? 0 : CastWeight::scratchCount(W);
}

WeightBf16::WeightBf16(const char* op, const Tensor& W, BaseWeights form, Layout layout, const Tensor& x,
                       float* scratch, bool wide)
    : held_(op, W, form, layout, x, scratch) {
  if (form != BaseWeights::fp32) return;
  data_ = wide ? W.data : cast_.emplace(op, W, scratch).data();
}

int64_t HeldTable::scratchCount(const Tensor& table) { return keepsCastCopy(table) ? 0 : ForwardCodes::floats(table); }

HeldTable::HeldTable(const char* op, const Tensor& table, float* scratch) {
  if (keepsCastCopy(table)) kept_ = keptForward(table);
  const ForwardCodes held = kept_ ? ForwardCodes::at(table, kept_.get()) : ForwardCodes::make(op, table, scratch);
  codes_ = held.codes;
  scales_ = held.scales;
}

void keepHeld(const Tensor& W, BaseWeights form, Layout layout) {
  if (form == BaseWeights::nf4) {
    keptNf4(W);
    return;
  }
  const std::shared_ptr<const void> forward = keptForward(W);
  if (layout == Layout::nn) keptBackward(W, ForwardCodes::at(W, forward.get()));
}

namespace {

/// P: Product or ProductBf16, each with its kernels.
template <class P>
void runHeld(const char* op, Layout layout, const P& p, const HeldWeight& weight) {
  if (p.rows == 0 || p.cols == 0) return;
  switch (weight.form()) {
    case BaseWeights::fp32:
      return run(op, layout, p);
    case BaseWeights::int8:
      return runInt8(op, layout, p, weight.int8());
    case BaseWeights::nf4:
      return runNf4(op, layout, p, weight.nf4());
  }
}

}  // namespace

void run(const char* op, Layout layout, const Product& p, const HeldWeight& weight) { runHeld(op, layout, p, weight); }

void run(const char* op, Layout layout, const ProductBf16& p, const HeldWeight& weight) {
  runHeld(op, layout, p, weight);
}

}  // namespace fl::cuda
