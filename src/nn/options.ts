import { FusedLoraError } from '../errors';

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
