// What the module gives JavaScript: two classes (parameter_handle.cc, program_handle.cc) and
// functions (functions.cc), registered in each environment that loads it. Types on the other side:
// src/native.ts.
#include "addon/addon.h"

namespace fl::addon {

Environment& environmentOf(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment;
  env.SetInstanceData(environment);
  const Napi::Function parameter = defineParameter(env), program = defineProgram(env);
  environment->parameter = Napi::Persistent(parameter);
  environment->program = Napi::Persistent(program);
  exports.Set("Parameter", parameter);
  exports.Set("Program", program);
  defineFunctions(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(fused_lora, initialize)

}  // namespace fl::addon
