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

/// Marks the objects that Unwrap may be asked of: a prototype can be set by anybody.
constexpr napi_type_tag kParameterTag{0x66757365646c6f72, 0x706172616d657465};

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
    const Shape shape = shapeOf(info[2], "the shape of a parameter", 1);
    parameter_ = std::make_shared<Parameter>(backend.memory(), name, computeOf(info[3]), shape.rank, shape.dim);
    info.This().As<Napi::Object>().TypeTag(&kParameterTag);
  });
}

ParameterHandle::~ParameterHandle() {
  if (reported_) adjustExternalMemory(Env(), -reported_);
}

ParameterHandle& ParameterHandle::of(const Napi::Value& value, const char* name) {
  if (!isOne(value)) fail("INVALID_ARGUMENT", std::string(name) + " must be a NativeParameter");
  return *Unwrap(value.As<Napi::Object>());
}

bool ParameterHandle::isOne(const Napi::Value& value) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kParameterTag);
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
  const bool wide = typedViewOf(values, p->name().c_str()).dtype == DType::f64;
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
    const auto [dtype, count, values] = typedViewOf(info[0], p->name().c_str());
    if (dtype != DType::f32) fail("INVALID_ARGUMENT", p->name() + ": a part is a Float32Array");
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
