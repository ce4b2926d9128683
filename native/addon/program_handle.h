// JavaScript's hold on a Program: NativeProgram of src/native.ts. One call at a time; a second one
// is refused with BUSY. What a program does: program/program.h.
#pragma once

#include <memory>

#include "addon/addon.h"
#include "addon/parameter_handle.h"
#include "program/program.h"

namespace fl::addon {

class ProgramHandle : public Napi::ObjectWrap<ProgramHandle> {
 public:
  explicit ProgramHandle(const Napi::CallbackInfo& info);
  ~ProgramHandle() override;

 private:
  friend Napi::Function defineProgram(Napi::Env env);
  Napi::Value arenaBytes(const Napi::CallbackInfo& info);
  Napi::Value reserve(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value apply(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value takeTimings(const Napi::CallbackInfo& info);
  Napi::Value recorded(const Napi::CallbackInfo& info);
  void abort(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Program> program() const;
  /// The program, marked busy until the promise that `run` gives is settled.
  std::shared_ptr<Program> claim();
  Napi::Value run(const Napi::CallbackInfo& info, bool train);
  void reportMemory(Napi::Env env);

  std::shared_ptr<Program> program_;
  std::shared_ptr<bool> busy_ = std::make_shared<bool>(false);
  int64_t reported_ = 0;
};

}  // namespace fl::addon
