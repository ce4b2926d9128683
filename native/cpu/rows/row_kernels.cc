// The kernels of the row-wise ops (cpu/ops/activation.cc, layer_norm.cc, loss.cc, optimizer.cc,
// ...), compiled once for each instruction set (cmake/CpuVariants.cmake); row_kernels.h has their
// contracts, math.inc the functions.
#include "cpu/rows/row_kernels.h"
#include "cpu/simd/math.inc"
#include "cpu/simd/philox.inc"

namespace {

using namespace fl::cpu;

template <class Function>
inline void mapRow(const float* x, float* y, int64_t n, Function f) {
  forVectors(n, [&](int64_t i, int count) { storeUpTo(y + i, f(loadUpTo(x + i, count)), count); });
}

void activation(KernelActivation f, const float* x, float* y, int64_t n) {
  switch (f) {
    case KernelActivation::none:
      return mapRow(x, y, n, [](F v) { return v; });
    case KernelActivation::gelu:
      return mapRow(x, y, n, [](F v) { return gelu(v); });
    case KernelActivation::geluTanh:
      return mapRow(x, y, n, [](F v) { return geluTanh(v); });
    case KernelActivation::relu:
      return mapRow(x, y, n, [](F v) { return v <= 0.0f ? F{} : v; });
    case KernelActivation::tanh:
      return mapRow(x, y, n, [](F v) { return tanh(v); });
  }
}

template <class Function>
inline void mapRows(const float* a, const float* b, float* y, int64_t n, Function f) {
  forVectors(n,
             [&](int64_t i, int count) { storeUpTo(y + i, f(loadUpTo(a + i, count), loadUpTo(b + i, count)), count); });
}

void activationBackward(KernelActivation f, const float* dy, const float* x, float* dx, int64_t n) {
  switch (f) {
    case KernelActivation::none:
      return mapRow(dy, dx, n, [](F g) { return g; });
    case KernelActivation::gelu:
      return mapRows(dy, x, dx, n, [](F g, F v) { return g * geluSlope(v); });
    case KernelActivation::geluTanh:
      return mapRows(dy, x, dx, n, [](F g, F v) { return g * geluTanhSlope(v); });
    case KernelActivation::relu:
      return mapRows(dy, x, dx, n, [](F g, F v) { return v <= 0.0f ? F{} : g; });
    case KernelActivation::tanh:
      return mapRows(dy, x, dx, n, [](F g, F v) {
        const F t = tanh(v);
        return g * (1.0f - t * t);
      });
  }
}

void dropout(const Mask& mask, uint32_t token, uint32_t firstFeature, const float* x, float* y, int64_t n) {
  forMaskedVectors(mask, token, firstFeature, n, [&](int64_t i, int count, U words) {
    storeUpTo(y + i, dropped(mask, words, loadUpTo(x + i, count)), count);
  });
}

void dropoutAdd(const Mask& mask, uint32_t token, const float* x, const float* residual, float* y, int64_t n) {
  forMaskedVectors(mask, token, 0, n, [&](int64_t i, int count, U words) {
    storeUpTo(y + i, loadUpTo(residual + i, count) + dropped(mask, words, loadUpTo(x + i, count)), count);
  });
}

// Sum over a row of f(first element, vector, mask of lanes that count): four accumulators, then the
// rest in the first.
template <class Function>
inline float sumRow(int64_t n, Function f) {
  F sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int j = 0; j < 4; j++) sum[j] += f(i + j * W, W);
  for (; i + W <= n; i += W) sum[0] += f(i, W);
  if (i < n) {
    const int count = static_cast<int>(n - i);
    const F last = f(i, count);
    sum[1] += lanes() < splatInt(count) ? last : F{};
  }
  return sumOf((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

void layerNorm(const float* x, const float* gamma, const float* beta, float eps, float* y, float* stats, int64_t n) {
  const float inverseN = 1.0f / static_cast<float>(n);
  const float mean = inverseN * sumRow(n, [&](int64_t i, int count) { return loadUpTo(x + i, count); });
  const float variance = inverseN * sumRow(n, [&](int64_t i, int count) {
                           const F d = loadUpTo(x + i, count) - mean;
                           return d * d;
                         });
  const float rstd = 1.0f / __builtin_sqrtf(variance + eps);
  stats[0] = mean;
  stats[1] = rstd;
  forVectors(n, [&](int64_t i, int count) {
    const F normal = (loadUpTo(x + i, count) - mean) * rstd;
    storeUpTo(y + i, fma(normal, loadUpTo(gamma + i, count), loadUpTo(beta + i, count)), count);
  });
}

void layerNormBackward(const float* dy, const float* x, const float* gamma, const float* stats, float* dx, int64_t n) {
  const float mean = stats[0], rstd = stats[1], inverseN = 1.0f / static_cast<float>(n);
  const auto g = [&](int64_t i, int count) { return loadUpTo(dy + i, count) * loadUpTo(gamma + i, count); };
  const auto normal = [&](int64_t i, int count) { return (loadUpTo(x + i, count) - mean) * rstd; };
  const float meanG = inverseN * sumRow(n, g);
  const float meanGX = inverseN * sumRow(n, [&](int64_t i, int count) { return g(i, count) * normal(i, count); });
  forVectors(n, [&](int64_t i, int count) {
    storeUpTo(dx + i, rstd * (g(i, count) - meanG - normal(i, count) * meanGX), count);
  });
}

void layerNormBackwardColumns(const float* dy, const float* x, const float* stats, int64_t rows, int64_t stride,
                              float* dgamma, float* dbeta, int64_t n) {
  constexpr int kVectors = 64 / W;
  F gammaTotal[kVectors] = {}, betaTotal[kVectors] = {};
  for (int64_t chunk = 0; chunk < rows; chunk += 256) {
    F gammaSum[kVectors] = {}, betaSum[kVectors] = {};
    for (int64_t r = chunk; r < rows && r < chunk + 256; r++) {
      const float mean = stats[2 * r], rstd = stats[2 * r + 1];
      forVectors(n, [&](int64_t i, int count) {
        const F g = loadUpTo(dy + r * stride + i, count);
        betaSum[i / W] += g;
        gammaSum[i / W] += g * ((loadUpTo(x + r * stride + i, count) - mean) * rstd);
      });
    }
    for (int j = 0; j < kVectors; j++) {
      gammaTotal[j] += gammaSum[j];
      betaTotal[j] += betaSum[j];
    }
  }
  forVectors(n, [&](int64_t i, int count) {
    if (dgamma) storeUpTo(dgamma + i, loadUpTo(dgamma + i, count) + gammaTotal[i / W], count);
    if (dbeta) storeUpTo(dbeta + i, loadUpTo(dbeta + i, count) + betaTotal[i / W], count);
  });
}

float maximum(const float* x, int64_t n) {
  const F lowest = splat(-__builtin_inff());
  F m[4] = {lowest, lowest, lowest, lowest};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int j = 0; j < 4; j++) m[j] = max(m[j], load(x + i + j * W));
  for (; i + W <= n; i += W) m[0] = max(m[0], load(x + i));
  float result = maxOf(max(max(m[0], m[1]), max(m[2], m[3])));
  for (; i < n; i++) result = result > x[i] ? result : x[i];
  return result;
}

double sumExp(const float* x, float shift, int64_t n) {
  double total = 0;
  for (int64_t block = 0; block < n; block += 4096) {
    const float* start = x + block;
    total += sumRow(n - block < 4096 ? n - block : 4096,
                    [&](int64_t i, int count) { return exp(loadUpTo(start + i, count) - shift); });
  }
  return total;
}

void expScaleAdd(const float* x, float shift, float a, float b, const float* w, float* y, int64_t n) {
  forVectors(n, [&](int64_t i, int count) {
    const F added = w ? loadUpTo(w + i, count) * b : splat(b);
    storeUpTo(y + i, fma(exp(loadUpTo(x + i, count) - shift), splat(a), added), count);
  });
}

double squaredNorm(const float* x, int64_t n) {
  constexpr int kLanes = 16;
  double sum[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; j++) sum[j] += static_cast<double>(x[i + j]) * x[i + j];
  for (; i < n; i++) sum[0] += static_cast<double>(x[i]) * x[i];
  double total = 0;
  for (int j = 0; j < kLanes; j++) total += sum[j];
  return total;
}

void adamw(const AdamWStep& s, const float* gradient, float* p, float* m, float* v, int64_t n) {
  forVectors(n, [&](int64_t i, int count) {
    const F g = loadUpTo(gradient + i, count) * s.gradientScale;
    const F newM = loadUpTo(m + i, count) * s.beta1 + g * s.oneMinusBeta1;
    const F newV = loadUpTo(v + i, count) * s.beta2 + g * g * s.oneMinusBeta2;
    const F denominator = sqrt(newV) * s.inverseSqrtCorrection2 + s.eps;
    storeUpTo(m + i, newM, count);
    storeUpTo(v + i, newV, count);
    storeUpTo(p + i, loadUpTo(p + i, count) * s.decay - newM / denominator * s.stepSize, count);
  });
}

#if defined(__AVX2__)
// The codes of W / 2 bytes in the low bits of W words: each byte goes to two words, the first of
// which is shifted to its high half. What stands above a code is not looked at.
inline I codesOf(const uint8_t* bytes) {
#if defined(__AVX512F__)
  const __m512i twice = _mm512_shuffle_epi32(
      _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))), _MM_PERM_CCAA);
  return reinterpret_cast<I>(_mm512_srlv_epi32(twice, _mm512_set1_epi64(4)));
