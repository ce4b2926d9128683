// How a quantity grows: a power law or a straight line by least squares, with r².
// benchmarks/scale.ts fits times and memory with it.

export interface Point {
  x: number;
  y: number;
}

export interface Line {
  intercept: number;
  slope: number;
  /** Share of the variance that the line explains, 0 to 1. */
  r2: number;
}

/** y ≈ factor · x^exponent. */
export interface Power {
  exponent: number;
  factor: number;
  /** Of log y. */
  r2: number;
}

/** @throws RangeError with fewer than two different x. */
export function fitLine(points: readonly Point[]): Line {
  const mean = (of: (p: Point) => number) => points.reduce((sum, p) => sum + of(p), 0) / points.length;
  const [x, y] = [mean((p) => p.x), mean((p) => p.y)];
  const sum = (of: (p: Point) => number) => points.reduce((total, p) => total + of(p), 0);
  const sxx = sum((p) => (p.x - x) ** 2);
  if (!(sxx > 0)) throw new RangeError(`a line needs two different x, there are ${points.length} points`);
  const slope = sum((p) => (p.x - x) * (p.y - y)) / sxx;
  const intercept = y - slope * x;
  const total = sum((p) => (p.y - y) ** 2);
  const left = sum((p) => (p.y - intercept - slope * p.x) ** 2);
  return { intercept, slope, r2: total > 0 ? 1 - left / total : 1 };
}

/**
 * A line through the logarithms. @throws RangeError where an
 * x or y is not positive, or with fewer than two different x.
 */
export function fitPower(points: readonly Point[]): Power {
  const wrong = points.find(({ x, y }) => !(x > 0 && y > 0));
  if (wrong) throw new RangeError(`a power law needs positive values, found (${wrong.x}, ${wrong.y})`);
  const { intercept, slope, r2 } = fitLine(points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) })));
  return { exponent: slope, factor: Math.exp(intercept), r2 };
}
