/**
 * Checks and helpers that every set of options needs: names of keys, ranges of numbers, values left
 * out. What each option means stands where it is used; those of fine-tuning in src/task/options.
 */
import { FusedLoraError } from './errors';
import { listNames, nearNames } from './near';

/** Throws INVALID_ARGUMENT unless each of these is an integer of at least 1. */
export function positiveInteger(where: string, numbers: Record<string, number>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${where}: ${name} is ${value}; it must be an integer of at least 1`,
      );
    }
  }
}

/** Throws INVALID_ARGUMENT unless p is a probability below 1. */
export function probability(where: string, name: string, p: number): void {
  if (!(p >= 0 && p < 1)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `${where}: ${name} is ${p}; it must be at least 0 and below 1`);
  }
}

/**
 * Throws INVALID_ARGUMENT for a key that is not known, which only a caller without types can pass,
 * naming the one that may have been meant.
 *
 * @param known all keys that the options have.
 */
export function checkKeys(where: string, options: object, known: Readonly<Record<string, true>>): void {
  if (typeof options !== 'object' || options === null) {
    throw new FusedLoraError('INVALID_ARGUMENT', `${where}: expected an object, not ${String(options)}`);
  }
  const wrong = Object.keys(options).find((key) => !Object.hasOwn(known, key));
  if (wrong === undefined) return;
  const names = Object.keys(known);
  const [near] = nearNames(wrong, names, 1);
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${where}: has no option "${wrong}".${near === undefined ? '' : ` Did you mean ${near}?`} It has: ${listNames(names, 40)}`,
  );
}

/** Leaves out what is undefined, so that defaults hold. */
export function compact<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