#else
  int32_t four;
  __builtin_memcpy(&four, bytes, sizeof four);
  const __m256i twice = _mm256_shuffle_epi32(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four)), 0xA0);
  return reinterpret_cast<I>(_mm256_srlv_epi32(twice, _mm256_set1_epi64x(4)));
#endif
}

inline F valuesOf(const float* values, I codes) {
#if defined(__AVX512F__)
  return reinterpret_cast<F>(_mm512_permutexvar_ps(reinterpret_cast<__m512i>(codes), _mm512_loadu_ps(values)));
#else
  const auto at = reinterpret_cast<__m256i>(codes);
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(values), at);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(values + 8), at);
  return reinterpret_cast<F>(_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28))));
#endif
}
#endif

void codedValues(const float* values, const uint8_t* codes, float scale, float* y, int64_t n) {
  int64_t i = 0;
#if defined(__AVX2__)
  for (; i + W <= n; i += W) store(y + i, valuesOf(values, codesOf(codes + i / 2)) * scale);
#endif
  for (; i < n; i++) y[i] = values[codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15] * scale;
}

}  // namespace

namespace fl::cpu::FL_ISA {

const RowKernels kRowKernels = {
    activation,
    activationBackward,
    dropout,
    dropoutAdd,
    layerNorm,
    layerNormBackward,
    layerNormBackwardColumns,
    maximum,
    sumExp,
    expScaleAdd,
    squaredNorm,
    adamw,
    codedValues,
};

}  // namespace fl::cpu::FL_ISA
