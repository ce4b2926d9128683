// Which backends this build has, by name; the only file that differs between a build with nvcc and
// one without (CMakeLists.txt). What a backend is: ops/backend.h.
#include "ops/backend.h"
#if defined(FUSED_LORA_WITH_CUDA)
#include "cuda/backend.h"
#endif

namespace fl {

Backend& backendByName(std::string_view name) {
  if (name == "cpu") return cpuBackend();
  if (name == "reference") return referenceBackend();
  if (name == "cuda") {
#if defined(FUSED_LORA_WITH_CUDA)
    return cudaBackend();
#else
    fail("DEVICE_UNAVAILABLE",
         "this addon has no CUDA code. For Linux on x86-64 the package @fused-lora/linux-x64-cuda has it, or build it "
         "where nvcc is found (FUSED_LORA_CUDA=on); else use device 'cpu'");
#endif
  }
  fail("INVALID_ARGUMENT", "there is no backend '" + std::string(name) + "'; use cpu, cuda or reference");
}

}  // namespace fl
