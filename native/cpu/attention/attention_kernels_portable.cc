#define FL_ATTENTION_KERNELS kAttentionKernelsPortable
#include "cpu/attention/attention_kernels.inc"
