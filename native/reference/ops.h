// The reference ops: naive loops over the contract's formula, single-threaded. All arithmetic is in double, whatever T
// is, and each output element is rounded to T once: `float` is the most accurate answer that fits, `double` the truth.
#pragma once

#include "ops/op.h"

namespace fl::reference {

template <class T>
void activation(const OpCall& call);
template <class T>
void activationBackward(const OpCall& call);
template <class T>
void adamw(const OpCall& call);
template <class T>
void add(const OpCall& call);
template <class T>
void addLayerNorm(const OpCall& call);
template <class T>
void addLayerNormBackward(const OpCall& call);
template <class T>
void attention(const OpCall& call);
template <class T>
void attentionBackward(const OpCall& call);
template <class T>
void bceWithLogits(const OpCall& call);
template <class T>
void bceWithLogitsBackward(const OpCall& call);
template <class T>
void biasBackward(const OpCall& call);
template <class T>
void crossEntropy(const OpCall& call);
template <class T>
void crossEntropyBackward(const OpCall& call);
template <class T>
void dropout(const OpCall& call);
template <class T>
void embeddingBackward(const OpCall& call);
template <class T>
void embeddingSum(const OpCall& call);
template <class T>
void gatherRows(const OpCall& call);
template <class T>
void gatherRowsBackward(const OpCall& call);
template <class T>
void layerNorm(const OpCall& call);
template <class T>
void layerNormBackward(const OpCall& call);
template <class T>
void linear(const OpCall& call);
template <class T>
void linearBackwardInput(const OpCall& call);
template <class T>
void linearBackwardWeight(const OpCall& call);
template <class T>
void loraLinear(const OpCall& call);
template <class T>
void loraLinearBackward(const OpCall& call);
template <class T>
void mse(const OpCall& call);
template <class T>
void mseBackward(const OpCall& call);
template <class T>
void scale(const OpCall& call);
template <class T>
void squaredNorm(const OpCall& call);

/// Both instances of an op, in the file that defines it.
#define FL_REFERENCE_OP(op)               \
  template void op<float>(const OpCall&); \
  template void op<double>(const OpCall&);

}  // namespace fl::reference
