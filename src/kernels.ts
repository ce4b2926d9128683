/**
 * The kernels by themselves, without modules, graphs or
 * models: `import { loraLinear } from 'fused-lora/kernels'`.
 * The ops behind them, in graphs and with gradients: src/graph/ops.
 *
 * Operands are typed arrays with their shape, or device tensors, which stay where the kernel reads
 * them (frozen weights are packed once). Storage is PEFT's: x [T, K], weight [N, K], A [r, K], B
 * [N, r], row-major fp32. All calls run off the event loop.
 */
import { isFloat32Array } from 'node:util/types';
import { FusedLoraError } from './base/errors';
import { checkKeys } from './base/options';
import type { BaseWeights } from './graph/base_weights';
import type { Precision } from './graph/precision';
import { type NativeParameter, type NativeTensor, native, wrapNativeError } from './native';

export type { Precision };
/** Where a kernel runs: `reference` is float64 inside, naive and slow, to compare with. */
export type KernelBackend = 'cpu' | 'cuda' | 'reference';
/** f in y = f(x Wᵀ + b). */
export type Activation = 'none' | 'gelu' | 'geluTanh' | 'relu' | 'tanh';

/** fp32 values with their shape, [n] or [rows, columns], row-major. */
export interface HostTensor {
  data: Float32Array;
  shape: readonly number[];
}

/** What a kernel takes: values here, or values in the device's memory. */
export type KernelTensor = HostTensor | DeviceTensor;

/** Values in the device's memory, for calls that follow one another and for timings. */
export class DeviceTensor {
  /** @internal */
  readonly handle: NativeParameter;
  readonly backend: KernelBackend;
  /** [n] or [rows, columns]; it can not be changed. */
  readonly shape: readonly number[];

  /**
   * @param shape [n] or [rows, columns].
   * @param values default: zeros.
   */
  constructor(backend: KernelBackend, shape: readonly number[], values?: Float32Array) {
    this.backend = backend;
    this.shape = Object.freeze(dimensions('a device tensor', shape));
    this.handle = guarded(() => new (native().Parameter)(backend, 'tensor', [...this.shape], 'f32'));
    this.write(values ?? zeros(...this.shape).data);
  }

  /** Replaces all values. */
  write(values: Float32Array): void {
    guarded(() => this.handle.write('value', values));
  }

  /** A copy of the values. */
  read(): Float32Array {
    return guarded(() => this.handle.read('value'));
  }

  /** Frees the memory; a later use of the tensor is an error. */
  dispose(): void {
    this.handle.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What all kernels take beside their operands. */
export interface KernelOptions {
  /** Default cpu. Device tensors must be on it. */
  backend?: KernelBackend;
  /**
   * bf16: the operands of every product are rounded to bf16 (nearest, ties to even) and summed in
   * fp32; what goes in and comes out is fp32. Default fp32.
   */
  precision?: Precision;
  /**
   * How `weight` is held and multiplied: see docs/quantised-weights.md. It is quantised at every
   * call, unless it is a device tensor. Default fp32.
   */
  baseWeights?: BaseWeights;
}

/** Operands of {@link linear}. */
export interface LinearArguments {
  /** [T, K] */
  x: KernelTensor;
  /** [N, K] */
  weight: KernelTensor;
  /** [N] */
  bias?: KernelTensor | undefined;
  /** [T, N], added after the activation. */
  residual?: KernelTensor | undefined;
  /** Default none. */
  activation?: Activation | undefined;
  /** [T, N] where the result goes. Default: a new host tensor. */
  y?: KernelTensor | undefined;
}

/** Operands of {@link loraLinear}. */
export interface LoraLinearArguments extends LinearArguments {
  /** [r, K], r in 1..256 */
  A: KernelTensor;
  /** [N, r] */
  B: KernelTensor;
  /** s = alpha / r, or alpha / √r. */
  scaling: number;
  /** [T, r] where u = s · x Aᵀ goes, which the backward pass reads. Default: a new host tensor. */
  u?: KernelTensor | undefined;
  /** One op (true, the default), or the five that a layer without fusion runs. */
  fused?: boolean | undefined;
}

/** Operands of {@link loraLinearBackward}. */
export interface LoraLinearBackwardArguments {
  /** [T, N] */
  dy: KernelTensor;
  /** [T, K] */
  x: KernelTensor;
  /** [T, r], from the forward pass. */
  u: KernelTensor;
  /** [N, K] */
  weight: KernelTensor;
  /** [r, K] */
  A: KernelTensor;
  /** [N, r] */
  B: KernelTensor;
  scaling: number;
  /** [T, K] where dx goes; null: it is not needed. Default: a new host tensor. */
  dx?: KernelTensor | null | undefined;
  /** [r, K], added to. Default: a new host tensor of zeros. */
  dA?: KernelTensor | undefined;
  /** [N, r], added to. Default: a new host tensor of zeros. */
  dB?: KernelTensor | undefined;
  /** One op (true, the default), or the seven that a layer without fusion runs. */
  fused?: boolean | undefined;
}

/** Seconds of the op itself, measured natively: what JavaScript and copies cost is left out. */
export interface Timed {
  seconds: number;
}

const OPTION_KEYS: Record<keyof KernelOptions, true> = { backend: true, precision: true, baseWeights: true };
const LINEAR_KEYS: Record<keyof LinearArguments, true> = {
  x: true,
  weight: true,
  bias: true,
  residual: true,
  activation: true,
  y: true,
};
const LORA_KEYS: Record<keyof LoraLinearArguments, true> = {
  ...LINEAR_KEYS,
  A: true,
  B: true,
  scaling: true,
  u: true,
  fused: true,
};
const BACKWARD_KEYS: Record<keyof LoraLinearBackwardArguments, true> = {
  dy: true,
  x: true,
  u: true,
  weight: true,
  A: true,
  B: true,
  scaling: true,
  dx: true,
  dA: true,
  dB: true,
  fused: true,
};

const STEP = { seed: 0n, forwardNumber: 0, lossScale: 1 };

function checkScaling(scaling: number): void {
  if (!Number.isFinite(scaling)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `scaling is ${scaling}; it must be a number, alpha / r as a rule`);
  }
}

function guarded<R>(call: () => R): R {
  try {
    return call();
  } catch (error) {
    throw wrapNativeError(error);
  }
}

/** A copy of a shape, each dimension read once. */
function dimensions(name: string, shape: readonly number[]): number[] {
  const rank = Array.isArray(shape) ? shape.length : 0;
  if (rank !== 1 && rank !== 2) {
    const what = Array.isArray(shape) ? `has ${rank} dimensions` : 'has no shape';
    throw new FusedLoraError('INVALID_SHAPE', `${name} ${what}; a shape is [n] or [rows, columns]`);
  }
  const copy = rank === 1 ? [shape[0]!] : [shape[0]!, shape[1]!];
  if (!copy.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `${name} is [${copy.map(String).join(', ')}]; dimensions are whole numbers from 0 on`,
    );
  }
  return copy;
}

