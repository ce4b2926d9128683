// Sums of gradients that JavaScript holds: made of a program, filled share by share.
// What a sum is: distributed/gradient_sum.h.
#include "addon/gradient_sum_handle.h"

#include "addon/background.h"
#include "addon/program_handle.h"

namespace fl::addon {
namespace {

static_assert(mpi::BucketSizes().chunk == SquaredNormOp::kChunk);

/// Marks the objects that Unwrap may be asked of.
constexpr napi_type_tag kGradientSumTag{0x66757365646c6f72, 0x6772616473756d00};

}  // namespace

Napi::Function defineGradientSum(Napi::Env env) {
  using H = GradientSumHandle;
  return H::DefineClass(env, "NativeGradientSum",
                        {H::InstanceMethod("hold", &H::hold), H::InstanceMethod("cancel", &H::cancel),
                         H::InstanceAccessor<&H::isDivided>("isDivided")});
}

GradientSumHandle::GradientSumHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<GradientSumHandle>(info) {
  guarded(info.Env(), [&] {
    const auto program = ProgramHandle::programOf(info[0]);
    std::vector<mpi::GradientSum::Tensor> tensors;
    for (size_t i = 0; i < program->trained().size(); i++)
      tensors.push_back(
          {program->spec().parameters[static_cast<size_t>(program->trained()[i])], program->gradientFinishedAt()[i]});
    sum_ = std::make_shared<mpi::GradientSum>(std::move(tensors), mpi::BucketSizes(), program->chunkNorm());
    values_ = std::make_shared<mpi::SliceGather>(sum_, Parameter::Slot::value);
    info.This().As<Napi::Object>().TypeTag(&kGradientSumTag);
  });
}

const GradientSumHandle& GradientSumHandle::of(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kGradientSumTag))
    fail("INVALID_ARGUMENT", std::string(name) + " must be a NativeGradientSum");
  return *Unwrap(value.As<Napi::Object>());
}

std::shared_ptr<UpdatePart> GradientSumHandle::part() const {
  if (!sum_->isDivided() || !sum_->isMade())
    fail("INVALID_ARGUMENT", "the optimizer step is not divided, or gradients were not summed before it");
  auto part = std::make_shared<UpdatePart>();
  for (const auto& [tensor, at, count] : sum_->ownRanges()) part->ranges.push_back({tensor, at, count});
  for (size_t i = 0; i < sum_->tensors().size(); i++)
    part->squaredNorms.push_back(sum_->squaredNorm(static_cast<int>(i)));
  part->stepped = [values = values_](int ranges) { values->finished(1 + ranges); };
  return part;
}

Napi::Value GradientSumHandle::isDivided(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), sum_->isDivided());
}

Napi::Value GradientSumHandle::hold(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return Background::run(
        info.Env(), [sum = sum_, add = info[0].ToBoolean().Value()] { sum->hold(add); },
        [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  });
}

void GradientSumHandle::cancel(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Error error(stringOf(info[0], "code"), stringOf(info[1], "message"));
    sum_->cancel(error);
    values_->cancel(error);
  });
}

}  // namespace fl::addon
