/**
 * Metrics from labels and predictions: accuracy, F1, Matthews, correlations, over a whole
 * evaluation set. Which of them a task has is decided in measure.ts; whole entities are counted in
 * entities.ts.
 */
import { FusedLoraError } from '../base/errors';

/** Of one class a text or word. */
export interface ClassificationMetrics {
  accuracy: number;
  /**
   * Of class 1 for two classes (scikit-learn's binary F1); otherwise the unweighted mean over the
   * classes that are expected or predicted somewhere, as scikit-learn's macro F1: a class that the
   * data do not have counts for nothing.
   */
  f1: number;
  /**
   * Matthews correlation coefficient, any number of classes (Gorodkin 2004). 0 where it is
   * undefined.
   */
  matthews: number;
}

/** confusion[label][predicted] counts. */
export function confusionMatrix(labels: ArrayLike<number>, predicted: ArrayLike<number>, classes: number): number[][] {
  if (labels.length !== predicted.length) {
    throw new FusedLoraError('INVALID_SHAPE', `${labels.length} labels and ${predicted.length} predictions`);
  }
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i++) {
    const row = matrix[labels[i] as number];
    const column = predicted[i] as number;
    if (!row || !(column >= 0 && column < classes)) {
      throw new FusedLoraError(
        'INVALID_DATA',
        `example ${i}: label ${labels[i]} or prediction ${column} is not in 0..${classes - 1}`,
      );
    }
    row[column] = (row[column] as number) + 1;
  }
  return matrix;
}

/** Accuracy, F1 and Matthews correlation of predicted classes. */
export function classificationMetrics(
  labels: ArrayLike<number>,
  predicted: ArrayLike<number>,
  classes: number,
): ClassificationMetrics {
  const matrix = confusionMatrix(labels, predicted, classes);
  const total = labels.length;
  const rowSums = matrix.map((row) => row.reduce((a, b) => a + b, 0));
  const columnSums = matrix.map((_, c) => matrix.reduce((sum, row) => sum + (row[c] as number), 0));
  const correct = matrix.reduce((sum, row, c) => sum + (row[c] as number), 0);

  const f1Of = (c: number) => {
    const both = (rowSums[c] as number) + (columnSums[c] as number);
    return both === 0 ? 0 : (2 * (matrix[c]?.[c] as number)) / both;
  };
  const present = [...matrix.keys()].filter((c) => (rowSums[c] as number) + (columnSums[c] as number) > 0);
  const macro = present.reduce((sum, c) => sum + f1Of(c), 0) / Math.max(1, present.length);
  const f1 = classes === 2 ? f1Of(1) : macro;

  const covariance = correct * total - rowSums.reduce((sum, r, c) => sum + r * (columnSums[c] as number), 0);
  const spread = (sums: number[]) => total * total - sums.reduce((sum, x) => sum + x * x, 0);
  const denominator = Math.sqrt(spread(rowSums) * spread(columnSums));
  return {
    accuracy: total === 0 ? 0 : correct / total,
    f1,
    matthews: denominator === 0 ? 0 : covariance / denominator,
  };
}

/** Of several labels a text. */
export interface MultiLabelMetrics {
  /** Of all decisions about a label together. */
  microF1: number;
  /**
   * The unweighted mean of each label's F1; 0 for a label that is neither expected nor predicted.
   */
  macroF1: number;
  /** Share of the examples whose labels are all right. */
  exactMatch: number;
}

/**
 * F1 and exact match of predicted sets of labels.
 *
 * @param targets [examples][labels] 0 or 1
 * @param predicted [examples][labels] 0 or 1
 */
export function multiLabelMetrics(
  targets: readonly (readonly number[])[],
  predicted: readonly (readonly number[])[],
): MultiLabelMetrics {
  const labels = targets[0]?.length ?? 0;
  const right = new Array<number>(labels).fill(0);
  const marked = new Array<number>(labels).fill(0);
  let exact = 0;
  targets.forEach((row, i) => {
    const others = predicted[i];
    if (row.length !== labels || others?.length !== labels) {
      throw new FusedLoraError('INVALID_SHAPE', `example ${i} has not ${labels} labels and predictions`);
    }
    row.forEach((x, c) => {
      const y = others[c] as number;
      right[c] = (right[c] as number) + x * y;
      marked[c] = (marked[c] as number) + x + y;
    });
    if (row.every((x, c) => x === others[c])) exact++;
  });
  const f1 = (both: number, all: number) => (all === 0 ? 0 : (2 * both) / all);
  const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0);
  return {
    microF1: f1(sum(right), sum(marked)),
    macroF1: labels === 0 ? 0 : sum(right.map((both, c) => f1(both, marked[c] as number))) / labels,
    exactMatch: targets.length === 0 ? 0 : exact / targets.length,
  };
}

/** Of numbers. */
export interface RegressionMetrics {
  mse: number;
  pearson: number;
  /** Pearson of the ranks, ties at their mean rank. */
  spearman: number;
}

/** Mean squared error and correlations. */
export function regressionMetrics(targets: ArrayLike<number>, predicted: ArrayLike<number>): RegressionMetrics {
  const n = targets.length;
  let squared = 0;
  for (let i = 0; i < n; i++) squared += ((predicted[i] as number) - (targets[i] as number)) ** 2;
  return {
    mse: n === 0 ? 0 : squared / n,
    pearson: pearson(targets, predicted),
    spearman: pearson(ranks(targets), ranks(predicted)),
  };
}

function pearson(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length;
  let meanA = 0;
  let meanB = 0;
  for (let i = 0; i < n; i++) {
    meanA += (a[i] as number) / n;
    meanB += (b[i] as number) / n;
  }
  let covariance = 0;
  let varianceA = 0;
  let varianceB = 0;
  for (let i = 0; i < n; i++) {
    const x = (a[i] as number) - meanA;
    const y = (b[i] as number) - meanB;
    covariance += x * y;
    varianceA += x * x;
    varianceB += y * y;
  }
  const denominator = Math.sqrt(varianceA * varianceB);
  return denominator === 0 ? 0 : covariance / denominator;
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort(
    (i, j) => (values[i] as number) - (values[j] as number),
  );
  const result = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end] as number] === values[order[start] as number]) end++;
    for (let k = start; k < end; k++) result[order[k] as number] = (start + end - 1) / 2;
    start = end;
  }
  return result;
}

/** Index of the largest of each row's `classes` logits. */
export function argmaxRows(logits: Float32Array, classes: number): Int32Array {
  const rows = logits.length / classes;
  const result = new Int32Array(rows);
  for (let r = 0; r < rows; r++) {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((logits[r * classes + c] as number) > (logits[r * classes + best] as number)) best = c;
    }
    result[r] = best;
  }
  return result;
}
