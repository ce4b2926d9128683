/** Metrics of a task from the logits of a whole data set. */
import { type EncodedExample, IGNORE_LABEL } from '../data/packing';
import type { TaskModel } from '../models';
import type { Evaluation } from '../train/evaluate';
import { argmaxRows, classificationMetrics, regressionMetrics } from '../train/metrics';

/**
 * accuracy, f1 and matthews for classes (of tokens too), mse, pearson and spearman for regression; and the loss.
 *
 * @param examples in the order of the data set, with labels.
 */
export function measure(
  model: TaskModel,
  { loss, logits, numOutputs }: Evaluation,
  examples: readonly EncodedExample[],
): Record<string, number> {
  if (model.task === 'regression') {
    const targets = examples.flatMap(({ targets = [] }) => [...targets]);
    return {
      loss,
      ...regressionMetrics(
        targets,
        logits.flatMap((values) => [...values]),
      ),
    };
  }
  const labels: number[] = [];
  const predicted: number[] = [];
  examples.forEach(({ label, tokenLabels }, i) => {
    const rows = argmaxRows(logits[i] as Float32Array, numOutputs);
    (tokenLabels ?? [label as number]).forEach((expected, row) => {
      if (expected === IGNORE_LABEL) return;
      labels.push(expected);
      predicted.push(rows[row] as number);
    });
  });
  return { loss, ...classificationMetrics(labels, predicted, numOutputs) };
}
