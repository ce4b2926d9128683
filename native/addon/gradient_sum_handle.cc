// Sums of gradients that JavaScript holds: made of a program, filled share by share.
// What a sum is: distributed/gradient_sum.h.
#include "addon/gradient_sum_handle.h"

#include "addon/background.h"
#include "addon/program_handle.h"

namespace fl::addon {
namespace {

/// Marks the objects that Unwrap may be asked of.
constexpr napi_type_tag kGradientSumTag{0x66757365646c6f72, 0x6772616473756d00};

}  // namespace

Napi::Function defineGradientSum(Napi::Env env) {
  using H = GradientSumHandle;
  return H::DefineClass(env, "NativeGradientSum",
                        {H::InstanceMethod("hold", &H::hold), H::InstanceMethod("cancel", &H::cancel)});
}

GradientSumHandle::GradientSumHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<GradientSumHandle>(info) {
  guarded(info.Env(), [&] {
    const auto program = ProgramHandle::programOf(info[0]);
    std::vector<mpi::GradientSum::Tensor> tensors;
    for (size_t i = 0; i < program->trained().size(); i++)
      tensors.push_back(
          {program->spec().parameters[static_cast<size_t>(program->trained()[i])], program->gradientFinishedAt()[i]});
    sum_ = std::make_shared<mpi::GradientSum>(std::move(tensors));
    info.This().As<Napi::Object>().TypeTag(&kGradientSumTag);
  });
}

std::shared_ptr<mpi::GradientSum> GradientSumHandle::of(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kGradientSumTag))
    fail("INVALID_ARGUMENT", std::string(name) + " must be a NativeGradientSum");
  return Unwrap(value.As<Napi::Object>())->sum_;
}

Napi::Value GradientSumHandle::hold(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return Background::run(
        info.Env(), [sum = sum_, add = info[0].ToBoolean().Value()] { sum->hold(add); },
        [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  });
}

void GradientSumHandle::cancel(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { sum_->cancel(Error(stringOf(info[0], "code"), stringOf(info[1], "message"))); });
}

}  // namespace fl::addon
