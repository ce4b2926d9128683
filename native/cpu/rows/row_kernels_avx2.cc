#if defined(__x86_64__)
#define FL_ROW_KERNELS kRowKernelsAvx2
#include "cpu/rows/row_kernels.inc"
#endif
