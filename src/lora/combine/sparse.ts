/**
 * Sums of tensors of one shape, entry by entry: pruned by size or by chance, with or without an
 * elected sign (TIES, DARE). The formulas are those of PEFT 0.21.2 (merge_utils.py), in float64;
 * which tensors they are taken of is combine.ts.
 */
import { RANDOM_SITE, RandomStream } from '../../base/philox';

/** A tensor of one adapter and the factor that it gets in the sum. */
export interface Term {
  values: Float64Array;
  factor: number;
}

/** How entries are left out, and what is summed of those that are left. */
export interface SumOptions {
  prune: 'none' | 'magnitude' | 'random';
  /** Share of the entries that is kept, above 0 and at most 1. */
  density: number;
  /** How the sign of an entry is elected; undefined: all of them are summed. */
  sign: 'total' | 'frequency' | undefined;
  /** Of random pruning: with the number of the tensor, and of the adapter. */
  seed: number;
}

/** All but the ⌊density · n⌋ largest magnitudes become 0; of equal ones the first stay. */
export function pruneSmallest(values: Float64Array, density: number): Float64Array {
  const n = values.length;
  const kept = Math.min(n, Math.trunc(density * n));
  const out = new Float64Array(n);
  if (kept === 0) return out;
  const sizes = values.map(Math.abs).sort();
  const least = sizes[n - kept] as number;
  let equal = kept;
  for (const size of sizes.subarray(n - kept)) if (size > least) equal--;
  for (let i = 0; i < n; i++) {
    const size = Math.abs(values[i] as number);
    if (size > least || (size === least && equal-- > 0)) out[i] = values[i] as number;
  }
  return out;
}

/** Each entry stays with the probability `density`, divided by it, else becomes 0. */
export function pruneRandomly(values: Float64Array, density: number, random: RandomStream): Float64Array {
  return values.map((value) => (random.uniform() < density ? value / density : 0));
}

/**
 * The sum of factor · entry. With an elected sign: over the entries of that sign alone, divided by
 * their number. The sign is that of the sum of the pruned entries (total), or of the sum of their
 * signs (frequency); factors have no say in it, a sum of 0 elects plus, and zeros are of no sign.
 *
 * @param terms tensors of one length, at least one.
 * @param tensor number of the tensor, for random pruning.
 */
export function sparseSum(terms: readonly Term[], options: SumOptions, tensor: number): Float64Array {
  const { prune, density, sign, seed } = options;
  const pruned = terms.map(({ values }, adapter) => {
    if (prune === 'none' || density >= 1) return values;
    if (prune === 'magnitude') return pruneSmallest(values, density);
    return pruneRandomly(values, density, new RandomStream(seed, RANDOM_SITE.pruning, tensor, adapter));
  });
  const n = (pruned[0] as Float64Array).length;
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let elected = 0;
    if (sign !== undefined) {
      for (const values of pruned) elected += sign === 'total' ? (values[i] as number) : Math.sign(values[i] as number);
      elected = elected >= 0 ? 1 : -1;
    }
    let [total, count] = [0, 0];
    for (const [t, { factor }] of terms.entries()) {
      const value = pruned[t]?.[i] as number;
      if (sign !== undefined && Math.sign(value) !== elected) continue;
      total += factor * value;
      count++;
    }
    out[i] = sign === undefined ? total : total / Math.max(1, count);
  }
  return out;
}
