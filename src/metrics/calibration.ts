/**
 * Whether probabilities are what they say: reliability by bins, expected calibration error, and the
 * temperature and thresholds that make a model's logits better ones. From logits to probabilities
 * otherwise: probabilities.ts; who fits and keeps them: src/task/calibrate.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { TaskSettings } from '../base/tasks';
import { type EncodedExample, IGNORE_LABEL } from '../data/tokenize/encoded_example';
import type { Evaluation } from './evaluation';
import { sigmoid, softmax } from './probabilities';

/** How bins are laid: of equal width, or of equal counts. */
export type BinStrategy = 'uniform' | 'quantile';

/** Decisions whose probability lies in one part of [0, 1]. */
export interface ReliabilityBin {
  count: number;
  /** Mean probability. */
  predicted: number;
  /** Share that came true. */
  observed: number;
}

/**
 * Bins as scikit-learn's `calibration_curve` has them; a value on a border belongs to the lower
 * one, and bins without values are left out.
 *
 * @param probabilities of each decision, in [0, 1].
 * @param outcomes whether it came true.
 */
export function reliability(
  probabilities: readonly number[],
  outcomes: readonly boolean[],
  { bins = 10, strategy = 'uniform' }: { bins?: number; strategy?: BinStrategy } = {},
): ReliabilityBin[] {
  if (probabilities.length !== outcomes.length) {
    throw new FusedLoraError('INVALID_SHAPE', `${probabilities.length} probabilities and ${outcomes.length} outcomes`);
  }
  const sorted = [...probabilities].sort((a, b) => a - b);
  // numpy's percentile: between two neighbours, by the fraction.
  const quantile = (share: number) => {
    const at = share * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number];
    return low + (at - Math.floor(at)) * (high - low);
  };
  const borders = Array.from({ length: bins - 1 }, (_, i) => {
    const share = (i + 1) / bins;
    return strategy === 'uniform' ? share : quantile(share);
  });
  const sums = Array.from({ length: bins }, () => ({ count: 0, predicted: 0, observed: 0 }));
  probabilities.forEach((p, i) => {
    const found = borders.findIndex((border) => p <= border);
    const bin = sums[found < 0 ? bins - 1 : found] as ReliabilityBin;
    bin.count++;
    bin.predicted += p;
    bin.observed += outcomes[i] ? 1 : 0;
  });
  return sums
    .filter(({ count }) => count > 0)
    .map(({ count, predicted, observed }) => ({ count, predicted: predicted / count, observed: observed / count }));
}

/**
 * Expected calibration error (Naeini et al. 2015; Guo et al. 2017): the mean over decisions of
 * |observed − predicted| of their bin.
 */
export function expectedCalibrationError(bins: readonly ReliabilityBin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  return bins.reduce(
    (sum, { count, predicted, observed }) => sum + (count / total) * Math.abs(observed - predicted),
    0,
  );
}

/** One row of logits with what is right of it: a class, or 0 and 1 for each label. */
export interface Decision {
  logits: Float32Array;
  label?: number;
  targets?: readonly number[];
}

/** Each text, or each word that counts, with its logits. Regression has none. */
export function decisionsOf(
  { task }: TaskSettings,
  { logits, numOutputs }: Evaluation,
  examples: readonly EncodedExample[],
): Decision[] {
  if (task === 'multi-label-classification') {
    return examples.map(({ targets = [] }, i) => ({ logits: logits[i] as Float32Array, targets }));
  }
  if (task === 'sequence-classification') {
    return examples.map(({ label }, i) => ({ logits: logits[i] as Float32Array, label: label as number }));
  }
  if (task !== 'token-classification') return [];
  return examples.flatMap(({ tokenLabels = [] }, i) =>
    [...tokenLabels].flatMap((label, t) =>
      label === IGNORE_LABEL
        ? []
        : [{ logits: (logits[i] as Float32Array).subarray(t * numOutputs, (t + 1) * numOutputs), label }],
    ),
  );
}

/** Logits over a temperature. */
export function cooled(logits: Float32Array, temperature: number): Float32Array {
  return temperature === 1 ? logits : logits.map((x) => x / temperature);
}

