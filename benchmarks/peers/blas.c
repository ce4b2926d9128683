// Other BLAS settings for PyTorch from PyPI, which has MKL inside: libraries to be preloaded.
// Compiled and chosen by lib/torch_blas.ts.
//
// INTEL_PATH  MKL asks this function whether the processor is Intel's, and takes a slower path
//             where it is not.
// OPENBLAS    sgemm by the OpenBLAS that numpy brings.
#include <stdint.h>

#ifdef INTEL_PATH
int mkl_serv_intel_cpu_true(void) { return 1; }
#endif

#ifdef OPENBLAS
void scipy_sgemm_64_(const char*, const char*, const int64_t*, const int64_t*, const int64_t*, const float*, const float*,
                     const int64_t*, const float*, const int64_t*, const float*, float*, const int64_t*);

void sgemm_(const char* transA, const char* transB, const int* m, const int* n, const int* k, const float* alpha,
            const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c, const int* ldc) {
  const int64_t M = *m, N = *n, K = *k, A = *lda, B = *ldb, C = *ldc;
  scipy_sgemm_64_(transA, transB, &M, &N, &K, alpha, a, &A, b, &B, beta, c, &C);
}
#endif
