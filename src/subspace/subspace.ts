/**
 * A point in a random subspace of all weights of a model, theta = theta0 + P z (Aghajanyan et al.
 * 2020, arXiv 2012.13255): z, the factors of layers, and the weights that follow from them. P is
 * the op fastfood (native/ops/fastfood.h); it is trained by subspace_program.ts.
 */
import { createHash } from 'node:crypto';
import { FusedLoraError } from '../base/errors';
import { blockRows } from '../graph/ops/fastfood';
import { type BackendName, Parameter } from '../graph/parameter';
import { native, wrapNativeError } from '../native';
import type { Module } from '../nn';
import { checkSubspace, type SubspaceConfig } from './config';

/** A tensor of the model, and where it stands in P. */
interface Placed {
  parameter: Parameter;
  /** theta0, read when it is first needed. */
  base: Float32Array | undefined;
  /** Number of its first block of rows. */
  block: number;
  /** Number of its layer's factor. */
  gain: number;
}

const STEP = { seed: 0n, forwardNumber: 0, lossScale: 1 };

/** Values of each tensor that tell two models apart. */
const SAMPLES = 64;

/** What of a path tells its layer: `roberta.encoder.layer.3`, `roberta.embeddings`, … */
function layerOf(path: string): string {
  return (
    (/^.*\.layer\.\d+(?=\.)/.exec(path) ?? /^\w+\.(?:embeddings|pooler)(?=\.)/.exec(path) ?? /^\w+/.exec(path))?.[0] ??
    path
  );
}

export class Subspace {
  /** [d], or with factors [d - m]: where in the subspace the model is. */
  readonly z: Parameter;
  /** [m], a factor a layer; of DID undefined. */
  readonly gains: Parameter | undefined;
  private readonly tensors: Placed[] = [];
  /** Of theta0, from a sample of each tensor. */
  readonly checksum: string;
  private readonly scale: number;
  /** What the model's weights follow from. */
  private applied: Float32Array[] | undefined;

  /**
   * @param model whose values now are theta0, and keep their order of parameters.
   * @throws FusedLoraError INVALID_ARGUMENT where SAID has no more dimensions than layers.
   */
  constructor(
    model: Module,
    readonly config: SubspaceConfig,
  ) {
    checkSubspace(config);
    const { dimension, structure } = config;
    const named = model.namedParameters();
    const layers = [...new Set(named.map(([path]) => layerOf(path)))];
    const factors = structure === 'said' ? layers.length : 0;
    if (dimension <= factors) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `the subspace has ${dimension} dimensions, and with a factor for each of ${factors} layers (said) it needs ${factors + 1} at the least. ` +
          'Take more, or did.',
      );
    }
    const free = dimension - factors;
    this.z = new Parameter([free], new Float32Array(free), { name: 'subspace.z' });
    // Of a name whose values are not decayed: towards 0 they would take the layer out.
    this.gains =
      factors > 0
        ? new Parameter([factors], new Float32Array(factors).fill(1), { name: 'subspace.gains.bias' })
        : undefined;
    const rows = blockRows(free);
    let block = 0;
    for (const [path, parameter] of named) {
      this.tensors.push({ parameter, base: undefined, block, gain: layers.indexOf(layerOf(path)) });
      block += Math.ceil(parameter.count / rows);
    }
    const hash = createHash('sha256');
    for (const [path, parameter] of named) {
      hash.update(`${path} ${parameter.shape.join('x')}\n`);
      hash.update(parameter.sample(Math.max(1, Math.ceil(parameter.count / SAMPLES))));
    }
    this.checksum = hash.digest('hex').slice(0, 16);
    // A step of Adam then moves a weight about as far as the same rate does without a subspace.
    this.scale = 1 / Math.sqrt(rows * free);
  }

  /** Weights, and layers of which SAID has a factor each. */
  static shapeOf(model: Module): { count: number; layers: number } {
    const named = model.namedParameters();
    const count = named.reduce((sum, [, parameter]) => sum + parameter.count, 0);
    return { count, layers: new Set(named.map(([path]) => layerOf(path))).size };
  }

  /** What is learnt: z, and the factors. */
  get trained(): Parameter[] {
    return this.gains ? [this.z, this.gains] : [this.z];
  }

  /** Number of weights. */
  get count(): number {
    return this.tensors.reduce((sum, { parameter }) => sum + parameter.count, 0);
  }

  /** The tensors of theta. */
  get parameters(): Parameter[] {
    return this.tensors.map(({ parameter }) => parameter);
  }

  /** Gives the model the weights of z and the factors as they are now, where it has others. */
  async materialize(backend: BackendName): Promise<void> {
    const now = this.trained.map((parameter) => parameter.data());
    if (this.applied?.every((values, i) => same(values, now[i] as Float32Array))) return;
    const [z, gains] = now as [Float32Array, Float32Array | undefined];
    for (const tensor of this.tensors) {
      tensor.base ??= tensor.parameter.data().slice();
      const y = new Float32Array(tensor.base.length);
      await this.run(backend, 'fastfood', tensor, [vector(z), row(tensor.base), gains && vector(gains)], [row(y)]);
      tensor.parameter.setData(y);
    }
    this.applied = now.map((values) => values.slice());
  }

  /**
   * From the gradient of each weight that of z and the factors, by the transpose of P.
   *
   * @param gradientOf of a tensor of theta.
   */
  async project(backend: BackendName, gradientOf: (parameter: Parameter) => Float32Array): Promise<Float32Array[]> {
    const [z, gains] = this.trained.map((parameter) => parameter.data()) as [Float32Array, Float32Array | undefined];
    const dz = new Float32Array(z.length);
    const dgains = gains && new Float32Array(gains.length);
    for (const tensor of this.tensors) {
      const inputs = [row(gradientOf(tensor.parameter)), vector(z), gains && vector(gains)];
      await this.run(backend, 'fastfoodBackward', tensor, inputs, [vector(dz), dgains && vector(dgains)]);
    }
    return dgains ? [dz, dgains] : [dz];
  }

  private async run(
    backend: BackendName,
    op: 'fastfood' | 'fastfoodBackward',
    { block, gain }: Placed,
    inputs: (ReturnType<typeof vector> | undefined)[],
    outputs: (ReturnType<typeof vector> | undefined)[],
  ): Promise<void> {
    const attributes = { seed: this.config.seed, block, scale: this.scale, ...(this.gains && { gain }) };
    try {
      await native().runOp(backend, op, inputs, outputs, attributes, STEP);
    } catch (error) {
      throw wrapNativeError(error);
    }
  }
}

const vector = (data: Float32Array) => ({ data, shape: [data.length] });
const row = (data: Float32Array) => ({ data, shape: [1, data.length] });

const same = (a: Float32Array, b: Float32Array) => a.length === b.length && a.every((value, i) => value === b[i]);
