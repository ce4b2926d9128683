// JavaScript's hold on a Program: NativeProgram of src/native.ts. One call at a time; a second one
// is refused with BUSY. What a program does: program/program.h.
#pragma once

#include <functional>
#include <memory>

#include "addon/addon.h"
#include "addon/parameter_handle.h"
#include "program/program.h"

namespace fl::addon {

class ProgramHandle : public Napi::ObjectWrap<ProgramHandle> {
 public:
  explicit ProgramHandle(const Napi::CallbackInfo& info);
  ~ProgramHandle() override;

  /// The program behind a JavaScript value; throws INVALID_ARGUMENT when it is none, DISPOSED when
  /// it was disposed.
  static std::shared_ptr<Program> programOf(const Napi::Value& value);

 private:
  friend Napi::Function defineProgram(Napi::Env env);
  Napi::Value arenaBytes(const Napi::CallbackInfo& info);
  Napi::Value reserve(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  static Napi::Value accumulateSideBySide(const Napi::CallbackInfo& info);
  Napi::Value apply(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value takeTimings(const Napi::CallbackInfo& info);
  Napi::Value recorded(const Napi::CallbackInfo& info);
  void abort(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Program> program() const;
  /// Marks the program as busy until it goes: before a promise is settled, or with a call that
  /// failed before there was one.
  class Claim;
  std::shared_ptr<Claim> claim();
  /// Runs `work` off the event loop, the program busy meanwhile.
  Napi::Value start(
      Napi::Env env, std::function<void(Program&)> work,
      std::function<Napi::Value(Napi::Env)> result = [](Napi::Env scope) { return scope.Undefined(); });
  Napi::Value run(const Napi::CallbackInfo& info, bool train);
  void reportMemory(Napi::Env env);

  std::shared_ptr<Program> program_;
  std::shared_ptr<bool> busy_ = std::make_shared<bool>(false);
  int64_t reported_ = 0;
};

}  // namespace fl::addon
