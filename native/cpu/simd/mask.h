// A dropout mask in the form that the compiled copies of the kernels take: plain data, no inline
// functions. philox.inc makes its words; cpu/ops/kernel_arguments.h fills it in from an op's
// attributes.
#pragma once

#include <stdint.h>

namespace fl::cpu {

struct Mask {
  uint32_t site;
  uint32_t forwardNumber;
  uint32_t seedLow;
  uint32_t seedHigh;
  uint32_t threshold;  // a word below this is dropped
  float keepScale;     // 1 / (1 - p)
};

}  // namespace fl::cpu
