/**
 * Initial values of parameters: a function of (seed, parameter path) alone, so that a model is the
 * same whatever else it holds and in whatever order it was built. They are made when they are read:
 * a model that is only counted, or that a checkpoint fills, costs nothing.
 * Values from files take their place in src/models/weights.ts.
 */
import { createHash } from 'node:crypto';
import { keyOfSeed, philox } from '../base/philox';
import { Parameter, type ParameterSource } from '../graph/parameter';

/**
 * How a parameter starts.
 *
 * normal: N(0, std²), with the row `zeroRow` (the padding
 * embedding) zero. uniform: U(-bound, bound). constant: all equal.
 */
export type Initializer =
  | { kind: 'normal'; std: number; zeroRow?: number | undefined }
  | { kind: 'uniform'; bound: number }
  | { kind: 'constant'; value: number };

const TWO_PI = 2 * Math.PI;
const UNIT = 2 ** -32;

/**
 * Random words of (seed, path): counter = (block, 0, hash of the path), key = seed. `take` gets the
 * index of each block's first value.
 */
function forEachBlock(count: number, seed: number, path: string, words: Uint32Array, take: (i: number) => void): void {
  const hash = createHash('sha256').update(path).digest();
  const [h0, h1] = [hash.readUInt32LE(0), hash.readUInt32LE(4)];
  const [k0, k1] = keyOfSeed(seed);
  for (let i = 0; i < count; i += 4) {
    philox(i / 4, 0, h0, h1, k0, k1, words);
    take(i);
  }
}

/**
 * Box and Muller: two uniform numbers in (0, 1) give two normal
 * ones. Writes past the end of a typed array are dropped.
 */
function fillNormal(values: Float32Array, std: number, seed: number, path: string): void {
  const words = new Uint32Array(4);
  forEachBlock(values.length, seed, path, words, (i) => {
    for (let j = 0; j < 4; j += 2) {
      const radius = std * Math.sqrt(-2 * Math.log((words[j]! + 0.5) * UNIT));
      const angle = TWO_PI * (words[j + 1]! + 0.5) * UNIT;
      values[i + j] = radius * Math.cos(angle);
      values[i + j + 1] = radius * Math.sin(angle);
    }
  });
}

function fillUniform(values: Float32Array, bound: number, seed: number, path: string): void {
  const words = new Uint32Array(4);
  forEachBlock(values.length, seed, path, words, (i) => {
    for (let j = 0; j < 4; j++) values[i + j] = bound * ((words[j]! + 0.5) * UNIT * 2 - 1);
  });
}

/**
 * The initial values of a parameter.
 *
 * @param shape [n] or [rows, columns].
 * @param seed an integer from 0 to 2^53 - 1.
 * @param path of the parameter in its model.
 */
export function initialValues(
  initializer: Initializer,
  shape: readonly number[],
  seed: number,
  path: string,
): Float32Array {
  const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  switch (initializer.kind) {
    case 'constant':
      return values.fill(initializer.value);
    case 'uniform':
      fillUniform(values, initializer.bound, seed, path);
      return values;
    case 'normal': {
      const { std, zeroRow } = initializer;
      fillNormal(values, std, seed, path);
      const columns = shape[shape.length - 1]!;
      if (zeroRow !== undefined) values.fill(0, zeroRow * columns, (zeroRow + 1) * columns);
      return values;
    }
  }
}

/**
 * Values that are made at each read. Seed and path are fixed
 * once: a later change of the tree must not change them.
 */
class InitialSource implements ParameterSource {
  private fixed: { seed: number; path: string } | undefined;
  parameter!: Parameter;

  constructor(
    readonly initializer: Initializer,
    private readonly shape: readonly number[],
  ) {}

  get description(): string {
    return `initial values of ${this.fixed?.path ?? this.parameter.name}`;
  }

  fix(seed: number, path: string): void {
    this.fixed ??= { seed, path };
  }

  read(): Float32Array {
    this.fix(0, this.parameter.name);
    const { seed, path } = this.fixed as { seed: number; path: string };
    return initialValues(this.initializer, this.shape, seed, path);
  }
}

const sources = new WeakMap<Parameter, InitialSource>();

/**
 * A trainable parameter that starts as `initializer` says. Its seed and path come with
 * `fixInitialValues`, else at the first read (seed 0).
 */
export function initializedParameter(shape: readonly number[], initializer: Initializer): Parameter {
  const source = new InitialSource(initializer, shape);
  const parameter = new Parameter(shape, source);
  source.parameter = parameter;
  sources.set(parameter, source);
  return parameter;
}

/**
 * A parameter that starts as another one did, with a seed and path of its own.
 *
 * @param shape default: the same.
 * @returns undefined for one that was not made with initial values.
 */
export function startedAnew(parameter: Parameter, shape = parameter.shape): Parameter | undefined {
  const initializer = sources.get(parameter)?.initializer;
  return initializer && initializedParameter(shape, initializer);
}

/** Whether a parameter still has the values that it began with: nothing was loaded or trained. */
export function hasInitialValues(parameter: Parameter): boolean {
  return parameter.isAt(sources.get(parameter));
}

/**
 * Fixes seed and path of a parameter's initial values; the first
 * call counts, others and other parameters are left alone.
 */
export function fixInitialValues(parameter: Parameter, seed: number, path: string): void {
  sources.get(parameter)?.fix(seed, path);
}
