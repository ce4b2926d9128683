// JavaScript's hold on a Parameter: NativeParameter of src/native.ts. A step that uses it is a
// program's (addon/program_handle.h); meanwhile it can not be touched.
#pragma once

#include <memory>

#include "addon/addon.h"
#include "runtime/parameter.h"

namespace fl::addon {

class ParameterHandle : public Napi::ObjectWrap<ParameterHandle> {
 public:
  explicit ParameterHandle(const Napi::CallbackInfo& info);
  ~ParameterHandle() override;

  /// The handle behind a JavaScript value; throws INVALID_ARGUMENT when it is none, DISPOSED when
  /// it was disposed.
  static ParameterHandle& of(const Napi::Value& value, const char* name);
  /// Whether a value is an object that this class made.
  static bool isOne(const Napi::Value& value);
  std::shared_ptr<Parameter> parameter() const;
  /// Tells V8 how much memory this object holds now.
  void reportMemory(Napi::Env env);

 private:
  friend Napi::Function defineParameter(Napi::Env env);
  Napi::Value has(const Napi::CallbackInfo& info);
  void write(const Napi::CallbackInfo& info);
  void restore(const Napi::CallbackInfo& info);
  void restorePart(const Napi::CallbackInfo& info);
  /// Writes `values` into a slot, converting to the parameter's type.
  void store(Napi::Env env, Parameter::Slot slot, const Napi::Value& values, bool changed);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value readDouble(const Napi::CallbackInfo& info);
  void release(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  /// The parameter, for a call that touches its memory: BUSY while a step uses it.
  std::shared_ptr<Parameter> idle() const;

  std::shared_ptr<Parameter> parameter_;
  int64_t reported_ = 0;
};

}  // namespace fl::addon
