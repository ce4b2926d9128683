// dgamma and dbeta, which layerNormBackward and addLayerNormBackward share.
// Made in layer_norm.cc by layerNormBackwardColumns of cpu/rows/row_kernels.h.
#pragma once

#include "cpu/rows/rows.h"

namespace fl::cpu {

/// dgamma += sum_rows dy xhat, dbeta += sum_rows dy; either may be absent.
void layerNormParameters(const Tensor& dy, const Tensor& x, const Tensor& stats, const Tensor& dgamma,
                         const Tensor& dbeta);

}  // namespace fl::cpu
