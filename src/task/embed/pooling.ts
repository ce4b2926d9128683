/**
 * From the hidden states of a text's tokens to its embedding: pooling, dense layers, length 1. Sums
 * are in float64, as few as they are. What a folder asks for is read by sentence_folder.ts.
 */
import { FusedLoraError } from '../../base/errors';

/** The words of sentence-transformers; of its older flags several are joined in this order. */
export const POOLING_MODES = ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'] as const;

/**
 * How the tokens of a text become one row: the first token, the largest of each feature, their
 * mean, their sum over √n, their mean weighted by place, or the last token.
 */
export type PoolingMode = (typeof POOLING_MODES)[number];

/** f(W x + b) of an embedding. */
export interface DenseLayer {
  inFeatures: number;
  outFeatures: number;
  /** [outFeatures, inFeatures] */
  weight: Float32Array;
  bias: Float32Array | undefined;
  activation: 'identity' | 'tanh' | 'relu' | 'gelu';
}

/** Features of an embedding. */
export function dimensionOf(
  { pooling, dense }: { pooling: readonly PoolingMode[]; dense: readonly DenseLayer[] },
  hiddenSize: number,
): number {
  return dense.at(-1)?.outFeatures ?? pooling.length * hiddenSize;
}

/**
 * @param rows hidden states [tokens, features]
 * @param modes whose results are joined in their order.
 * @param skip tokens at the start that are left out: those of a prompt.
 */
export function poolTokens(
  rows: Float32Array,
  features: number,
  modes: readonly PoolingMode[],
  skip = 0,
): Float64Array {
  const count = rows.length / features;
  const pooled = new Float64Array(modes.length * features);
  modes.forEach((mode, m) => {
    const own = pooled.subarray(m * features, (m + 1) * features);
    const copy = (t: number) => own.set(rows.subarray(t * features, (t + 1) * features));
    if (mode === 'cls') copy(skip < count ? skip : 0);
    else if (mode === 'lasttoken') copy(count - 1);
    else if (mode === 'max') maxOf(rows, features, skip, own);
    else meanOf(rows, features, skip, mode, own);
  });
  return pooled;
}

function maxOf(rows: Float32Array, features: number, skip: number, own: Float64Array): void {
  own.fill(Number.NEGATIVE_INFINITY);
  for (let at = skip * features; at < rows.length; at += features) {
    for (let k = 0; k < features; k++) own[k] = Math.max(own[k] as number, rows[at + k] as number);
  }
}

function meanOf(rows: Float32Array, features: number, skip: number, mode: PoolingMode, own: Float64Array): void {
  const count = rows.length / features;
  let total = 0;
  for (let t = skip; t < count; t++) {
    const weight = mode === 'weightedmean' ? t + 1 : 1;
    total += weight;
    for (let k = 0; k < features; k++) (own[k] as number) += weight * (rows[t * features + k] as number);
  }
  const divisor = mode === 'mean_sqrt_len_tokens' ? Math.sqrt(total) : total;
  for (let k = 0; k < features; k++) (own[k] as number) /= Math.max(divisor, 1e-9);
}

/** The error function by its series and its continued fraction, to the last digits. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= -(z * z) / n;
      sum += term / (2 * n + 1);
      if (n > 200) break;
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * (z + fraction)));
}

const ACTIVATIONS: Readonly<Record<DenseLayer['activation'], (x: number) => number>> = {
  identity: (x) => x,
  tanh: Math.tanh,
  relu: (x) => Math.max(0, x),
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
};

function denseLayer({ inFeatures, outFeatures, weight, bias, activation }: DenseLayer, x: Float64Array): Float64Array {
  const act = ACTIVATIONS[activation];
  return Float64Array.from({ length: outFeatures }, (_, n) => {
    let sum = bias?.[n] ?? 0;
    const at = n * inFeatures;
    for (let k = 0; k < inFeatures; k++) sum += (weight[at + k] as number) * (x[k] as number);
    return act(sum);
  });
}

/** x / max(|x|, 1e-12), as torch has it. */
export function toUnitLength(x: Float64Array): Float64Array {
  const norm = Math.max(Math.sqrt(x.reduce((sum, value) => sum + value * value, 0)), 1e-12);
  return x.map((value) => value / norm);
}

/** Of {@link embeddingOf}. */
export interface EmbeddingForm {
  pooling: readonly PoolingMode[];
  dense: readonly DenseLayer[];
  normalize: boolean;
}

/**
 * The embedding of a text.
 *
 * @param rows hidden states [tokens, features]
 */
export function embeddingOf(rows: Float32Array, features: number, form: EmbeddingForm, skip = 0): Float32Array {
  let x = poolTokens(rows, features, form.pooling, skip);
  for (const layer of form.dense) x = denseLayer(layer, x);
  return Float32Array.from(form.normalize ? toUnitLength(x) : x);
}

/**
 * The first features of an embedding, as of models that were trained so (Matryoshka). It is not
 * made of unit length again, as in sentence-transformers.
 *
 * @throws FusedLoraError INVALID_ARGUMENT.
 */
export function truncateEmbedding(embedding: Float32Array, dimension: number | undefined): Float32Array {
  if (dimension === undefined) return embedding;
  if (Number.isInteger(dimension) && dimension >= 1 && dimension <= embedding.length) {
    return embedding.slice(0, dimension);
  }
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `dimensions is ${dimension}; it must be a whole number from 1 to ${embedding.length}, those of the model`,
  );
}
