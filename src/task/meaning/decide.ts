/**
 * The strongest of several statements wins, and the weaker ones that say something else are kept to
 * be told. Which statements there are of each thing: decide_task.ts, decide_labels.ts, resolve.ts.
 */
import type { Decided, MeaningSource, Statement } from './types';

/** A statement, or undefined where the source says nothing. */
export function says<T>(value: T | undefined, source: MeaningSource, place: string): Statement<T> | undefined {
  return value === undefined ? undefined : { value, source, place };
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/**
 * @param statements the strongest first; one of them is there. What holds by default is overridden
 * without a word.
 */
export function decide<T>(...statements: (Statement<T> | undefined)[]): Decided<T> {
  const [winner, ...weaker] = statements.filter((one) => one !== undefined) as [Statement<T>, ...Statement<T>[]];
  return {
    ...winner,
    overridden: weaker.filter(({ value, source }) => source !== 'default' && !same(value, winner.value)),
  };
}
