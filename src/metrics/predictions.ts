/**
 * What the logits of a text or a sentence say: classes, labels, numbers or entities, by name. The
 * texts are run through a model by src/task/classify.ts; how good predictions are is measured in
 * measure.ts.
 */
import type { TaskSettings } from '../base/tasks';
import { areEntityTags, type Entity, findEntities } from './entities';
import { sigmoid, softmax } from './probabilities';

/** What a model says about a text; which fields there are depends on its task. */
export interface Prediction {
  /** The most probable class; absent for regression. */
  label?: string;
  /** Of `label`. */
  probability?: number;
  /** Of every class by name; of classes that exclude each other they add up to 1. */
  probabilities?: Record<string, number>;
  /**
   * What a multi-label classifier gives: the labels whose probability is above the threshold; their
   * `probabilities` are each label's own.
   */
  labels?: string[];
  /** What a regression model gives. */
  values?: number[];
  /** What a token classifier gives: one entry a word. */
  words?: WordPrediction[];
  /**
   * Of a token classifier whose labels are entity tags (B-PER, I-PER, O): the entities, `end` after
   * the last word.
   */
  entities?: (Entity & { text: string })[];
}

/** What a token classifier says about a word. */
export interface WordPrediction {
  word: string;
  /**
   * The most probable class; null for a word beyond maxLength or without token ids, which no model
   * has seen.
   */
  label: string | null;
  /** Of `label`. */
  probability: number | null;
}

/**
 * What a model says about one text.
 *
 * @param logits [numLabels]
 * @param threshold of multi-label classification, or one for each label.
 */
export function predictText(
  logits: Float32Array,
  { task, labelNames }: TaskSettings,
  threshold: number | readonly number[],
): Prediction {
  if (task === 'regression') return { values: [...logits] };
  const named = (probabilities: number[]) =>
    Object.fromEntries(labelNames.map((name, i) => [name, probabilities[i] as number]));
  if (task === 'multi-label-classification') {
    const probabilities = sigmoid(logits);
    const above = (i: number) => (typeof threshold === 'number' ? threshold : (threshold[i] as number));
    const labels = labelNames.filter((_, i) => (probabilities[i] as number) > above(i));
    return { labels, probabilities: named(probabilities) };
  }
  const { best, probabilities } = softmax(logits);
  return {
    label: labelNames[best] as string,
    probability: probabilities[best] as number,
    probabilities: named(probabilities),
  };
}

/**
 * What a token classifier says about a sentence.
 *
 * @param logits [tokens * numLabels]
 * @param firstPieces [words] index of each word's first token, -1 where it has none.
 */
export function predictWords(
  logits: Float32Array,
  { labelNames, numLabels }: TaskSettings,
  words: readonly string[],
  firstPieces: Int32Array,
): Prediction {
  const predictions = words.map((word, i): WordPrediction => {
    const t = firstPieces[i] as number;
    if (t < 0) return { word, label: null, probability: null };
    const { best, probabilities } = softmax(logits.subarray(t * numLabels, (t + 1) * numLabels));
    return { word, label: labelNames[best] as string, probability: probabilities[best] as number };
  });
  if (!areEntityTags(labelNames)) return { words: predictions };
  const entities = findEntities(predictions.map(({ label }) => label ?? 'O'));
  return {
    words: predictions,
    entities: entities.map((entity) => ({ ...entity, text: words.slice(entity.start, entity.end).join(' ') })),
  };
}
