/**
 * The names of what is measured for each task, known before anything is: what metricForBest may be.
 * The values are computed by measure.ts.
 */
import type { Task } from '../base/tasks';
import { areEntityTags } from './entities';

const OF_CLASSES = ['loss', 'accuracy', 'f1', 'matthews'] as const;
const OF_ENTITIES = ['loss', 'accuracy', 'precision', 'recall', 'f1'] as const;

/**
 * @param labelNames where they are known: of a class a word they decide whether entities are
 * measured. Without them: all that may come out.
 */
export function metricNames(task: Task, labelNames?: readonly string[]): readonly string[] {
  switch (task) {
    case 'regression':
      return ['loss', 'mse', 'pearson', 'spearman'];
    case 'multi-label-classification':
      return ['loss', 'microF1', 'macroF1', 'exactMatch'];
    case 'token-classification':
      if (labelNames === undefined) return [...new Set([...OF_CLASSES, ...OF_ENTITIES])];
      return areEntityTags(labelNames) ? OF_ENTITIES : OF_CLASSES;
    case 'masked-lm':
      return ['loss'];
    default:
      return OF_CLASSES;
  }
}

/**
 * The class whose F1 is measured: the second of two; undefined where F1 is a mean over classes or
 * of entities.
 */
export function classOfF1(task: Task, labelNames: readonly string[]): string | undefined {
  if (labelNames.length !== 2 || !metricNames(task, labelNames).includes('matthews')) return undefined;
  return labelNames[1];
}
