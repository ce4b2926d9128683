// Curves of any length as few points as a screen has: thinned, smoothed, binned.
// Which curves there are is decided in charts.ts.

/** Curves of any length as few points as a screen has. */

export interface Points {
  x: number[];
  y: number[];
}

/** Most points of a curve. */
const MOST_POINTS = 1500;

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** The finite values of events, by step. */
export function pointsOf<T extends { step: number }>(events: readonly T[], value: (event: T) => unknown): Points {
  const points: Points = { x: [], y: [] };
  for (const event of events) {
    const y = value(event);
    if (!isNumber(y) || !isNumber(event.step)) continue;
    points.x.push(event.step);
    points.y.push(y);
  }
  return points;
}

/** Means of equal runs of points, so that there are at most `most`; x is the last of each. */
export function thinned({ x, y }: Points, most = MOST_POINTS): Points {
  const size = Math.ceil(x.length / most);
  if (size <= 1) return { x, y };
  const result: Points = { x: [], y: [] };
  for (let first = 0; first < x.length; first += size) {
    const part = y.slice(first, first + size);
    result.x.push(x[Math.min(x.length, first + size) - 1] as number);
    result.y.push(part.reduce((sum, value) => sum + value, 0) / part.length);
  }
  return result;
}

/**
 * Exponential moving average over about `span` points, started
 * from the mean so far: m ← m + (y − m) · max(1/i, 2/(span + 1)).
 */
export function smoothed({ x, y }: Points, span = smoothingSpan(y.length)): Points {
  let mean = 0;
  return {
    x,
    y: y.map((value, i) => {
      mean += (value - mean) * Math.max(1 / (i + 1), 2 / (span + 1));
      return mean;
    }),
  };
}

/** A thirtieth of the run: enough to see its course. */
export function smoothingSpan(points: number): number {
  return Math.max(1, Math.round(points / 30));
}

/** Counts by number as at most `most` bars of equal width. */
export function binned(counts: readonly number[], width: number): Points {
  const result: Points = { x: [], y: [] };
  for (let first = 0; first < counts.length; first += width) {
    result.x.push(first + (width - 1) / 2);
    result.y.push(counts.slice(first, first + width).reduce((sum, count) => sum + (count ?? 0), 0));
  }
  return result;
}

/** Values a bar, 1, 2, 4, 5, 8, 10, … so that `length` values make at most `most` bars. */
export function binWidth(length: number, most = 40): number {
  const widths = [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256];
  return widths.find((width) => length / width <= most) ?? Math.ceil(length / most);
}
