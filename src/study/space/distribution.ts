/**
 * What values a parameter may have, in Optuna's three kinds and its JSON, so that a journal reads
 * there; and the way between a value and a number in [0, 1) that samplers draw. Which parameters a
 * space has, and when: space.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { isJsonObject } from '../../io/json';

/** What a choice may be; lists and objects are chosen too, and stand in journals as JSON. */
export type Value = string | number | boolean | null | readonly unknown[] | { readonly [key: string]: unknown };

export type Distribution =
  | { kind: 'float'; low: number; high: number; log: boolean }
  | { kind: 'int'; low: number; high: number; log: boolean; step: number }
  | { kind: 'categorical'; choices: readonly Value[] };

/** How many values there are; Infinity of a range of real numbers. */
export function sizeOf(distribution: Distribution): number {
  switch (distribution.kind) {
    case 'float':
      return distribution.low === distribution.high ? 1 : Number.POSITIVE_INFINITY;
    case 'int':
      return Math.floor((distribution.high - distribution.low) / distribution.step) + 1;
    default:
      return distribution.choices.length;
  }
}

/** The lowest and the highest value of a range, and every choice. */
export const endsOf = (distribution: Distribution): readonly Value[] =>
  distribution.kind === 'categorical' ? distribution.choices : [...new Set([distribution.low, distribution.high])];

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** Bounds of the line that a number is drawn on: of an int half a step further on each side. */
export function lineOf(distribution: Exclude<Distribution, { kind: 'categorical' }>): { from: number; to: number } {
  const { low, high, log } = distribution;
  const half = distribution.kind === 'int' ? distribution.step / 2 : 0;
  return log ? { from: Math.log(low - half), to: Math.log(high + half) } : { from: low - half, to: high + half };
}

/** Where an internal value lies on its line. */
export const onLine = (distribution: Exclude<Distribution, { kind: 'categorical' }>, value: number) =>
  distribution.log ? Math.log(value) : value;

/** The internal value nearest to a place on the line. */
export function offLine(distribution: Exclude<Distribution, { kind: 'categorical' }>, at: number): number {
  const { low, high, log } = distribution;
  const value = log ? Math.exp(at) : at;
  if (distribution.kind === 'float') return clamp(value, low, high);
  const { step } = distribution;
  return low + step * clamp(Math.round((value - low) / step), 0, sizeOf(distribution) - 1);
}

/**
 * @param u in [0, 1).
 * @returns the internal value there, as Optuna has it: a number, or the number of a choice.
 */
export function fromUnit(distribution: Distribution, u: number): number {
  if (distribution.kind === 'categorical') return Math.floor(u * distribution.choices.length);
  const { from, to } = lineOf(distribution);
  return offLine(distribution, from + u * (to - from));
}

/** The value that an internal one stands for. */
export function valueAt(distribution: Distribution, internal: number): Value {
  return distribution.kind === 'categorical' ? (distribution.choices[internal] as Value) : internal;
}

const isScalar = (value: Value) => typeof value !== 'object' || value === null;

/** What a journal and tables show of a value. */
export const shownValue = (value: Value): string | number | boolean | null =>
  isScalar(value) ? (value as string | number | boolean | null) : JSON.stringify(value);

/** Optuna's text of a distribution, `{"name": …, "attributes": …}`. */
export function distributionText(distribution: Distribution): string {
  if (distribution.kind === 'categorical') {
    return JSON.stringify({
      name: 'CategoricalDistribution',
      attributes: { choices: distribution.choices.map(shownValue) },
    });
  }
  const { low, high, log } = distribution;
  return distribution.kind === 'float'
    ? JSON.stringify({ name: 'FloatDistribution', attributes: { step: null, low, high, log } })
    : JSON.stringify({ name: 'IntDistribution', attributes: { log, step: distribution.step, low, high } });
}

/** @throws FusedLoraError INVALID_ARGUMENT naming the parameter. */
export function checkDistribution(name: string, distribution: Distribution): Distribution {
  const wrong = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', `space: "${name}" ${problem}`);
  if (distribution.kind === 'categorical') {
    const { choices } = distribution;
    if (choices.length === 0) throw wrong('has no choices; give at least one');
    const bad = choices.find((one) => typeof one === 'number' && !Number.isFinite(one));
    if (bad !== undefined) throw wrong(`has the choice ${String(bad)}, which is no finite number`);
    const texts = choices.map((one) => JSON.stringify(one));
    const twice = texts.find((text, i) => texts.indexOf(text) !== i);
    if (twice !== undefined) throw wrong(`has the choice ${twice} twice`);
    if (!choices.every((one) => isScalar(one) || Array.isArray(one) || isJsonObject(one))) {
      throw wrong('has a choice that JSON has no form for');
    }
    return distribution;
  }
  const { low, high, log, kind } = distribution;
  if (![low, high].every((x) => typeof x === 'number' && Number.isFinite(x))) {
    throw wrong('needs two finite numbers, the lowest value and the highest');
  }
  if (low > high) throw wrong(`runs from ${low} to ${high}; the lowest value stands first`);
  if (log && low <= 0) throw wrong(`runs from ${low} on a logarithmic line, which has numbers above 0 alone`);
  if (kind === 'float') return distribution;
  const { step } = distribution;
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high)) throw wrong('is an int, and needs whole numbers');
  if (!Number.isSafeInteger(step) || step < 1) throw wrong(`has the step ${step}; it must be a whole number from 1`);
  if (log && step !== 1) throw wrong('has a step on a logarithmic line; leave one out');
  return { ...distribution, high: low + step * Math.floor((high - low) / step) };
}
