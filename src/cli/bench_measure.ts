/**
 * Measurements of `fused-lora bench`: sides take turns, so that a drift of the machine's speed
 * meets both alike. What is said of them is made in bench.ts.
 */
import { FusedLoraError } from '../base/errors';
import { sourceOf } from '../data/batch/sources';
import { plan } from '../graph/plan';
import type { Precision } from '../graph/precision';
import { Program } from '../graph/program';
import { DeviceTensor, linear, loraLinear, loraLinearBackward } from '../kernels';
import { addAdapter } from '../lora';
import { createModel } from '../models';
import { trace } from '../nn';

export interface BenchSettings {
  tokens: number;
  r: number;
  hiddenSize: number;
  rounds: number;
  backend: 'cpu' | 'cuda';
  precision: Precision;
  signal: AbortSignal;
}

export interface LayerComparison {
  inFeatures: number;
  outFeatures: number;
  pass: 'forward' | 'backward';
  /** Seconds, medians. */
  fused: number;
  separate: number;
  /** The layer without an adapter; forward alone. */
  linear?: number;
  /** Medians of the ratios round by round. */
  speedup: number;
  overLinear?: number;
}

export interface StepComparison {
  layers: number;
  sequences: number;
  length: number;
  fused: number;
  separate: number;
  speedup: number;
}

const SCALING = 2;
/**
 * Layers of the encoder whose step is measured: enough for what a layer costs, few enough for a
 * minute.
 */
const LAYERS = 2;
const LENGTH = 64;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(at)] as number) + (sorted[Math.ceil(at)] as number)) / 2;
}

/** Seconds of every side in every round; the first round is not counted. */
async function inTurns<K extends string>(
  sides: Record<K, () => Promise<number>>,
  { rounds, signal }: BenchSettings,
): Promise<Record<K, number[]>> {
  const names = Object.keys(sides) as K[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      if (signal.aborted) throw new FusedLoraError('ABORTED', 'stopped', { cause: signal.reason });
      const seconds = await sides[name]();
      if (round >= 0) samples[name].push(seconds);
    }
  }
  return samples;
}

const ratio = (over: readonly number[], under: readonly number[]) =>
  median(over.map((seconds, i) => seconds / (under[i] as number)));

/** Values of no meaning that are the same in every run: no speed depends on them. */
function filled(count: number, scale: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => scale * Math.sin(i + 1));
}

/** The linears of an encoder layer, forward and backward. */
export async function compareLayers(settings: BenchSettings): Promise<LayerComparison[]> {
  const { tokens: T, r, hiddenSize: H, backend, precision } = settings;
  const results: LayerComparison[] = [];
  for (const [K, N] of [
    [H, H],
    [H, 4 * H],
    [4 * H, H],
  ] as const) {
    const tensors: DeviceTensor[] = [];
    const tensor = (shape: number[], scale = 0.1) => {
      const values = filled(
        shape.reduce((a, b) => a * b, 1),
        scale,
      );
      const made = new DeviceTensor(backend, shape, values);
      tensors.push(made);
      return made;
    };
    const [x, weight, bias, A, B] = [tensor([T, K], 1), tensor([N, K]), tensor([N]), tensor([r, K]), tensor([N, r])];
    const [y, u, dy, dx, dA, dB] = [
      tensor([T, N]),
      tensor([T, r]),
      tensor([T, N]),
      tensor([T, K]),
      tensor([r, K]),
      tensor([N, r]),
    ];
    const layer = { x, weight, bias, A, B, scaling: SCALING, y, u };
    const gradients = { dy, x, u, weight, A, B, scaling: SCALING, dx, dA, dB };
    const options = { backend, precision };
    const forward = await inTurns(
      {
        fused: async () => (await loraLinear(layer, options)).seconds,
        separate: async () => (await loraLinear({ ...layer, fused: false }, options)).seconds,
        linear: async () => (await linear({ x, weight, bias, y }, options)).seconds,
      },
      settings,
    );
    const backward = await inTurns(
      {
        fused: async () => (await loraLinearBackward(gradients, options)).seconds,
        separate: async () => (await loraLinearBackward({ ...gradients, fused: false }, options)).seconds,
      },
      settings,
    );
    const shared = { inFeatures: K, outFeatures: N };
    results.push({
      ...shared,
      pass: 'forward',
      fused: median(forward.fused),
      separate: median(forward.separate),
      linear: median(forward.linear),
      speedup: ratio(forward.separate, forward.fused),
      overLinear: ratio(forward.fused, forward.linear),
    });
    results.push({
      ...shared,
      pass: 'backward',
      fused: median(backward.fused),
      separate: median(backward.separate),
      speedup: ratio(backward.separate, backward.fused),
    });
    for (const one of tensors) one.dispose();
  }
  return results;
}

/**
 * A whole step (forward, backward, AdamW) of a small encoder of the given width, adapters on all
 * its linears.
 */
export async function compareSteps(settings: BenchSettings): Promise<StepComparison> {
  const { hiddenSize, tokens, r, backend, precision, signal } = settings;
  const config = {
    model_type: 'roberta',
    vocab_size: 1024,
    hidden_size: hiddenSize,
    num_hidden_layers: LAYERS,
    num_attention_heads: hiddenSize / 64,
    intermediate_size: 4 * hiddenSize,
    max_position_embeddings: 514,
    type_vocab_size: 1,
    pad_token_id: 1,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    layer_norm_eps: 1e-5,
  };
  const model = createModel(config, { task: 'sequence-classification', numLabels: 2 });
  addAdapter(model, { r, loraAlpha: SCALING * r, targetModules: 'all-linear' });
  const sequences = Math.max(1, Math.round(tokens / LENGTH));
  const example = {
    inputIds: Int32Array.from({ length: LENGTH }, (_, t) => 3 + t),
    tokenTypeIds: new Int32Array(LENGTH),
    label: 0,
  };
  const source = sourceOf(model, new Array(sequences).fill(example), { batchSize: sequences });
  const batch = source.epoch(0).at(0);
  const program = (fused: boolean) =>
    new Program(plan(trace(model, { training: true }), { train: true, fused, precision }), { backend });
  using fusedProgram = program(true);
  using separateProgram = program(false);
  const group = { learningRate: 0, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
  let step = 0;
  const timed = (one: Program) => async () => {
    const began = performance.now();
    await one.accumulate(batch, { seed: 0n, forwardNumber: step, zeroGradients: true, signal });
    await one.apply({ groups: [group], groupOf: () => 0, step: ++step, maxGradNorm: 1 });
    return (performance.now() - began) / 1000;
  };
  const { fused, separate } = await inTurns({ fused: timed(fusedProgram), separate: timed(separateProgram) }, settings);
  model.dispose();
  return {
    layers: LAYERS,
    sequences,
    length: LENGTH,
    fused: median(fused),
    separate: median(separate),
    speedup: ratio(separate, fused),
  };
}
