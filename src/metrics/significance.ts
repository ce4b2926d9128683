/**
 * Whether a difference between two sets of predictions for the same examples means anything:
 * McNemar's exact test and the paired bootstrap. What is compared is measured in measure.ts.
 */
import { FusedLoraError } from '../base/errors';
import { RANDOM_SITE, RandomStream } from '../base/philox';

/** Of two classifiers on the same examples. */
export interface McNemar {
  /** Examples that the first has right and the second wrong. */
  onlyFirst: number;
  onlySecond: number;
  /** Two-sided, exact: of a binomial with p = 1/2 over the examples on which they differ. */
  p: number;
}

/**
 * McNemar's exact test (1947), as scipy's `binomtest(b, b + c)`.
 *
 * @throws FusedLoraError INVALID_SHAPE for lists of other lengths.
 */
export function mcNemar(first: readonly boolean[], second: readonly boolean[]): McNemar {
  if (first.length !== second.length) {
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `${first.length} and ${second.length} examples; both must be of the same`,
    );
  }
  const onlyFirst = first.filter((right, i) => right && !second[i]).length;
  const onlySecond = second.filter((right, i) => right && !first[i]).length;
  const n = onlyFirst + onlySecond;
  const fewer = Math.min(onlyFirst, onlySecond);
  // Σ C(n, k) / 2^n for k ≤ fewer, each term from the one before, in logarithms.
  let log = -n * Math.LN2;
  let tail = Math.exp(log);
  for (let k = 1; k <= fewer; k++) {
    log += Math.log((n - k + 1) / k);
    tail += Math.exp(log);
  }
  return { onlyFirst, onlySecond, p: Math.min(1, 2 * tail) };
}

/** Of a difference of a metric. */
export interface PairedBootstrap {
  /** On all examples. */
  difference: number;
  /** The middle 95 % of the differences on resampled examples. */
  low: number;
  high: number;
  /** Two-sided: how often a resampled difference has the other sign. */
  p: number;
  resamples: number;
}

/**
 * The paired bootstrap (Efron and Tibshirani 1993): examples are drawn again with replacement, the
 * same for both.
 *
 * @param count of the examples.
 * @param differenceOf the metric of the first less that of the second, on these examples.
 * @param resamples default 1000.
 */
export function pairedBootstrap(
  count: number,
  differenceOf: (examples: Int32Array) => number,
  { resamples = 1000, seed = 0 }: { resamples?: number; seed?: number } = {},
): PairedBootstrap {
  const difference = differenceOf(Int32Array.from({ length: count }, (_, i) => i));
  const drawn = new Int32Array(count);
  const differences = Float64Array.from({ length: resamples }, (_, i) => {
    const random = new RandomStream(seed, RANDOM_SITE.study, i, 2e6);
    for (let j = 0; j < count; j++) drawn[j] = random.below(count);
    return differenceOf(drawn);
  }).sort();
  const at = (share: number) => differences[Math.min(resamples - 1, Math.floor(share * resamples))] as number;
  const above = differences.filter((x) => x >= 0).length;
  const below = differences.filter((x) => x <= 0).length;
  const p = Math.min(1, (2 * (Math.min(above, below) + 1)) / (resamples + 1));
  return { difference, low: at(0.025), high: at(0.975), p, resamples };
}

/** Mean and deviation (n - 1; 0 of one value). */
export function meanAndDeviation(values: readonly number[]): { mean: number; deviation: number; count: number } {
  const count = values.length;
  const mean = values.reduce((sum, x) => sum + x, 0) / count;
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : 0, count };
}
