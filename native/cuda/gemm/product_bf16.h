// C = a b (+ a' b') on tensor cores: operands rounded to bf16, sums in fp32 (ops/op.h, precision).
// The bf16 form of product_f32.h; layouts, epilogue and mask are the same. Sizes are ints: a kernel
// that counts in 64 bits does not fit into its registers.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/gemm/product_f32.h"

namespace fl::cuda {

/// A size of a product, small enough that the last tile's end is an int too; else throws
/// INVALID_SHAPE.
inline int productSize(const char* op, int64_t size) {
  constexpr int64_t kRoom = 1024;
  return static_cast<int>(blocks(op, size + kRoom) - kRoom);
}

/// Rows up to which a weight that keeps no bf16 copy is read as it is: a copy is only worth its
/// launch where many tiles of rows read it.
constexpr int64_t kMostWideRows = 128;

struct FactorsBf16 {
  /// fp32, rounded in the kernel.
  const float* a = nullptr;
  /// a in bf16 as Cast (cast_copies.cuh) lays it out. Where it is given, the product is that of
  /// compute capability 9.0 (hopper/product_sm90a.h), which reads it instead.
  const uint16_t* rounded = nullptr;
  /// nt, nn: bf16 as CastWeight (cast_weights.h) lays it out. tn: fp32.
  const void* b = nullptr;
  /// 0: there is no such product.
  int depth = 0;
};

/// Of `parts` products that are added up.
template <int parts_>
struct ProductOf {
  static constexpr int kParts = parts_;
  int rows = 0, cols = 0;
  /// In the order in which they are added; the mask is applied between two.
  FactorsBf16 parts[kParts];
  /// With slots (nt and nn), the update, parts[0] where there is a mask and else parts[1], is that
  /// of each row's segment, as in Product (product_f32.h): a [rows, mostRank] has each segment's
  /// dense, b a block for each slot of cols * paddedColsBf16(mostRank) (nt, an adapter's rows
  /// padded to its own rank) or of mostRank * paddedColsBf16(cols) (nn).
  Segments segments;
  /// nt, nn without segments: every b is fp32 as it is in memory, rounded in the kernel.
  bool wide = false;
  float* out = nullptr;  // [rows, cols]

  const float* bias = nullptr;      // [cols]?
  const float* residual = nullptr;  // [rows, cols]?
  float* preActivation = nullptr;   // [rows, cols]?
  const float* slopeAt = nullptr;   // [rows, cols]?
  Activation activation = Activation::none;

  Mask mask;

  /// u = scaling x A^T by the product itself instead of parts[1].a: in a forward pass of compute
  /// capability 9.0, where selectMakeU says so.
  struct MadeU {
    const uint16_t* A = nullptr;  // bf16 [rank, depth], as Cast lays it out
    float* u = nullptr;           // [rows, rank]
    float scaling = 1;
  };
  MadeU madeU;
};
using ProductBf16 = ProductOf<2>;

void run(const char* op, Layout layout, const ProductBf16& product);

}  // namespace fl::cuda
