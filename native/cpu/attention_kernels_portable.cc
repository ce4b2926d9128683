#define FL_ATTENTION_KERNELS kAttentionKernelsPortable
#include "cpu/attention_kernels.inc"
