/**
 * The metrics of a task, by name, from the logits of a whole data set: what `evaluate` gives and
 * training logs. The single metrics are in metrics.ts (classes, labels, numbers) and entities.ts;
 * each class by itself is in scores.ts.
 */
import type { TaskSettings } from '../base/tasks';
import { type EncodedExample, IGNORE_LABEL } from '../data/tokenize/encoded_example';
import { areEntityTags, entityMetrics } from './entities';
import type { Evaluation } from './evaluation';
import { argmaxRows, classificationMetrics, multiLabelMetrics, regressionMetrics } from './metrics';
import { DEFAULT_THRESHOLD, exceeds } from './probabilities';

/**
 * The loss, and
 * - for classes of texts: accuracy, f1 and matthews;
 * - for classes of words: accuracy over words; with entity tags (B-PER, I-PER, O) precision, recall
 *   and f1 over whole entities, with others f1 and matthews over words. Words that were cut off
 *   count for nothing.
 * - for labels that exclude no other: microF1, macroF1 and exactMatch of the labels whose
 *   probability is above the threshold;
 * - for regression: mse, pearson and spearman.
 *
 * @param examples in the order of the data set, with labels.
 * @param threshold of multi-label classification.
 */
export function measure(
  model: TaskSettings,
  evaluation: Evaluation,
  examples: readonly EncodedExample[],
  threshold = DEFAULT_THRESHOLD,
): Record<string, number> {
  const { loss, logits, numOutputs } = evaluation;
  switch (model.task) {
    case 'regression': {
      const targets = examples.flatMap(({ targets = [] }) => [...targets]);
      const values = logits.flatMap((row) => [...row]);
      return { loss, ...regressionMetrics(targets, values) };
    }
    case 'multi-label-classification': {
      const targets = examples.map(({ targets = [] }) => targets);
      return {
        loss,
        ...multiLabelMetrics(
          targets,
          logits.map((row) => exceeds(row, threshold)),
        ),
      };
    }
    case 'token-classification':
      return { loss, ...wordMetrics(model.labelNames, evaluation, examples) };
    default: {
      const labels = examples.map(({ label }) => label as number);
      const predicted = logits.flatMap((row) => [...argmaxRows(row, numOutputs)]);
      return { loss, ...classificationMetrics(labels, predicted, numOutputs) };
    }
  }
}

function wordMetrics(
  labelNames: readonly string[],
  { logits, numOutputs }: Evaluation,
  examples: readonly EncodedExample[],
): Record<string, number> {
  const sentences = examples.map(({ tokenLabels = [] }, i) => {
    const best = argmaxRows(logits[i] as Float32Array, numOutputs);
    const words = [...tokenLabels.keys()].filter((t) => tokenLabels[t] !== IGNORE_LABEL);
    return { expected: words.map((t) => tokenLabels[t] as number), predicted: words.map((t) => best[t] as number) };
  });
  const { accuracy, ...others } = classificationMetrics(
    sentences.flatMap(({ expected }) => expected),
    sentences.flatMap(({ predicted }) => predicted),
    numOutputs,
  );
  if (!areEntityTags(labelNames)) return { accuracy, ...others };
  const names = (ids: number[]) => ids.map((id) => labelNames[id] as string);
  const entities = entityMetrics(
    sentences.map(({ expected }) => names(expected)),
    sentences.map(({ predicted }) => names(predicted)),
  );
  return { accuracy, ...entities };
}
