// Frozen weights in the forms of ops/base_weights.h other than fp32, as products on the device read
// them: kept with their parameters, or made for one call. bf16 copies are cast_weights.h's.
#pragma once

#include <memory>
#include <optional>

#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/int8_rows.h"
#include "cuda/gemm/nf4_blocks.h"
#include "cuda/gemm/product_bf16.h"

namespace fl::cuda {

/// Codes and scales of both sides of a product.
struct Int8Operands {
  /// [rows, paddedCodes(depth)] and [rows], of x or dy.
  const int8_t* rows = nullptr;
  const float* rowScales = nullptr;
  /// [cols, paddedCodes(depth)], and [cols] in x W^T; null: 1.
  const int8_t* weight = nullptr;
  const float* columnScales = nullptr;
  int64_t depth = 0;
};

/// W of one product in the form that its op asks for; with form fp32 it holds nothing, and the
/// product reads W as it is.
class HeldWeight {
 public:
  /// Floats of scratch memory that the constructor takes, for a product with x (or dy).
  static int64_t scratchCount(const Tensor& W, BaseWeights form, Layout layout, const Tensor& x);
  /// Quantises W where no copy is kept with it and, for int8, the rows of x (nt) or of dy (nn), by
  /// kernels of their own.
  HeldWeight(const char* op, const Tensor& W, BaseWeights form, Layout layout, const Tensor& x, float* scratch);

  BaseWeights form() const { return form_; }
  const Int8Operands& int8() const { return int8_; }
  const Nf4Blocks& nf4() const { return nf4_; }

 private:
  BaseWeights form_;
  std::shared_ptr<const void> kept_, keptForward_;
  Int8Operands int8_;
  Nf4Blocks nf4_;
};

/// W of a product in bf16: as its bf16 copy, as it is (`wide`), or in the form that its op asks
/// for.
class WeightBf16 {
 public:
  static int64_t scratchCount(const Tensor& W, BaseWeights form, Layout layout, const Tensor& x, bool wide = false);
  WeightBf16(const char* op, const Tensor& W, BaseWeights form, Layout layout, const Tensor& x, float* scratch,
             bool wide = false);
  /// b of the product's main part; null where it is held in another form.
  const void* data() const { return data_; }
  const HeldWeight& held() const { return held_; }

 private:
  HeldWeight held_;
  std::optional<CastWeight> cast_;
  const void* data_ = nullptr;
};

/// A table of embeddings in int8: the codes of a product's W, whose rows are looked up.
class HeldTable {
 public:
  /// Floats of scratch memory that the constructor takes.
  static int64_t scratchCount(const Tensor& table);
  HeldTable(const char* op, const Tensor& table, float* scratch);
  /// [rows, paddedCodes(cols)]
  const int8_t* codes() const { return codes_; }
  /// [rows]
  const float* scales() const { return scales_; }

 private:
  std::shared_ptr<const void> kept_;
  const int8_t* codes_ = nullptr;
  const float* scales_ = nullptr;
};

/// Makes the copy that is kept with the parameter of `W`.
void keepHeld(const Tensor& W, BaseWeights form, Layout layout);

/// The product, its factors `main` (in bf16: the part that is no update) with b from `weight`;
/// with form fp32 it is that of product_f32.h or product_bf16.h.
void run(const char* op, Layout layout, const Product& product, const HeldWeight& weight);
void run(const char* op, Layout layout, const ProductBf16& product, const HeldWeight& weight);

// What these call, by form.
void runInt8(const char* op, Layout layout, const Product& product, const Int8Operands& operands);
void runInt8(const char* op, Layout layout, const ProductBf16& product, const Int8Operands& operands);
void runNf4(const char* op, Layout layout, const Product& product, const Nf4Blocks& weight);
void runNf4(const char* op, Layout layout, const ProductBf16& product, const Nf4Blocks& weight);

}  // namespace fl::cuda
