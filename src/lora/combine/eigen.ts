/**
 * Eigenvalues and eigenvectors of a symmetric matrix, in float64: Householder's reduction to
 * tridiagonal form and the QL iteration, after EISPACK's tred2 and tql2. What they are for is
 * low_rank.ts.
 */

/** Row i of `vectors` is the eigenvector of `values[i]`; the largest value comes first. */
export interface Eigen {
  values: Float64Array;
  /** [n, n] */
  vectors: Float64Array;
}

/**
 * Reduces to tridiagonal form T = Vᵀ A V.
 *
 * @param V [n, n]: A, then the transformation, column by column: inner loops run along memory.
 * @param d gets the diagonal of T, e what is below it (from e[1] on).
 */
function tridiagonalize(V: Float64Array, d: Float64Array, e: Float64Array): void {
  const n = d.length;
  for (let j = 0; j < n; j++) d[j] = V[j * n + n - 1]!;
  for (let i = n - 1; i > 0; i--) {
    let [scale, h] = [0, 0];
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = V[j * n + i - 1]!;
        V[j * n + i] = 0;
        V[i * n + j] = 0;
      }
      d[i] = 0;
      continue;
    }
    for (let k = 0; k < i; k++) {
      d[k] = d[k]! / scale;
      h += d[k]! * d[k]!;
    }
    const f = d[i - 1]!;
    const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
    e[i] = scale * g;
    h -= f * g;
    d[i - 1] = f - g;
    e.fill(0, 0, i);
    for (let j = 0; j < i; j++) {
      const f = d[j]!;
      V[i * n + j] = f;
      let g = e[j]! + V[j * n + j]! * f;
      for (let k = j + 1; k < i; k++) {
        const v = V[j * n + k]!;
        g += v * d[k]!;
        e[k] = e[k]! + v * f;
      }
      e[j] = g;
    }
    let sum = 0;
    for (let j = 0; j < i; j++) {
      e[j] = e[j]! / h;
      sum += e[j]! * d[j]!;
    }
    const half = sum / (h + h);
    for (let j = 0; j < i; j++) e[j] = e[j]! - half * d[j]!;
    for (let j = 0; j < i; j++) {
      const [f, g] = [d[j]!, e[j]!];
      for (let k = j; k < i; k++) V[j * n + k] = V[j * n + k]! - (f * e[k]! + g * d[k]!);
      d[j] = V[j * n + i - 1]!;
      V[j * n + i] = 0;
    }
    d[i] = h;
  }
  // The transformations, one after the other.
  for (let i = 0; i < n - 1; i++) {
    V[i * n + n - 1] = V[i * n + i]!;
    V[i * n + i] = 1;
    const h = d[i + 1]!;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = V[(i + 1) * n + k]! / h;
      for (let j = 0; j <= i; j++) {
        let g = 0;
        for (let k = 0; k <= i; k++) g += V[(i + 1) * n + k]! * V[j * n + k]!;
        for (let k = 0; k <= i; k++) V[j * n + k] = V[j * n + k]! - g * d[k]!;
      }
    }
    for (let k = 0; k <= i; k++) V[(i + 1) * n + k] = 0;
  }
  for (let j = 0; j < n; j++) {
    d[j] = V[j * n + n - 1]!;
    V[j * n + n - 1] = 0;
  }
  V[n * n - 1] = 1;
  e[0] = 0;
}

/**
 * Diagonalizes T.
 *
 * @param rows [n, n]: row j is turned with column j of T.
 */
function diagonalize(rows: Float64Array, d: Float64Array, e: Float64Array): void {
  const n = d.length;
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  let [shift, largest] = [0, 0];
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    const small = Number.EPSILON * largest;
    let m = l;
    while (m < n - 1 && Math.abs(e[m]!) > small) m++;
    while (m > l && Math.abs(e[l]!) > small) {
      const g = d[l]!;
      let p = (d[l + 1]! - g) / (2 * e[l]!);
      let r = p < 0 ? -Math.hypot(p, 1) : Math.hypot(p, 1);
      d[l] = e[l]! / (p + r);
      d[l + 1] = e[l]! * (p + r);
      const dl1 = d[l + 1]!;
      const h = g - d[l]!;
      for (let i = l + 2; i < n; i++) d[i] = d[i]! - h;
      shift += h;
      p = d[m]!;
      let [c, c2, c3, s, s2] = [1, 1, 1, 0, 0];
      const el1 = e[l + 1]!;
      for (let i = m - 1; i >= l; i--) {
        c3 = c2;
        c2 = c;
        s2 = s;
        const g = c * e[i]!;
        const h = c * p;
        r = Math.hypot(p, e[i]!);
        e[i + 1] = s * r;
        s = e[i]! / r;
        c = p / r;
        p = c * d[i]! - s * g;
        d[i + 1] = h + s * (c * g + s * d[i]!);
        const [upper, lower] = [i * n, (i + 1) * n];
        for (let k = 0; k < n; k++) {
          const v = rows[lower + k]!;
          rows[lower + k] = s * rows[upper + k]! + c * v;
          rows[upper + k] = c * rows[upper + k]! - s * v;
        }
      }
      p = (-s * s2 * c3 * el1 * e[l]!) / dl1;
      e[l] = s * p;
      d[l] = c * p;
    }
    d[l] = d[l]! + shift;
    e[l] = 0;
  }
}

/**
 * @param matrix [n, n], symmetric; it is not changed.
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  // Its columns are its rows.
  const V = matrix.slice();
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  if (n === 0) return { values: d, vectors: V };
  tridiagonalize(V, d, e);
  diagonalize(V, d, e);
  const order = Array.from(d.keys()).sort((a, b) => d[b]! - d[a]!);
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) vectors.set(V.subarray(from * n, (from + 1) * n), to * n);
  return { values: Float64Array.from(order, (i) => d[i]!), vectors };
}
