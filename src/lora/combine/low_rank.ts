/**
 * The best approximation of a rank, by Eckart and Young: B A with orthonormal rows in A, of a
 * matrix that is itself a product of narrow ones, or given whole. Eigenvectors come from eigen.ts;
 * why no singular value is divided by, from here.
 *
 *     A = the first right singular vectors of M, B = M Aᵀ
 *
 * They are eigenvectors of Mᵀ M, whose error is at most 1e-16 of its largest eigenvalue: what is
 * lost of M is below 3e-8 of its largest singular value, less than float32 holds.
 */
import { symmetricEigen } from './eigen';

export interface Factors {
  /** [rank, in], orthonormal rows. */
  A: Float64Array;
  /** [out, rank] */
  B: Float64Array;
}

/** x [m, k] · y [k, n] */
export function multiply(x: Float64Array, y: Float64Array, m: number, k: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    const row = out.subarray(i * n, (i + 1) * n);
    for (let j = 0; j < k; j++) {
      const factor = x[i * k + j]!;
      if (factor === 0) continue;
      const from = j * n;
      for (let l = 0; l < n; l++) row[l] = row[l]! + factor * y[from + l]!;
    }
  }
  return out;
}

/** x [m, n] to [n, m] */
export function transpose(x: Float64Array, m: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) out[j * m + i] = x[i * n + j]!;
  return out;
}

/** Of what is left of a row beside those before it: below this share it is their sum. */
const DEPENDENT = 1e-12;

/**
 * Orthonormal rows with the span of these, by Gram and Schmidt, twice over; rows that are sums of
 * those before are left out. Then unit vectors, until there are `least`.
 *
 * @param rows [m, n]
 */
export function orthonormalRows(rows: Float64Array, m: number, n: number, least = 0): Float64Array {
  const kept: Float64Array[] = [];
  const length = (row: Float64Array) => Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
  const take = (row: Float64Array) => {
    const before = length(row);
    if (before === 0) return;
    for (let time = 0; time < 2; time++) {
      for (const other of kept) {
        let product = 0;
        for (let i = 0; i < n; i++) product += row[i]! * other[i]!;
        for (let i = 0; i < n; i++) row[i] = row[i]! - product * other[i]!;
      }
    }
    const after = length(row);
    if (after > DEPENDENT * before) kept.push(row.map((value) => value / after));
  };
  for (let i = 0; i < m && kept.length < n; i++) take(rows.slice(i * n, (i + 1) * n));
  for (let j = 0; j < n && kept.length < Math.min(least, n); j++)
    take(Float64Array.from({ length: n }, (_, i) => +(i === j)));
  const out = new Float64Array(kept.length * n);
  for (const [i, row] of kept.entries()) out.set(row, i * n);
  return out;
}

/** The first eigenvectors of Mᵀ M, as rows [rank, n]. */
function rightVectors(M: Float64Array, m: number, n: number, rank: number): Float64Array {
  const gram = new Float64Array(n * n);
  for (let i = 0; i < m; i++) {
    const row = M.subarray(i * n, (i + 1) * n);
    for (let j = 0; j < n; j++) {
      const factor = row[j]!;
      if (factor === 0) continue;
      for (let k = j; k < n; k++) gram[j * n + k] = gram[j * n + k]! + factor * row[k]!;
    }
  }
  for (let j = 0; j < n; j++) for (let k = 0; k < j; k++) gram[j * n + k] = gram[k * n + j]!;
  return symmetricEigen(gram, n).vectors.slice(0, Math.min(rank, n) * n);
}

/** The rows, and as many more as the rank asks for; then B. */
function factors(rows: Float64Array, product: (A: Float64Array) => Float64Array, n: number, rank: number): Factors {
  const A = orthonormalRows(rows, rows.length / n, n, rank);
  return { A, B: product(A) };
}

/**
 * Of left · right, which is never made whole.
 *
 * @param left [m, k]
 * @param right [k, n]
 * @param rank at most min(m, n).
 */
export function lowRankOfProduct(
  left: Float64Array,
  right: Float64Array,
  [m, k, n]: readonly [number, number, number],
  rank: number,
): Factors {
  const Q = orthonormalRows(right, k, n);
  const q = Q.length / n;
  // right = L Q, so that the product is (left L) Q, and its core has q columns.
  const L = multiply(right, transpose(Q, q, n), k, n, q);
  const core = multiply(left, L, m, k, q);
  const W = rightVectors(core, m, q, rank);
  const rows = multiply(W, Q, q === 0 ? 0 : W.length / q, q, n);
  return factors(rows, (A) => multiply(left, multiply(right, transpose(A, rank, n), k, n, rank), m, k, rank), n, rank);
}

/**
 * Of a matrix that is given whole.
 *
 * @param M [m, n]
 * @param rank at most min(m, n).
 */
export function lowRankOf(M: Float64Array, [m, n]: readonly [number, number], rank: number): Factors {
  const product = (A: Float64Array) => multiply(M, transpose(A, rank, n), m, n, rank);
  if (n <= m) return factors(rightVectors(M, m, n, rank), product, n, rank);
  // The smaller side has the smaller Gram matrix: left singular vectors, and from them the right.
  const U = rightVectors(transpose(M, m, n), n, m, rank);
  return factors(multiply(U, M, U.length / m, m, n), product, n, rank);
}
