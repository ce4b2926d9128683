// loraLinear and its gradients as what stands before and after their product, so that products of
// several calls can be run together (side_by_side.cc). The ops by themselves: lora_linear.cc.
#pragma once

#include <optional>

#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/product.h"
#include "cpu/ops/lora_parts.h"
#include "ops/lora_linear.h"

namespace fl::cpu {

/// The product that makes y. What belongs to the adapter lies in this thread's workspace set.
Product loraLinearProduct(const LoraLinearOp& op);

/// dx, dA and dB: product(), where dx is asked for, then finish(). It stays where it was made.
class LoraLinearGradients {
 public:
  explicit LoraLinearGradients(const LoraLinearBackwardOp& op);
  LoraLinearGradients(const LoraLinearGradients&) = delete;

  /// Null without dx.
  const Product* product() const { return product_ ? &*product_ : nullptr; }
  void finish();

 private:
  const LoraLinearBackwardOp op_;
  const LowRank low_;
  float* const v_;
  AdapterGradients gradients_;
  /// v and the update are part of the product.
  const bool fused_;
  std::optional<Product> product_;
};

}  // namespace fl::cpu
