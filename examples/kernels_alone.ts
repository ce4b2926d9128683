// The LoRA kernels by themselves, without modules, graphs or models: forward fused and separate,
// the gradient against differences, a low-rank update learnt by plain gradient descent, and timing.
// All of their functions: src/kernels.ts.
//
//     npx tsx examples/kernels_alone.ts

// In your program: from 'fused-lora/kernels'.
import { DeviceTensor, type HostTensor, loraLinear, loraLinearBackward } from '../src/kernels';

/** Tokens, inputs, outputs, rank; s = alpha / r. */
const [T, K, N, R] = [64, 96, 80, 4];
const SCALING = 2;

/** Values in (-scale, scale) that are the same in every run. */
function random(seed: number, scale: number, ...shape: number[]): HostTensor {
  let state = seed;
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return scale * (state / 2 ** 31 - 1);
  });
  return { data, shape };
}

const dataOf = (tensor: unknown) => (tensor as HostTensor).data;
const largest = (values: Iterable<number>) => Math.max(...Array.from(values, Math.abs));
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number;
const difference = (a: Float32Array, b: Float32Array) => largest(a.map((value, i) => value - (b[i] as number)));

const x = random(1, 1, T, K);
const weight = random(2, 0.2, N, K);
const bias = random(3, 0.1, N);

/** y = x Wᵀ + b + s · (x Aᵀ) Bᵀ as one op and as five: the same numbers up to rounding. */
async function forward(A: HostTensor, B: HostTensor): Promise<number> {
  const layer = { x, weight, bias, A, B, scaling: SCALING };
  const fused = await loraLinear(layer);
  const separate = await loraLinear({ ...layer, fused: false });
  return difference(dataOf(fused.y), dataOf(separate.y)) / largest(dataOf(fused.y));
}

/**
 * dA and dB of the loss Σ y ∘ dy, against central differences
 * of a few entries; returns the largest relative error.
 */
async function gradient(A: HostTensor, B: HostTensor): Promise<number> {
  const dy = random(6, 1, T, N);
  const layer = { x, weight, bias, A, B, scaling: SCALING };
  const { u } = await loraLinear(layer);
  const { dA, dB } = await loraLinearBackward({ dy, x, u, weight, A, B, scaling: SCALING, dx: null });
  const loss = async () =>
    dataOf((await loraLinear(layer)).y).reduce((sum, y, i) => sum + y * (dy.data[i] as number), 0);
  const errors: number[] = [];
  for (const [parameter, gradients] of [
    [A, dataOf(dA)],
    [B, dataOf(dB)],
  ] as const) {
    for (let i = 0; i < parameter.data.length; i += 97) {
      const value = parameter.data[i] as number;
      // The loss is linear in each of A and B, so that a large step has no error but rounding.
      const step = 0.25;
      parameter.data[i] = value + step;
      const above = await loss();
      parameter.data[i] = value - step;
      const below = await loss();
      parameter.data[i] = value;
      errors.push(((above - below) / (2 * step) - (gradients[i] as number)) / largest(gradients));
    }
  }
  return largest(errors);
}

/** Finds a hidden change of rank 4 of the frozen weight from inputs and outputs alone. */
async function learn(): Promise<{ first: number; last: number }> {
  const hidden = await loraLinear({
    ...{ x, weight, bias, scaling: SCALING },
    A: random(7, 0.3, R, K),
    B: random(8, 0.3, N, R),
  });
  const wanted = dataOf(hidden.y);
  const A = random(9, 0.1, R, K);
  const B = random(0, 0, N, R); // Zero, so that training begins with the frozen layer.
  const losses: number[] = [];
  for (let step = 0; step < 300; step++) {
    const { y, u } = await loraLinear({ x, weight, bias, A, B, scaling: SCALING });
    const error = dataOf(y).map((value, i) => value - (wanted[i] as number));
    losses.push(error.reduce((sum, e) => sum + e * e, 0) / error.length);
    const dy = { data: error.map((e) => (2 * e) / T), shape: [T, N] };
    const { dA, dB } = await loraLinearBackward({ dy, x, u, weight, A, B, scaling: SCALING, dx: null });
    for (const [parameter, gradients] of [
      [A, dataOf(dA)],
      [B, dataOf(dB)],
    ] as const)
      for (let i = 0; i < parameter.data.length; i++) parameter.data[i]! -= 0.03 * (gradients[i] as number);
  }
  return { first: losses[0] as number, last: losses.at(-1) as number };
}

/**
 * Seconds of a layer of RoBERTa-base: tensors on the device, so that frozen weights are packed
 * once; sides in turns, medians.
 */
async function timing(rounds: number): Promise<{ fused: number; separate: number }> {
  const shapes = { x: [256, 768], weight: [768, 768], A: [8, 768], B: [768, 8], y: [256, 768], u: [256, 8] };
  const tensors = Object.entries(shapes).map(([name, shape], i) => {
    return [name, new DeviceTensor('cpu', shape, random(i, 0.1, ...shape).data)] as const;
  });
  const layer = { ...(Object.fromEntries(tensors) as Record<keyof typeof shapes, DeviceTensor>), scaling: SCALING };
  const seconds = { fused: [] as number[], separate: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    for (const side of ['fused', 'separate'] as const) {
      const measured = (await loraLinear({ ...layer, fused: side === 'fused' })).seconds;
      if (round > 0) seconds[side].push(measured); // The first one packs.
    }
  }
  for (const [, tensor] of tensors) tensor.dispose();
  return { fused: median(seconds.fused), separate: median(seconds.separate) };
}

export async function main(print: (line: string) => void = console.log) {
  const [A, B] = [random(4, 0.2, R, K), random(5, 0.2, N, R)];
  const forwardDifference = await forward(A, B);
  print(`forward: fused and separate differ by ${forwardDifference.toExponential(1)} of the largest output`);
  const gradientError = await gradient(A, B);
  print(`gradient: differs from central differences by ${gradientError.toExponential(1)} of the largest entry`);
  const learnt = await learn();
  print(`a hidden update of rank ${R}: squared error ${learnt.first.toFixed(4)} → ${learnt.last.toExponential(1)}`);
  const seconds = await timing(21);
  const [fused, separate] = [seconds.fused, seconds.separate].map((s) => (1000 * s).toFixed(2));
  print(`768 → 768, 256 tokens, r = 8: ${fused} ms fused, ${separate} ms separate`);
  return { forwardDifference, gradientError, learnt, seconds };
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
