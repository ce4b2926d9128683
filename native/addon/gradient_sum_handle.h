// JavaScript's hold on a sum of gradients: NativeGradientSum of src/native.ts. What it does:
// distributed/gradient_sum.h; who sums: addon/distributed.cc.
#pragma once

#include <memory>

#include "addon/addon.h"
#include "distributed/slice_gather.h"
#include "ops/optimizer_update.h"

namespace fl::addon {

class GradientSumHandle : public Napi::ObjectWrap<GradientSumHandle> {
 public:
  /// Of the gradients of a NativeProgram.
  explicit GradientSumHandle(const Napi::CallbackInfo& info);

  /// The handle behind a JavaScript value; throws INVALID_ARGUMENT when it is none.
  static const GradientSumHandle& of(const Napi::Value& value, const char* name);

  const std::shared_ptr<mpi::GradientSum>& sum() const { return sum_; }
  /// Of the values that ranks have stepped, where the optimizer is divided.
  const std::shared_ptr<mpi::SliceGather>& values() const { return values_; }
  /// What this rank does of an optimizer step; it tells `values()` how far it is.
  std::shared_ptr<UpdatePart> part() const;

 private:
  friend Napi::Function defineGradientSum(Napi::Env env);
  Napi::Value hold(const Napi::CallbackInfo& info);
  Napi::Value isDivided(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<mpi::GradientSum> sum_;
  std::shared_ptr<mpi::SliceGather> values_;
};

}  // namespace fl::addon
