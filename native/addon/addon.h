// State of the addon in one environment (the main thread or a worker thread): nothing is static.
// Values from JavaScript are checked in addon/arguments.h.
#pragma once

#define NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED
// An environment that is being torn down takes no exception any more: drop it, the process must not
// die of it.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>

namespace fl::addon {

/// Tells V8 of memory outside its heap. Never throws: it is called from destructors, also while an
/// environment ends.
inline void adjustExternalMemory(Napi::Env env, int64_t change) {
  int64_t total;
  napi_adjust_external_memory(env, change, &total);
}

Napi::Function defineParameter(Napi::Env env);
Napi::Function defineProgram(Napi::Env env);
Napi::Function defineGradientSum(Napi::Env env);
void defineFunctions(Napi::Env env, Napi::Object exports);
Napi::Object defineDistributed(Napi::Env env);

}  // namespace fl::addon
