// Work of the communication thread, as a promise. Unlike work in Node's thread pool
// (addon/background.h) it holds up no environment that ends: a worker's that is terminated while it
// waits for other ranks. What that thread does: distributed/transport.h.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "addon/arguments.h"
#include "distributed/transport.h"

namespace fl::addon {

class Communication {
 public:
  /// `work` runs on the communication thread and may throw; then, where the environment is still
  /// there, `result` runs on the event loop and the promise is settled.
  static Napi::Promise run(Napi::Env env, mpi::Transport& transport, std::function<void()> work,
                           std::function<Napi::Value(Napi::Env)> result);

 private:
  Communication(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> result)
      : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)), result_(std::move(result)) {}
  void execute();
  void settle(Napi::Env env);

  Napi::Promise::Deferred deferred_;
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> result_;
  std::optional<Error> error_;
  /// Back to the event loop, which it keeps alive until then. Null once it is gone: with an
  /// environment that ends it goes without asking who still holds it.
  napi_threadsafe_function back_ = nullptr;
  std::mutex mutex_;
};

}  // namespace fl::addon
