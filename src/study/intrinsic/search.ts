/**
 * The least dimension at which training in a subspace is good enough: dimensions from the lowest up
 * by half powers of ten until one is, then halfway between the last two on the logarithmic line.
 * What one dimension is worth is measured by intrinsic.ts.
 */

/** A dimension that was tried, and whether it was good enough. */
export interface Tried {
  dimension: number;
  value: number;
  enough: boolean;
}

export interface SearchRange {
  /** Lowest and highest dimension. */
  from: number;
  to: number;
  /** Times that the last interval is halved. */
  refine: number;
}

/** 10, 32, 100, 316 … from `from`, and `to` at the end. */
export function rungsOf({ from, to }: SearchRange): number[] {
  const rungs: number[] = [];
  for (let k = 0; ; k++) {
    const dimension = Math.round(from * 10 ** (k / 2));
    if (dimension >= to) return [...rungs, to];
    rungs.push(dimension);
  }
}

/**
 * @param measure gives the value of a dimension.
 * @param isEnough whether a value is good enough.
 * @returns the least dimension that was, and all that were tried, in their order; undefined where
 * none was.
 */
export async function leastDimension(
  range: SearchRange,
  measure: (dimension: number) => Promise<number>,
  isEnough: (value: number) => boolean,
): Promise<{ least: number | undefined; tried: Tried[] }> {
  const tried: Tried[] = [];
  const holds = async (dimension: number) => {
    const value = await measure(dimension);
    tried.push({ dimension, value, enough: isEnough(value) });
    return isEnough(value);
  };
  let low: number | undefined;
  let high: number | undefined;
  for (const dimension of rungsOf(range)) {
    if (await holds(dimension)) {
      high = dimension;
      break;
    }
    low = dimension;
  }
  for (let i = 0; high !== undefined && low !== undefined && i < range.refine; i++) {
    const middle = Math.round(Math.sqrt(low * high));
    if (middle <= low || middle >= high) break;
    if (await holds(middle)) high = middle;
    else low = middle;
  }
  return { least: high, tried };
}
