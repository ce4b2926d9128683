#if defined(__x86_64__)
#define FL_ATTENTION_KERNELS kAttentionKernelsAvx2
#include "cpu/attention/attention_kernels.inc"
#endif
