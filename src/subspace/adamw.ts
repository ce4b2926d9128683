/**
 * AdamW on the few numbers of a subspace, with clipping by the global norm: formula and order of
 * operations of native/ops/optimizer.h, in double. Weights by the million take the native one
 * (src/graph/program.ts).
 */
import type { Parameter } from '../graph/parameter';
import type { ApplyOptions } from '../graph/program';

/** AdamW's two moments of a parameter. */
export interface Moments {
  first: Float32Array;
  second: Float32Array;
}

/**
 * @returns what `Program.apply` does, the loss left out; where it is not applied nothing changes.
 */
export function adamwStep(
  trained: readonly { parameter: Parameter; gradient: Float32Array; moments: Moments }[],
  { groups, groupOf, step, maxGradNorm = 0 }: ApplyOptions,
): { applied: boolean; gradientNorm: number } {
  const squares = trained.map(({ gradient }) => gradient.reduce((sum, g) => sum + g * g, 0));
  const gradientNorm = Math.sqrt(squares.reduce((sum, x) => sum + x, 0));
  if (!Number.isFinite(gradientNorm)) return { applied: false, gradientNorm };
  const clip = maxGradNorm > 0 && gradientNorm > maxGradNorm ? maxGradNorm / gradientNorm : 1;
  for (const { parameter, gradient, moments } of trained) {
    const { learningRate, beta1, beta2, eps, weightDecay } = groups[groupOf(parameter)]!;
    const [c1, c2] = [1 - beta1 ** step, 1 - beta2 ** step];
    const values = parameter.data().slice();
    const { first, second } = moments;
    for (let i = 0; i < values.length; i++) {
      const g = clip * gradient[i]!;
      const m = beta1 * first[i]! + (1 - beta1) * g;
      const v = beta2 * second[i]! + (1 - beta2) * g * g;
      const decayed = values[i]! * (1 - learningRate * weightDecay);
      values[i] = decayed - ((learningRate / c1) * m) / (Math.sqrt(v) / Math.sqrt(c2) + eps);
      first[i] = m;
      second[i] = v;
    }
    parameter.setData(values);
  }
  return { applied: true, gradientNorm };
}
