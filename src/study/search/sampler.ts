/**
 * The values of the next trial: quasi-random first, then by the tree-structured Parzen estimator on
 * what came out. A function of the seed, the trial's place and the trials before it; when a trial
 * is stopped is asha.ts.
 */
import { RANDOM_SITE, RandomStream } from '../../base/philox';
import { type Distribution, fromUnit, sizeOf, type Value, valueAt } from '../space/distribution';
import { counts, type Parameter } from '../space/space';
import { quasiRandomPoint } from './quasi_random';
import { betterCount, suggest } from './tpe';

/** tpe, or quasi-random points to the end. */
export type SamplerName = 'tpe' | 'quasi-random';
export const SAMPLERS: readonly SamplerName[] = ['tpe', 'quasi-random'];

/** What became of an earlier trial. */
export interface Outcome {
  /** Internal values by name. */
  params: ReadonlyMap<string, number>;
  /** Of one that ended. */
  value: number | undefined;
  /** Of one that was stopped: its last report, and after how many. */
  stopped: { value: number; reports: number } | undefined;
}

/** What the sampler decides of a parameter. */
export interface Chosen {
  name: string;
  distribution: Distribution;
  internal: number;
  value: Value;
}

export interface SampleRequest {
  space: readonly Parameter[];
  /** Values that are given: the method. */
  given: ReadonlyMap<string, Value>;
  /** Number of the trial among those with these given values, from 0. */
  index: number;
  /** Trials with these given values that are over. */
  outcomes: readonly Outcome[];
  maximize: boolean;
  seed: number;
  /** Tells sequences of one seed apart. */
  stream: number;
  sampler: SamplerName;
  /** Trials before TPE takes over. */
  startup: number;
}

/** Best first; those that were stopped come after, the longer they ran the better. */
function ranked(outcomes: readonly Outcome[], maximize: boolean): Outcome[] {
  const sign = maximize ? -1 : 1;
  const ended = outcomes.filter(({ value }) => value !== undefined);
  const stopped = outcomes.filter(({ stopped }) => stopped !== undefined);
  ended.sort((a, b) => sign * ((a.value as number) - (b.value as number)));
  stopped.sort((a, b) => {
    const [x, y] = [a.stopped as NonNullable<Outcome['stopped']>, b.stopped as NonNullable<Outcome['stopped']>];
    return y.reports - x.reports || sign * (x.value - y.value);
  });
  return [...ended, ...stopped];
}

/** @returns the parameters that count in the trial, each with its value. */
export function sample(request: SampleRequest): Chosen[] {
  const { space, given, index, outcomes, maximize, seed, stream, sampler, startup } = request;
  const free = space.filter(({ name }) => !given.has(name));
  const names = [...new Set(free.filter(({ distribution }) => sizeOf(distribution) > 1).map(({ name }) => name))];
  const point = quasiRandomPoint(index, Math.max(1, names.length), seed, stream);
  const order = ranked(outcomes, maximize);
  const learns = sampler === 'tpe' && index >= startup && order.length >= 2;
  const cut = betterCount(order.length);
  const chosen = new Map(given);
  const result: Chosen[] = [];
  for (const parameter of free) {
    const { name, distribution } = parameter;
    if (chosen.has(name) || !counts(parameter, chosen)) continue;
    const valuesOf = (some: readonly Outcome[]) =>
      some.flatMap(({ params }) => params.get(name) ?? []).filter((x) => isIn(distribution, x));
    const [better, others] = [valuesOf(order.slice(0, cut)), valuesOf(order.slice(cut))];
    const dimension = names.indexOf(name);
    const internal =
      dimension < 0
        ? fromUnit(distribution, 0)
        : learns && better.length > 0
          ? suggest(
              distribution,
              better,
              others,
              new RandomStream(seed, RANDOM_SITE.study, index + 1, dimension + 1e4 * stream),
            )
          : fromUnit(distribution, point[dimension] as number);
    const value = valueAt(distribution, internal);
    chosen.set(name, value);
    result.push({ name, distribution, internal, value });
  }
  return result;
}

/** Whether a value of an earlier trial, of another form of the parameter maybe, may stand here. */
function isIn(distribution: Distribution, internal: number): boolean {
  if (distribution.kind === 'categorical') return internal < distribution.choices.length;
  return internal >= distribution.low && internal <= distribution.high;
}
