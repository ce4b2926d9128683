#define FL_ROW_KERNELS kRowKernelsPortable
#include "cpu/row_kernels.inc"
