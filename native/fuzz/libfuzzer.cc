// The entry that libFuzzer calls; FL_FUZZ_TARGET is one of the functions of targets.h.
// How it is built and run: scripts/fuzz.mjs.
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fl::fuzz::FL_FUZZ_TARGET(data, size);
  return 0;
}
