#define FL_ROW_KERNELS kRowKernelsPortable
#include "cpu/rows/row_kernels.inc"
