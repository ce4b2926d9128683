// Work off the event loop, as a promise. The work sees no JavaScript value; the result is made back
// on the event loop. Who runs so: addon/functions.cc, addon/program_handle.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "addon/arguments.h"

namespace fl::addon {

/// On the event loop: by `error`, if there is one, else by what `result` gives or throws.
inline void settlePromise(Napi::Env env, const Napi::Promise::Deferred& deferred, const std::optional<Error>& error,
                          const std::function<Napi::Value(Napi::Env)>& result) {
  try {
    if (error) {
      deferred.Reject(toJavaScript(env, *error).Value());
      return;
    }
    Napi::Value value;
    try {
      value = result(env);
    } catch (const Napi::Error& thrown) {
      deferred.Reject(thrown.Value());
      return;
    }
    deferred.Resolve(value);
  } catch (const Napi::Error&) {
    // The environment is being torn down: nobody waits for the promise any more.
  }
}

class Background : public Napi::AsyncWorker {
 public:
  /// `work` runs on another thread and may throw; then `result` (on success) or `failed` runs on
  /// the event loop, before the promise is settled.
  static Napi::Promise run(
      Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> result,
      std::function<void()> finished = [] {}) {
    auto* worker = new Background(env, std::move(work), std::move(result), std::move(finished));
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

 private:
  Background(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> result,
             std::function<void()> finished)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        result_(std::move(result)),
        finished_(std::move(finished)) {}

  void Execute() override {
    try {
      work_();
    } catch (const std::exception&) {
      error_ = currentError();
    }
  }

  void OnOK() override {
    finished_();
    settlePromise(Env(), deferred_, error_, result_);
  }

  /// What Execute itself could not keep.
  void OnError(const Napi::Error& error) override {
    finished_();
    try {
      deferred_.Reject(error.Value());
    } catch (const Napi::Error&) {
    }
  }

  Napi::Promise::Deferred deferred_;
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> result_;
  std::function<void()> finished_;
  std::optional<Error> error_;
};

}  // namespace fl::addon
