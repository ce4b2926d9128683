// From the event loop to the communication thread, and back by a thread-safe function, which an
// environment that ends just closes. The promises: communication.h.
#include "addon/communication.h"

#include "addon/background.h"

namespace fl::addon {

using Shared = std::shared_ptr<Communication>;

Napi::Promise Communication::run(Napi::Env env, mpi::Transport& transport, std::function<void()> work,
                                 std::function<Napi::Value(Napi::Env)> result) {
  const Shared one(new Communication(env, std::move(work), std::move(result)));
  auto* held = new Shared(one);
  const napi_finalize forget = [](napi_env, void* data, void*) {
    const std::unique_ptr<Shared> last(static_cast<Shared*>(data));
    const std::lock_guard lock((*last)->mutex_);
    (*last)->back_ = nullptr;
  };
  const napi_threadsafe_function_call_js settle = [](napi_env scope, napi_value, void* context, void*) {
    // Without one, the environment has ended.
    if (scope) (*static_cast<Shared*>(context))->settle(scope);
  };
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, "fused-lora"), 0, 1, held, forget, held, settle, &one->back_);
  if (status != napi_ok) {
    delete held;
    fail("INTERNAL", "no thread-safe function could be made");
  }
  transport.submit([one] { one->execute(); });
  return one->deferred_.Promise();
}

void Communication::execute() {
  try {
    work_();
  } catch (const std::exception&) {
    error_ = currentError();
  }
  const std::lock_guard lock(mutex_);
  // Where it is closing, the call lets go of it.
  if (back_ && napi_call_threadsafe_function(back_, nullptr, napi_tsfn_nonblocking) != napi_closing)
    napi_release_threadsafe_function(back_, napi_tsfn_release);
}

void Communication::settle(Napi::Env env) { settlePromise(env, deferred_, error_, result_); }

}  // namespace fl::addon
