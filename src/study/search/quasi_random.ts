/**
 * Points that fill a cube evenly: the additive recurrence of Roberts (2018), "The unreasonable
 * effectiveness of quasirandom sequences", x_n = frac(s + n α), α_j = φ_d^-(j+1), φ_d the root of
 * x^(d+1) = x + 1. The seed chooses the shift s. What learns from results is tpe.ts.
 */
import { RANDOM_SITE, RandomStream } from '../../base/philox';

/** φ_d by the iteration x ← (1 + x)^(1/(d+1)), which converges for every d. */
function generalGoldenRatio(d: number): number {
  let x = 2;
  for (let i = 0; i < 64; i++) x = (1 + x) ** (1 / (d + 1));
  return x;
}

/**
 * @param index of the point, from 0.
 * @param dimensions of the cube.
 * @param stream tells sequences of one seed apart.
 * @returns [dimensions] numbers in [0, 1).
 */
export function quasiRandomPoint(index: number, dimensions: number, seed: number, stream = 0): number[] {
  const ratio = generalGoldenRatio(dimensions);
  const shift = new RandomStream(seed, RANDOM_SITE.study, 0, stream);
  return Array.from({ length: dimensions }, (_, j) => {
    const x = shift.uniform() + (index + 1) * ratio ** -(j + 1);
    return x - Math.floor(x);
  });
}
