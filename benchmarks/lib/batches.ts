/**
 * Random sentences as token ids: of equal length, or with SST-2's lengths, by seed.
 * The lengths come from data/sst2-lengths.json; which models take them: models.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { configOfModel, type ModelName } from './models';

export interface Sentence {
  ids: number[];
  label: number;
}

/** What both sides get: they lay it out as they do. */
export type TokenBatch = Sentence[];

/** Numbers in [0, 1); the values only have to be ordinary. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}

/**
 * Random words between the model's first and last special
 * token; every other sentence is of class 1.
 */
export function sentences(model: ModelName, lengths: readonly number[], seed = 1): Sentence[] {
  const random = generator(seed);
  const config = configOfModel(model);
  const [first, last] = config.model_type === 'bert' ? [101, 102] : [0, 2];
  // Above all special tokens of both vocabularies.
  const word = () => 1000 + Math.floor(random() * (config.vocab_size - 2000));
  return lengths.map((length, i) => ({
    ids: Array.from({ length }, (_, t) => (t === 0 ? first : t === length - 1 ? last : word())),
    label: i % 2,
  }));
}

/**
 * SST-2's sentence lengths in their real proportions (evenly spaced quantiles), in random order.
 */
export function sst2Lengths(count: number, seed = 1): number[] {
  const { counts } = JSON.parse(fs.readFileSync(path.join(__dirname, '..', 'data', 'sst2-lengths.json'), 'utf8')) as {
    counts: number[];
  };
  const total = counts.reduce((sum, n) => sum + n, 0);
  const lengths: number[] = [];
  let below = 0;
  counts.forEach((n, length) => {
    below += n;
    while (lengths.length < count && (lengths.length + 0.5) / count <= below / total) lengths.push(length);
  });
  return shuffle(lengths, generator(seed));
}

/** Batches of `size` sentences. */
export const cut = (all: readonly Sentence[], size: number): TokenBatch[] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));

/** SST-2's lengths in random order: what a Trainer without length grouping feeds. */
export const randomBatches = (model: ModelName, count: number, size: number): TokenBatch[] =>
  cut(sentences(model, sst2Lengths(count * size)), size);

/** Batches a window of length sorting, as fused-lora and grouping samplers have it. */
const WINDOW = 50;

/** SST-2's lengths, sorted within a window: `count` of its batches, evenly spaced. */
export function sortedBatches(model: ModelName, count: number, size: number): TokenBatch[] {
  const lengths = sst2Lengths(WINDOW * size).sort((a, b) => a - b);
  const window = cut(sentences(model, lengths), size);
  return Array.from({ length: count }, (_, i) => window[Math.floor(((i + 0.5) * WINDOW) / count)] as TokenBatch);
}

export const equalBatches = (model: ModelName, count: number, size: number, length: number): TokenBatch[] =>
  cut(sentences(model, new Array<number>(count * size).fill(length)), size);

export const tokensOf = (batches: readonly TokenBatch[]) =>
  batches.reduce((sum, batch) => sum + batch.reduce((tokens, { ids }) => tokens + ids.length, 0), 0);

export const sentencesOf = (batches: readonly TokenBatch[]) => batches.reduce((sum, batch) => sum + batch.length, 0);

/** Tokens when every batch is padded to its longest sentence. */
export const slotsOf = (batches: readonly TokenBatch[]) =>
  batches.reduce((sum, batch) => sum + batch.length * Math.max(...batch.map(({ ids }) => ids.length)), 0);
