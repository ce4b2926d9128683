// What the module gives JavaScript: three classes (parameter_handle.cc, program_handle.cc,
// gradient_sum_handle.cc) and functions (functions.cc, distributed.cc), registered in each
// environment that loads it. Types on the other side: src/native.ts.
#include "addon/addon.h"

namespace fl::addon {

namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Parameter", defineParameter(env));
  exports.Set("Program", defineProgram(env));
  exports.Set("GradientSum", defineGradientSum(env));
  defineFunctions(env, exports);
  exports.Set("distributed", defineDistributed(env));
  exports.Set("version", std::string(FUSED_LORA_VERSION));
  return exports;
}

}  // namespace

NODE_API_MODULE(fused_lora, initialize)

}  // namespace fl::addon
