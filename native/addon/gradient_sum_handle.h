// JavaScript's hold on a sum of gradients: NativeGradientSum of src/native.ts. What it does:
// distributed/gradient_sum.h; who sums: addon/distributed.cc.
#pragma once

#include <memory>

#include "addon/addon.h"
#include "distributed/gradient_sum.h"

namespace fl::addon {

class GradientSumHandle : public Napi::ObjectWrap<GradientSumHandle> {
 public:
  /// Of the gradients of a NativeProgram.
  explicit GradientSumHandle(const Napi::CallbackInfo& info);

  /// The sum behind a JavaScript value; throws INVALID_ARGUMENT when it is none.
  static std::shared_ptr<mpi::GradientSum> of(const Napi::Value& value, const char* name);

 private:
  friend Napi::Function defineGradientSum(Napi::Env env);
  Napi::Value hold(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<mpi::GradientSum> sum_;
};

}  // namespace fl::addon