function zeros(...shape: number[]): HostTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  try {
    return { data: new Float32Array(count), shape };
  } catch (cause) {
    throw new FusedLoraError('OUT_OF_MEMORY', `could not get memory for a result of [${shape.join(', ')}]`, { cause });
  }
}

/** An operand as it was when it was given: the caller may change his later. */
interface Operand {
  readonly shape: readonly number[];
  readonly value: NativeTensor | NativeParameter;
}

/** Reads each property once. What the op expects of the shape is checked by the op. */
function operand(name: string, tensor: KernelTensor): Operand {
  if (tensor instanceof DeviceTensor) return { shape: tensor.shape, value: tensor.handle };
  if (typeof tensor !== 'object' || tensor === null) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${name} is ${tensor === undefined ? 'missing' : String(tensor)}; give { data: Float32Array, shape } or a DeviceTensor`,
    );
  }
  const { data, shape: given } = tensor;
  const shape = dimensions(name, given);
  if (!isFloat32Array(data)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `${name} of shape [${shape.join(', ')}] has no Float32Array as data`);
  }
  // Before a result of that size is made. A product beyond 2^53 is no length of an array.
  if (data.length !== shape.reduce((product, size) => product * size, 1)) {
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `${name} holds ${data.length} values, its shape is [${shape.join(', ')}]`,
    );
  }
  return { shape, value: { data, shape } };
}

function optional(name: string, tensor: KernelTensor | undefined): Operand | undefined {
  return tensor === undefined ? undefined : operand(name, tensor);
}

function matrix(name: string, tensor: KernelTensor): Operand & { rows: number; columns: number } {
  const taken = operand(name, tensor);
  const [rows, columns] = taken.shape;
  if (rows === undefined || columns === undefined) {
    throw new FusedLoraError('INVALID_SHAPE', `${name} is [${taken.shape.join(', ')}]; it must have two dimensions`);
  }
  return { ...taken, rows, columns };
}

class Runner {
  seconds = 0;

  private readonly backend: KernelBackend;
  /** Attributes of products, and of those with `weight`. */
  readonly precision: { precision: Precision };
  readonly base: { precision: Precision; baseWeights: BaseWeights };

  constructor(options: KernelOptions) {
    checkKeys('options of a kernel', options, OPTION_KEYS);
    const { backend = 'cpu', precision = 'fp32', baseWeights = 'fp32' } = options;
    this.backend = backend;
    this.precision = { precision };
    this.base = { precision, baseWeights };
  }

  async run(
    op: string,
    inputs: (Operand | undefined)[],
    outputs: (Operand | undefined)[],
    attributes: Record<string, number | string> = {},
  ): Promise<void> {
    const values = (operands: (Operand | undefined)[]) => operands.map((taken) => taken?.value);
    try {
      const seconds = await native().runOp(this.backend, op, values(inputs), values(outputs), attributes, STEP);
      this.seconds += seconds;
    } catch (error) {
      throw wrapNativeError(error);
    }
  }
}

/** y = f(x Wᵀ + b) + residual. */
export async function linear(args: LinearArguments, options: KernelOptions = {}): Promise<{ y: KernelTensor } & Timed> {
  checkKeys('linear', args, LINEAR_KEYS);
  const { activation = 'none', ...given } = args;
  const x = matrix('x', given.x);
  const weight = matrix('weight', given.weight);
  const bias = optional('bias', given.bias);
  const residual = optional('residual', given.residual);
  const y = given.y ?? zeros(x.rows, weight.rows);
  const runner = new Runner(options);
  await runner.run('linear', [x, weight, bias, residual], [operand('y', y)], { activation, ...runner.base });
  return { y, seconds: runner.seconds };
}

/**
 * The LoRA linear layer: u = s · x Aᵀ, y = f(x Wᵀ + b + u Bᵀ) + residual. With B = 0 it gives what
 * {@link linear} gives, bit for bit.
 *
 * @throws FusedLoraError INVALID_SHAPE or INVALID_ARGUMENT naming the operand.
 */
export async function loraLinear(
  args: LoraLinearArguments,
  options: KernelOptions = {},
): Promise<{ y: KernelTensor; u: KernelTensor } & Timed> {
  checkKeys('loraLinear', args, LORA_KEYS);
  const { scaling, activation = 'none', fused = true, ...given } = args;
  checkScaling(scaling);
  const x = matrix('x', given.x);
  const weight = matrix('weight', given.weight);
  const A = matrix('A', given.A);
  const B = matrix('B', given.B);
  const bias = optional('bias', given.bias);
  const residual = optional('residual', given.residual);
  const results = { y: given.y ?? zeros(x.rows, weight.rows), u: given.u ?? zeros(x.rows, A.rows) };
  const y = operand('y', results.y);
  const u = operand('u', results.u);
  const runner = new Runner(options);
  const { precision, base } = runner;
  if (fused) {
    await runner.run('loraLinear', [x, weight, bias, A, B, residual], [y, u], { scaling, activation, ...base });
  } else {
    const low = operand('y', zeros(x.rows, weight.rows));
    await runner.run('linear', [x, weight, bias], [y], base);
    await runner.run('linear', [x, A], [u], precision);
    await runner.run('scale', [u], [u], { factor: scaling });
    await runner.run('linear', [u, B], [low], precision);
    await runner.run('add', [y, low], [y]);
    if (activation !== 'none') await runner.run('activation', [y], [y], { activation });
    if (residual) await runner.run('add', [y, residual], [y]);
  }
  return { ...results, seconds: runner.seconds };
}

/**
 * Gradients of {@link loraLinear} without activation, weight
 * frozen: v = s · dy B, dx = dy W + v A, dA += vᵀ x, dB += dyᵀ u.
 *
 * @throws FusedLoraError INVALID_SHAPE or INVALID_ARGUMENT naming the operand.
 */
export async function loraLinearBackward(
  args: LoraLinearBackwardArguments,
  options: KernelOptions = {},
): Promise<{ dx: KernelTensor | undefined; dA: KernelTensor; dB: KernelTensor } & Timed> {
  checkKeys('loraLinearBackward', args, BACKWARD_KEYS);
  const { scaling, fused = true, ...given } = args;
  checkScaling(scaling);
  const x = matrix('x', given.x);
  const A = matrix('A', given.A);
  const B = matrix('B', given.B);
  const dy = operand('dy', given.dy);
  const u = operand('u', given.u);
  const results = {
    dx: given.dx === null ? undefined : (given.dx ?? zeros(x.rows, x.columns)),
    dA: given.dA ?? zeros(A.rows, x.columns),
    dB: given.dB ?? zeros(B.rows, A.rows),
  };
  const weight = results.dx && operand('weight', given.weight);
  const dx = optional('dx', results.dx);
  const dA = operand('dA', results.dA);
  const dB = operand('dB', results.dB);
  const runner = new Runner(options);
  const { precision, base } = runner;
  if (fused) {
    await runner.run('loraLinearBackward', [dy, x, u, weight, A, B], [dx, dA, dB], { scaling, ...base });
  } else {
    const v = operand('v', zeros(x.rows, A.rows));
    await runner.run('linearBackwardInput', [dy, B], [v], precision);
    await runner.run('scale', [v], [v], { factor: scaling });
    if (dx) {
      const low = operand('dx', zeros(x.rows, x.columns));
      await runner.run('linearBackwardInput', [dy, weight], [dx], base);
      await runner.run('linearBackwardInput', [v, A], [low], precision);
      await runner.run('add', [dx, low], [dx]);
    }
    await runner.run('linearBackwardWeight', [v, x], [dA], precision);
    await runner.run('linearBackwardWeight', [dy, u], [dB], precision);
  }
  return { ...results, seconds: runner.seconds };
}
