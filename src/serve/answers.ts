/**
 * What a classifier's outputs say, in the forms that clients read: scores by label, entities with
 * their place in the text. How texts came to token ids is in encode.ts; which route gives which
 * form is in routes/.
 */
import { areEntityTags, findEntities } from '../metrics/entities';
import { sigmoid, softmax } from '../metrics/probabilities';
import type { EncodedInput, Word } from './encode';
import type { ServedClassifier } from './served_model';

/** What is done with logits; `default` is by the task, as transformers' pipeline has it. */
export type ScoreFunction = 'default' | 'softmax' | 'sigmoid' | 'none';

export interface LabelScore {
  label: string;
  score: number;
}

/**
 * An entity of several words, or with aggregation none a word. Its place counts code points, as
 * Python does.
 */
export interface EntityScore {
  entity_group?: string;
  entity?: string;
  /** Number of the word in the text, from 1. */
  index?: number;
  score: number;
  word: string;
  start: number;
  end: number;
}

/**
 * Scores of each label, in the order of the labels.
 *
 * @param logits [numLabels]
 */
export function scoresOf({ task }: ServedClassifier, logits: Float32Array, how: ScoreFunction = 'default'): number[] {
  const byTask = { 'multi-label-classification': 'sigmoid', regression: 'none' } as const;
  const chosen = how === 'default' ? ((byTask as Record<string, ScoreFunction>)[task] ?? 'softmax') : how;
  if (chosen === 'none') return [...logits];
  return chosen === 'sigmoid' ? sigmoid(logits) : softmax(logits).probabilities;
}

/** Labels with their scores by falling score; those of equal score in the order of the labels. */
export function byScore(model: ServedClassifier, scores: readonly number[], most?: number | null): LabelScore[] {
  const sorted = scores
    .map((score, i) => ({ label: model.labelNames[i] as string, score }))
    .sort((a, b) => b.score - a.score);
  return most === undefined || most === null ? sorted : sorted.slice(0, most);
}

/**
 * Entities of a text, or with `aggregate` false every word that is not outside (O). Models whose
 * labels are no entity tags (parts of speech) give each word.
 *
 * @param logits [tokens * numLabels]
 */
export function entitiesOf(
  model: ServedClassifier,
  text: string,
  { words = [], firstPieces = new Int32Array(0) }: EncodedInput,
  logits: Float32Array,
  aggregate = true,
): EntityScore[] {
  const { numLabels, labelNames } = model;
  const place = codePointsOf(text);
  const found = words.map((_, i) => {
    const t = firstPieces[i] as number;
    // A word beyond the model's length, which it has not seen.
    if (t < 0) return { label: 'O', score: 0 };
    const { best, probabilities } = softmax(logits.subarray(t * numLabels, (t + 1) * numLabels));
    return { label: labelNames[best] as string, score: probabilities[best] as number };
  });
  const tags = areEntityTags(labelNames);
  if (!aggregate || !tags) {
    const kept = found.map((one, i) => ({ ...one, ...(words[i] as Word), index: i + 1 }));
    const named = kept.filter(({ label }, i) => (tags ? label !== 'O' : (firstPieces[i] as number) >= 0));
    return named.map(({ label, score, word, start, end, index }) => ({
      ...(aggregate ? { entity_group: label } : { entity: label, index }),
      ...{ score, word, start: place(start), end: place(end) },
    }));
  }
  return findEntities(found.map(({ label }) => label)).map(({ type, start, end }) => {
    const [from, to] = [(words[start] as Word).start, (words[end - 1] as Word).end];
    const scores = found.slice(start, end).map(({ score }) => score);
    const score = scores.reduce((sum, one) => sum + one, 0) / scores.length;
    return { entity_group: type, score, word: text.slice(from, to), start: place(from), end: place(to) };
  });
}

/** From places in UTF-16 code units to code points. */
function codePointsOf(text: string): (unit: number) => number {
  if (!/[\uD800-\uDFFF]/.test(text)) return (unit) => unit;
  const points = new Uint32Array(text.length + 1);
  let count = 0;
  for (let unit = 0; unit < text.length; ) {
    const size = (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
    for (let i = 0; i < size; i++) points[unit + i] = count;
    unit += size;
    count++;
  }
  points[text.length] = count;
  return (unit) => points[unit] as number;
}
