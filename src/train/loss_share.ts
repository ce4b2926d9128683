/**
 * One objective whatever the split: the loss of an optimizer step is that of all its rows as one
 * batch, so each micro-batch counts by the denominator of its own mean. The formulas are those of
 * native/ops/loss.h; the trainer and the evaluator add up by this.
 */
import { FusedLoraError } from '../base/errors';
import type { Batch } from '../data/batch/batch';
import { IGNORE_LABEL } from '../data/tokenize/encoded_example';
import type { Plan } from '../graph/plan';

/**
 * D of a batch, where its loss is (Σ l_i) / D: the number of rows that count or, of a cross-entropy
 * with class weights, the sum of w[label] over them, as in PyTorch's CrossEntropyLoss(weight,
 * label_smoothing). The step's loss is then Σ D_b loss_b / Σ D_b.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for a class weight of 0 with label smoothing: rows of
 * that class have a loss and no share in D, so that a batch of them alone would have none either.
 */
export function lossDenominatorOf(plan: Plan): (batch: Batch) => number {
  const node = plan.instructions.find(({ op }) => op === 'crossEntropy');
  const [, labels, weights] = node?.inputs ?? [];
  if (!node || !labels || !weights?.parameter) return ({ lossRows }) => lossRows;
  const classWeights = weights.parameter.data();
  const { labelSmoothing = 0, ignoreIndex = IGNORE_LABEL } = node.attributes;
  const zero = classWeights.indexOf(0);
  if (Number(labelSmoothing) > 0 && zero >= 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `classWeights has a 0 (class ${zero}) beside labelSmoothing ${labelSmoothing}, so that the loss of a batch of that class would be a number over 0. ` +
        'Give it a small weight, or leave its rows or the smoothing out.',
    );
  }
  return (batch) => {
    let sum = 0;
    for (const label of batch.tensors[labels.name] ?? []) if (label !== ignoreIndex) sum += classWeights[label] ?? 0;
    return sum;
  };
}