/**
 * The probability of what a model says and whether it is right: of the most probable class, or of
 * every label by itself.
 */
export function confidences(
  decisions: readonly Decision[],
  temperature = 1,
): { probabilities: number[]; outcomes: boolean[] } {
  const all = decisions.flatMap(({ logits, label, targets }) => {
    const scaled = cooled(logits, temperature);
    if (targets) return sigmoid(scaled).map((p, c) => ({ p, right: targets[c] === 1 }));
    const { best, probabilities } = softmax(scaled);
    return [{ p: probabilities[best] as number, right: best === label }];
  });
  return { probabilities: all.map(({ p }) => p), outcomes: all.map(({ right }) => right) };
}

/** Temperatures that are looked at: beyond them a model is all but certain, or all but blind. */
const TEMPERATURES = [0.05, 20] as const;

/**
 * Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks"): the T that
 * minimizes the mean negative log-likelihood of softmax(z / T), or of sigmoid(z / T) for labels.
 * It is convex in s = 1 / T, whose derivative Σ (E_p[z] − z_label) is looked through by bisection.
 *
 * @returns a number from 0.05 to 20; 0.05 where every decision is right.
 */
export function fitTemperature(decisions: readonly Decision[]): number {
  const slope = (s: number) =>
    decisions.reduce((sum, { logits, label, targets }) => {
      const scaled = logits.map((x) => x * s);
      if (targets) {
        return sigmoid(scaled).reduce((part, p, c) => part + (p - (targets[c] as number)) * (logits[c] as number), sum);
      }
      const { probabilities } = softmax(scaled);
      const mean = probabilities.reduce((part, p, c) => part + p * (logits[c] as number), 0);
      return sum + mean - (logits[label as number] as number);
    }, 0);
  let [low, high] = [Math.log(1 / TEMPERATURES[1]), Math.log(1 / TEMPERATURES[0])];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    // 0 where every probability is rounded to 0 or 1: nothing is against a lower temperature.
    if (slope(Math.exp(middle)) <= 0) low = middle;
    else high = middle;
  }
  return Math.exp(-(low + high) / 2);
}

/** Mean negative log-likelihood of the right class, or of all labels. */
export function logLikelihoodLoss(decisions: readonly Decision[], temperature = 1): number {
  const losses = decisions.flatMap(({ logits, label, targets }) => {
    const scaled = cooled(logits, temperature);
    // ln(1 + e^-|x|), which no p that is rounded to 0 or 1 spoils.
    if (targets) {
      return [...scaled].map(
        (x, c) => Math.max(x, 0) - x * (targets[c] as number) + Math.log1p(Math.exp(-Math.abs(x))),
      );
    }
    const most = Math.max(...scaled);
    return [
      most + Math.log(scaled.reduce((sum, x) => sum + Math.exp(x - most), 0)) - (scaled[label as number] as number),
    ];
  });
  return losses.reduce((sum, x) => sum + x, 0) / losses.length;
}

/**
 * For each label the threshold with the best F1: half-way between two probabilities of dev. Of
 * equal ones that nearest to 1/2; 1/2 for a label that no example has.
 */
export function fitThresholds(decisions: readonly Decision[], labels: number, temperature = 1): number[] {
  return Array.from({ length: labels }, (_, c) => {
    const rows = decisions.map(({ logits, targets }) => ({
      p: sigmoid(cooled(logits, temperature))[c] as number,
      right: targets?.[c] === 1,
    }));
    rows.sort((a, b) => b.p - a.p);
    const positive = rows.filter(({ right }) => right).length;
    let best = { f1: 0, threshold: 0.5 };
    let right = 0;
    rows.forEach((row, i) => {
      right += row.right ? 1 : 0;
      const next = rows[i + 1]?.p ?? 0;
      if (next === row.p || positive === 0) return;
      const f1 = (2 * right) / (i + 1 + positive);
      const threshold = (row.p + next) / 2;
      const nearer = Math.abs(threshold - 0.5) < Math.abs(best.threshold - 0.5);
      if (f1 > best.f1 || (f1 === best.f1 && nearer)) best = { f1, threshold };
    });
    return best.threshold;
  });
}
