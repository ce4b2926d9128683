// State of the addon in one environment (the main thread or a worker thread): nothing is static.
#pragma once

#define NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED
#include <napi.h>

namespace fl::addon {

/// Constructors of the environment's classes.
struct Environment {
  Napi::FunctionReference parameter;
  Napi::FunctionReference program;
};

Environment& environmentOf(Napi::Env env);

Napi::Function defineParameter(Napi::Env env);
Napi::Function defineProgram(Napi::Env env);
void defineFunctions(Napi::Env env, Napi::Object exports);

}  // namespace fl::addon
