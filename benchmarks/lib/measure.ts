/**
 * Interleaved timing: A B A B …, so that a drift of the machine's speed meets all sides alike.
 * The sides are started by sides.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Timing {
  /** Seconds. */
  median: number;
  p10: number;
  p90: number;
}

export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

export function summarize(samples: readonly number[]): Timing {
  const sorted = [...samples].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), p10: quantile(sorted, 0.1), p90: quantile(sorted, 0.9) };
}

/** How far the rounds of every comparison of this process disagreed, as disagreement() has it. */
const disagreements: number[] = [];

/**
 * How far the rounds of this process's comparisons disagree: (p90 - p10) of a side's ratios to the
 * first, over their median; of several sides and comparisons the median. 0 where nothing was
 * compared.
 */
export const disagreement = (): number => {
  const sorted = [...disagreements].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : quantile(sorted, 0.5);
};

export type Interleaved<K extends string> = Record<K, Timing & { ratio: number }>;

export interface InterleaveOptions {
  rounds: number;
  /** Rounds before that are not counted. Default 1. */
  warmup?: number;
  /**
   * ms before each turn. Where sides are processes of their own, the threads of the one before must
   * have gone to sleep. Default 0.
   */
  pause?: number;
}

/**
 * Runs every side once a round; each side returns its own seconds.
 * @returns one timing a side, and of every side the median
 *   of its ratio to the first, round by round.
 */
export async function interleave<K extends string>(
  sides: Record<K, () => Promise<number>>,
  { rounds, warmup = 1, pause = 0 }: InterleaveOptions,
): Promise<Interleaved<K>> {
  const names = Object.keys(sides) as K[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = -warmup; round < rounds; round++) {
    for (const name of names) {
      if (pause > 0) await sleep(pause);
      const seconds = await sides[name]();
      if (round >= 0) samples[name].push(seconds);
    }
  }
  return compareSamples(samples);
}

/** Timings of samples taken in turns: sample i of every side is of the same round. */
export function compareSamples<K extends string>(samples: Record<K, readonly number[]>): Interleaved<K> {
  const names = Object.keys(samples) as K[];
  const first = samples[names[0] as K];
  return Object.fromEntries(
    names.map((name) => {
      const ratios = samples[name].map((s, i) => s / (first[i] as number)).sort((a, b) => a - b);
      const ratio = quantile(ratios, 0.5);
      if (name !== names[0]) disagreements.push((quantile(ratios, 0.9) - quantile(ratios, 0.1)) / ratio);
      return [name, { ...summarize(samples[name]), ratio }];
    }),
  ) as Interleaved<K>;
}

/**
 * Counts the second of two calls: the first after a pause wakes threads, which takes as long as a
 * small product.
 */
export function warmed<T>(run: () => Promise<T>): () => Promise<T> {
  return async () => {
    await run();
    return run();
  };
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}
