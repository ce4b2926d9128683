/**
 * What a model can be trained for, and what all rooms must know of its head: the task, how many
 * outputs it has, and their names. The models themselves are in src/models; what a label of each
 * task looks like in data is in src/data/examples/labels.ts.
 */

/**
 * sequence-classification: one of several classes a text. multi-label-classification: any number of
 * labels a text. regression: numbers a text. token-classification: one of several classes a word.
 * masked-lm: the tokens that were masked.
 */
export const TASKS = [
  'sequence-classification',
  'multi-label-classification',
  'regression',
  'token-classification',
  'masked-lm',
] as const;
/** One of {@link TASKS}. */
export type Task = (typeof TASKS)[number];

/** What a head is for, and the names of its labels. */
export interface TaskSettings {
  task: Task;
  /** Outputs of the head; the vocabulary size for masked-lm. */
  numLabels: number;
  /** Names of the labels by id, numLabels of them; empty for regression and masked-lm. */
  labelNames: string[];
  /** Of multi-label classification: what the probability of a label must be above. */
  threshold?: number | undefined;
}
