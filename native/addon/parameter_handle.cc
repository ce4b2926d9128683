// Tensors that JavaScript holds: slots read, written, restored and released, with V8 told of the
// bytes. What a parameter is: runtime/parameter.h.
#include "addon/parameter_handle.h"

#include "addon/arguments.h"
#include "ops/backend.h"

namespace fl::addon {
namespace {

Parameter::Slot slotOf(const Napi::Value& value) {
  const std::string name = stringOf(value, "slot");
  if (name == "value") return Parameter::Slot::value;
  if (name == "gradient") return Parameter::Slot::gradient;
  if (name == "firstMoment") return Parameter::Slot::firstMoment;
  if (name == "secondMoment") return Parameter::Slot::secondMoment;
  fail("INVALID_ARGUMENT", "slot must be value, gradient, firstMoment or secondMoment, not '" + name + "'");
}

}  // namespace

Napi::Function defineParameter(Napi::Env env) {
  using H = ParameterHandle;
  return H::DefineClass(env, "NativeParameter",
                        {H::InstanceMethod("has", &H::has), H::InstanceMethod("write", &H::write),
                         H::InstanceMethod("restore", &H::restore), H::InstanceMethod("restorePart", &H::restorePart),
                         H::InstanceMethod("read", &H::read), H::InstanceMethod("readDouble", &H::readDouble),
                         H::InstanceMethod("release", &H::release), H::InstanceAccessor<&H::bytes>("bytes"),
                         H::InstanceMethod("dispose", &H::dispose)});
}

ParameterHandle::ParameterHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ParameterHandle>(info) {
  guarded(info.Env(), [&] {
    Backend& backend = backendByName(stringOf(info[0], "backend"));
    const std::string name = stringOf(info[1], "name");
    const Napi::Array shape = arrayOf(info[2], "shape");
    if (shape.Length() < 1 || shape.Length() > 2)
      fail("INVALID_SHAPE", name + ": a parameter has 1 or 2 dimensions, not " + std::to_string(shape.Length()));
    std::array<int64_t, 2> dim{1, 1};
    for (uint32_t i = 0; i < shape.Length(); i++) dim[i] = integerOf(shape.Get(i), "shape", 1, int64_t{1} << 40);
    parameter_ =
        std::make_shared<Parameter>(backend.memory(), name, computeOf(info[3]), static_cast<int>(shape.Length()), dim);
  });
}

ParameterHandle::~ParameterHandle() {
  if (reported_) adjustExternalMemory(Env(), -reported_);
}

ParameterHandle& ParameterHandle::of(Napi::Env env, const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(environmentOf(env).parameter.Value()))
    fail("INVALID_ARGUMENT", std::string(name) + " must be a NativeParameter");
  return *Unwrap(value.As<Napi::Object>());
}

std::shared_ptr<Parameter> ParameterHandle::parameter() const {
  if (!parameter_) fail("DISPOSED", "this parameter was disposed");
  return parameter_;
}

std::shared_ptr<Parameter> ParameterHandle::idle() const {
  auto p = parameter();
  if (p->users > 0) fail("BUSY", p->name() + ": a step that uses it is running; await the step first");
  return p;
}

void ParameterHandle::reportMemory(Napi::Env env) {
  const int64_t now = parameter_ ? parameter_->bytes() : 0;
  if (now != reported_) adjustExternalMemory(env, now - reported_);
  reported_ = now;
}

Napi::Value ParameterHandle::has(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Boolean::New(info.Env(), parameter()->has(slotOf(info[0]))); });
}

void ParameterHandle::store(Napi::Env env, Parameter::Slot slot, const Napi::Value& values, bool changed) {
  const auto p = idle();
  const bool wide = values.IsTypedArray() && values.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array;
  void* memory = typedMemory(values, p->name().c_str(), wide ? DType::f64 : DType::f32, p->count());
  if (wide)
    p->writeDouble(slot, static_cast<const double*>(memory), changed);
  else
    p->write(slot, static_cast<const float*>(memory), changed);
  reportMemory(env);
}

void ParameterHandle::write(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { store(info.Env(), slotOf(info[0]), info[1], true); });
}

void ParameterHandle::restore(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { store(info.Env(), Parameter::Slot::value, info[0], false); });
}

void ParameterHandle::restorePart(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const auto p = idle();
    if (!info[0].IsTypedArray()) fail("INVALID_ARGUMENT", p->name() + ": a part is a Float32Array");
    const auto count = static_cast<int64_t>(info[0].As<Napi::TypedArray>().ElementLength());
    const void* const values = typedMemory(info[0], p->name().c_str(), DType::f32, count);
    const int64_t at = integerOf(info[1], "at", 0, p->count());
    if (count > p->count() - at)
      fail("INVALID_SHAPE", p->name() + ": a part of " + std::to_string(count) + " values at " + std::to_string(at) +
                                " ends after its " + std::to_string(p->count()));
    p->writePart(static_cast<const float*>(values), at, count);
    reportMemory(info.Env());
  });
}

Napi::Value ParameterHandle::read(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto p = idle();
    auto values = Napi::Float32Array::New(info.Env(), static_cast<size_t>(p->count()));
    p->read(slotOf(info[0]), values.Data());
    return values;
  });
}

Napi::Value ParameterHandle::readDouble(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto p = idle();
    auto values = Napi::Float64Array::New(info.Env(), static_cast<size_t>(p->count()));
    p->readDouble(slotOf(info[0]), values.Data());
    return values;
  });
}

void ParameterHandle::release(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    idle()->release(slotOf(info[0]));
    reportMemory(info.Env());
  });
}

Napi::Value ParameterHandle::bytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), static_cast<double>(parameter()->bytes())); });
}

void ParameterHandle::dispose(const Napi::CallbackInfo& info) {
  // Programs that use the parameter share it: its memory goes with the last of them.
  parameter_.reset();
  reportMemory(info.Env());
}

}  // namespace fl::addon
