/**
 * Tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter
 * optimization"): trials are parted into the better few and the others, each part is a density l
 * and g of a parameter, and of values drawn from l the one with the largest l/g is taken. One
 * parameter at a time, so that conditions need nothing; the first trials are quasi_random.ts.
 */
import type { RandomStream } from '../../base/philox';
import { type Distribution, lineOf, offLine, onLine, sizeOf } from '../space/distribution';

/** Values drawn from l. */
const CANDIDATES = 24;

/** Trials of the better part, of n: a tenth, at most 25, as in Optuna. */
export const betterCount = (n: number) => Math.min(25, Math.ceil(0.1 * n));

/** A mixture on the line of a distribution: a normal around each value, and one for all of it. */
interface Mixture {
  means: number[];
  deviations: number[];
  from: number;
  to: number;
}

/** Φ(z) by the complementary error function (Numerical Recipes' fit, error below 1.2e-7). */
function normalBelow(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.5 * x);
  const series = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196];
  const sum = series.reduce((total, c) => c + t * total, 0);
  const tail = 0.5 * t * Math.exp(-x * x - 1.26551223 + t * (1.00002368 + t * sum));
  return z < 0 ? tail : 1 - tail;
}

/**
 * Deviations are the distance to the farther neighbour (of a value alone: to the farther end), at
 * least the line's length over min(100, n + 2): many trials may lie close together, few may not. So
 * does Optuna.
 */
function mixtureOf(values: readonly number[], from: number, to: number): Mixture {
  const means = [...values].sort((a, b) => a - b);
  const width = to - from;
  const least = width / Math.min(100, means.length + 2);
  const end = (at: number) => (means.length === 1 ? at : Number.NaN);
  const deviations = means.map((x, i) => {
    const gaps = [x - (means[i - 1] ?? end(from)), (means[i + 1] ?? end(to)) - x];
    return Math.min(width, Math.max(least, ...gaps.filter((gap) => !Number.isNaN(gap))));
  });
  return { means: [...means, (from + to) / 2], deviations: [...deviations, width], from, to };
}

function logDensity({ means, deviations, from, to }: Mixture, x: number): number {
  const density = means.reduce((sum, mean, i) => {
    const deviation = deviations[i] as number;
    const z = (x - mean) / deviation;
    const inside = normalBelow((to - mean) / deviation) - normalBelow((from - mean) / deviation);
    return sum + Math.exp(-0.5 * z * z) / (deviation * inside);
  }, 0);
  return Math.log(density / means.length);
}

/** A normal number of the mixture that lies on the line. */
function draw({ means, deviations, from, to }: Mixture, random: RandomStream): number {
  const i = random.below(means.length);
  for (let tries = 0; tries < 100; tries++) {
    const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
    const x = (means[i] as number) + (deviations[i] as number) * radius * Math.cos(2 * Math.PI * random.uniform());
    if (x >= from && x <= to) return x;
  }
  return means[i] as number;
}

/**
 * Weights of choices: of each trial mostly what it took, the more so the more trials there are, and
 * once all alike. So does Optuna.
 */
function weightsOf(values: readonly number[], choices: number): number[] {
  const kernels = values.length + 1;
  const rest = 1 / kernels / (1 + choices / kernels);
  const weights = new Array<number>(choices).fill((values.length * rest + 1 / choices) / kernels);
  const taken = 1 / (1 + choices / kernels) / kernels;
  for (const value of values) weights[value] = (weights[value] as number) + taken;
  return weights;
}

function pickChoice(weights: readonly number[], random: RandomStream): number {
  let left = random.uniform();
  const at = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return at < 0 ? weights.length - 1 : at;
}

/**
 * The next value of a parameter.
 *
 * @param better internal values of the better trials that have it; others: of the rest.
 * @returns an internal value: a number, or the number of a choice.
 */
export function suggest(
  distribution: Distribution,
  better: readonly number[],
  others: readonly number[],
  random: RandomStream,
): number {
  if (distribution.kind === 'categorical') {
    const n = distribution.choices.length;
    const [l, g] = [weightsOf(better, n), weightsOf(others, n)];
    const drawn = Array.from({ length: CANDIDATES }, () => pickChoice(l, random));
    return mostBy(drawn, (choice) => (l[choice] as number) / (g[choice] as number));
  }
  if (sizeOf(distribution) === 1) return distribution.low;
  const { from, to } = lineOf(distribution);
  const place = (values: readonly number[]) => values.map((value) => onLine(distribution, value));
  const [l, g] = [mixtureOf(place(better), from, to), mixtureOf(place(others), from, to)];
  const drawn = Array.from({ length: CANDIDATES }, () => draw(l, random));
  return offLine(
    distribution,
    mostBy(drawn, (x) => logDensity(l, x) - logDensity(g, x)),
  );
}

function mostBy(items: readonly number[], score: (item: number) => number): number {
  const scores = items.map(score);
  return items[scores.indexOf(Math.max(...scores))] as number;
}
