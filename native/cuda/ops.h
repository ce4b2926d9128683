// The ops of the CUDA backend; contracts are in ops/.
#pragma once

#include "ops/optimizer_update.h"

namespace fl::cuda {

void activation(const OpCall& call);
void activationBackward(const OpCall& call);
void adamw(const OpCall& call);
void add(const OpCall& call);
void addLayerNorm(const OpCall& call);
void addLayerNormBackward(const OpCall& call);
void attention(const OpCall& call);
void attentionBackward(const OpCall& call);
void bceWithLogits(const OpCall& call);
void bceWithLogitsBackward(const OpCall& call);
void biasBackward(const OpCall& call);
void crossEntropy(const OpCall& call);
void crossEntropyBackward(const OpCall& call);
void dropout(const OpCall& call);
void embeddingBackward(const OpCall& call);
void embeddingSum(const OpCall& call);
void gatherRows(const OpCall& call);
void gatherRowsBackward(const OpCall& call);
void layerNorm(const OpCall& call);
void layerNormBackward(const OpCall& call);
void linear(const OpCall& call);
void linearBackwardInput(const OpCall& call);
void linearBackwardWeight(const OpCall& call);
void loraLinear(const OpCall& call);
void loraLinearBackward(const OpCall& call);
void mse(const OpCall& call);
void mseBackward(const OpCall& call);
void scale(const OpCall& call);
void squaredNorm(const OpCall& call);

/// Norm, clip and AdamW over all tensors; the host waits once, at the end.
ApplyResult update(const OptimizerUpdate& update);

}  // namespace fl::cuda
