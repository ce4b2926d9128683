/**
 * Whole models on a GPU: gradients against the float64 reference, a training run against the CPU's,
 * the same bits in a hundred runs, CUDA graphs against plain launches, programs and worker threads
 * side by side; in fp32, and RoBERTa in bf16 and on int8 and NF4 weights too. The last line is `N
 * passed, N failed`; exit code 1 where one failed. Needs no test runner, so that it runs where
 * there is Node alone.
 *
 *     whole_model [--small] [--runs N] [--steps N] [--only NAME] [--precision fp32|bf16|int8|nf4]
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  type BaseWeights,
  FusedLoraError,
  type Model,
  type Parameter,
  type Precision,
  Program,
  plan,
  trace,
} from '../../src';
import type { Batch } from '../../src/data/batch/batch';
import type { BackendName } from '../../src/graph/parameter';
import { native } from '../../src/native';
import { BASE, batchesOf, MODELS, type ModelKind, type ModelSize, SMALL } from './models';

const LEARNING_RATE = 1e-3;
/** For gradients in fp32: largest |g − g*| over max(max |g*|, 1e-3 · G). */
const GRADIENT_BOUND = 1e-4;
/**
 * For each gradient in bf16: its RMS error over the CPU's, which rounds at the same points and
 * which test/oracle/bf16.test.ts holds to PyTorch's autocast. Tensor cores cut sums off where the
 * CPU rounds them, so that now and then a value is rounded to bf16 the other way.
 */
const BF16_ERROR_BOUND = 1.5;
/**
 * For each gradient on int8 weights: its RMS difference from the CPU's over what int8 changes.
 * Where an activation lies between two codes, a last bit decides which it gets.
 */
const INT8_DIFFERENCE_BOUND = 0.1;
/** For losses of a run; in bf16 two and a half times its rounding unit of 2⁻⁸. */
const LOSS_BOUND = { fp32: 1e-3, bf16: 1e-2 } as const;

interface Settings {
  kind: ModelKind;
  size: ModelSize;
  precision: Precision;
  baseWeights: BaseWeights;
  steps: number;
  runs: number;
}

class Run {
  readonly model: Model;
  readonly program: Program;
  private step = 0;

  constructor(
    { kind, size, precision, baseWeights }: Settings,
    backend: BackendName,
    options: { cudaGraphs?: boolean; compute?: 'f64'; training?: boolean } = {},
  ) {
    const { training = true, ...rest } = options;
    this.model = MODELS[kind](size);
    const graph = trace(this.model, { training, loss: true });
    this.program = new Program(plan(graph, { train: true, precision, baseWeights }), { backend, ...rest });
  }

  async accumulate(batch: Batch, zeroGradients = true): Promise<void> {
    await this.program.accumulate(batch, { seed: 11n, forwardNumber: this.step, zeroGradients });
  }

  /** One optimizer step on these micro-batches. @returns the loss */
  async train(batches: readonly Batch[]): Promise<number> {
    for (const [i, batch] of batches.entries()) await this.accumulate(batch, i === 0);
    this.step++;
    const { applied, loss } = await this.program.apply({
      groups: [{ learningRate: LEARNING_RATE, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 }],
      groupOf: () => 0,
      step: this.step,
      maxGradNorm: 1,
    });
    if (!applied) throw new Error(`step ${this.step} was not applied: its loss is ${loss}`);
    return loss / batches.length;
  }

  gradients(): Map<string, Float32Array | Float64Array> {
    return new Map(this.program.plan.trained.map((p: Parameter) => [p.name, this.program.gradient(p)]));
  }

  /** Of the bits of all trained values, or gradients. */
  digest(of: 'values' | 'gradients'): string {
    const hash = createHash('sha256');
    for (const p of this.program.plan.trained) {
      const values = of === 'values' ? p.data() : this.program.gradient(p);
      hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    return hash.digest('hex');
  }

  dispose(): void {
    this.program.dispose();
    this.model.dispose();
  }
}

/** Disposed in every case. */
async function using<R>(runs: Run[], body: () => Promise<R>): Promise<R> {
  try {
    return await body();
  } finally {
    for (const run of runs) run.dispose();
  }
}

function largest(values: Float32Array | Float64Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

const rms = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);

async function gradientsAreAsGoodAsTheCpus(settings: Settings): Promise<string> {
  const truth = new Run({ ...settings, precision: 'fp32' }, 'reference', { compute: 'f64' });
  const cpu = new Run(settings, 'cpu');
  const gpu = new Run(settings, 'cuda');
  return using([truth, cpu, gpu], async () => {
    const [batch] = batchesOf(settings.size, 1) as [Batch];
    for (const run of [truth, cpu, gpu]) await run.accumulate(batch);
    const want = truth.gradients();
    const [ours, theirs] = [gpu.gradients(), cpu.gradients()];
    const floor = 1e-3 * Math.max(...[...want.values()].map(rms));
    let worst = 0;
    for (const [name, g] of want) {
      const errorOf = (found: ArrayLike<number>) =>
        rms(Array.from(found, (x, i) => x - (g[i] as number))) / Math.max(rms(g), floor);
      const [error, allowed] = [ours, theirs].map((all) => errorOf(all.get(name) as Float32Array)) as [number, number];
      // A gradient that cancels (a key bias) has rounding of fp32 alone.
      const ratio = error / Math.max(allowed, 1e-4);
      if (!(ratio <= BF16_ERROR_BOUND)) {
        throw new Error(
          `${name}: its relative RMS error is ${error.toExponential(1)}, ${allowed.toExponential(1)} on the CPU`,
        );
      }
      worst = Math.max(worst, ratio);
    }
    return `${want.size} gradients, largest RMS error ${worst.toFixed(2)} of the CPU's (${BF16_ERROR_BOUND} is allowed)`;
  });
}

async function gradientsAreNearTheCpus(settings: Settings): Promise<string> {
  const truth = new Run({ ...settings, baseWeights: 'fp32' }, 'cpu');
  const cpu = new Run(settings, 'cpu');
  const gpu = new Run(settings, 'cuda');
  return using([truth, cpu, gpu], async () => {
    const [batch] = batchesOf(settings.size, 1) as [Batch];
    for (const run of [truth, cpu, gpu]) await run.accumulate(batch);
    const [exact, ours] = [truth.gradients(), gpu.gradients()];
    let worst = 0;
    for (const [name, g] of cpu.gradients()) {
      const apart = (other: ArrayLike<number>) => rms(Array.from(g, (x, i) => x - (other[i] as number)));
      const [changed, differs] = [exact, ours].map((all) => apart(all.get(name) as Float32Array)) as [number, number];
      // What int8 does not reach (a bias behind it) differs by rounding alone.
      const ratio = differs / Math.max(changed, GRADIENT_BOUND * rms(g), Number.MIN_VALUE);
      if (!(ratio <= INT8_DIFFERENCE_BOUND)) {
        throw new Error(
          `${name}: an RMS difference of ${differs.toExponential(1)} from the CPU's, where int8 changes ${changed.toExponential(1)}`,
        );
      }
      worst = Math.max(worst, ratio);
    }
    return `${exact.size} gradients, largest RMS difference from the CPU's ${worst.toExponential(1)} of what int8 changes (${INT8_DIFFERENCE_BOUND} is allowed)`;
  });
}

async function gradientsMatchReference(settings: Settings): Promise<string> {
  if (settings.precision === 'bf16') return gradientsAreAsGoodAsTheCpus(settings);
  if (settings.baseWeights === 'int8') return gradientsAreNearTheCpus(settings);
  const truth = new Run(settings, 'reference', { compute: 'f64' });
  const gpu = new Run(settings, 'cuda');
  return using([truth, gpu], async () => {
    const [batch] = batchesOf(settings.size, 1) as [Batch];
    for (const run of [truth, gpu]) await run.accumulate(batch);
    const want = truth.gradients();
    const got = gpu.gradients();
    const G = Math.max(...[...want.values()].map(largest));
    let worst = 0;
    for (const [name, g] of want) {
      const found = got.get(name) as Float32Array;
      const scale = Math.max(largest(g), 1e-3 * G);
      for (let i = 0; i < g.length; i++) {
        const error = Math.abs((found[i] as number) - (g[i] as number)) / scale;
        if (!(error <= GRADIENT_BOUND)) {
          throw new Error(`${name}[${i}] is ${found[i]}, expected ${g[i]}: ${error.toExponential(1)} of its scale`);
        }
        worst = Math.max(worst, error);
      }
    }
    return `${want.size} gradients, largest error ${worst.toExponential(1)} of the scale (${GRADIENT_BOUND} is allowed)`;
  });
}

async function trainsLikeTheCpu(settings: Settings): Promise<string> {
  const cpu = new Run(settings, 'cpu');
  const gpu = new Run(settings, 'cuda');
  return using([cpu, gpu], async () => {
    const batches = batchesOf(settings.size, 8);
    const bound = LOSS_BOUND[settings.precision];
    let worst = 0;
    for (let step = 0; step < settings.steps; step++) {
      const batch = batches[step % batches.length] as Batch;
      const want = await cpu.train([batch]);
      const got = await gpu.train([batch]);
      const error = Math.abs(got - want) / Math.max(1, Math.abs(want));
      if (!(error <= bound)) throw new Error(`step ${step + 1}: the loss is ${got}, ${want} on the CPU`);
      worst = Math.max(worst, error);
    }
    return `${settings.steps} steps with dropout, largest difference of losses ${worst.toExponential(1)} (${bound} is allowed)`;
  });
}

async function sameBitsInEveryRun(settings: Settings): Promise<string> {
  const run = new Run(settings, 'cuda');
  return using([run], async () => {
    const [batch, other] = batchesOf(settings.size, 2) as [Batch, Batch];
    const digests = new Set<string>();
    for (let i = 0; i < settings.runs; i++) {
      // Now and then a batch of other sizes between: recordings and memory move.
      if (i % 10 === 9) await run.accumulate(other);
      await run.accumulate(batch);
      digests.add(`${run.program.scalar('loss')} ${run.digest('gradients')}`);
    }
    if (digests.size !== 1) throw new Error(`${digests.size} different results in ${settings.runs} runs`);
    return `${settings.runs} runs, the same loss and gradients bit for bit`;
  });
}

async function graphsChangeNothing(settings: Settings): Promise<string> {
  const graphs = new Run(settings, 'cuda');
  const plain = new Run(settings, 'cuda', { cudaGraphs: false });
  return using([graphs, plain], async () => {
    const batches = batchesOf(settings.size, 3);
    for (let step = 0; step < 20; step++) {
      const micro = [batches[step % 3], ...(step % 4 === 0 ? [batches[(step + 1) % 3]] : [])] as Batch[];
      const [a, b] = [await graphs.train(micro), await plain.train(micro)];
      if (a !== b) throw new Error(`step ${step + 1}: the loss is ${a} with graphs, ${b} without`);
    }
    if (graphs.digest('values') !== plain.digest('values')) throw new Error('the trained values differ');
    const { replayed, updated, made } = graphs.program.recordedSteps();
    const wanted = native().info().cuda.graphs;
    if (wanted && replayed === 0) throw new Error('no step was replayed');
    const how = wanted ? `${replayed} replayed, ${updated} updated, ${made} made` : 'graphs are off in this process';
    return `20 steps of three sizes, the same values bit for bit (${how})`;
  });
}

/** Trains for some steps in this thread; what workers do. */
async function trainAlone(settings: Settings): Promise<string> {
  const run = new Run(settings, 'cuda');
  return using([run], async () => {
    const batches = batchesOf(settings.size, 3);
    for (let step = 0; step < 6; step++) await run.train([batches[step % 3] as Batch]);
    return run.digest('values');
  });
}

function inWorker(settings: Settings): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: settings, execArgv: process.execArgv });
    worker.once('message', ({ digest, error }: { digest?: string; error?: string }) =>
      digest === undefined ? reject(new Error(error)) : resolve(digest),
    );
    worker.once('error', reject);
  });
}

async function programsAndThreadsShareTheDevice(settings: Settings): Promise<string> {
  const want = await trainAlone(settings);
  const digests = await Promise.all([
    trainAlone(settings),
    trainAlone(settings),
    inWorker(settings),
    inWorker(settings),
  ]);
  if (digests.some((digest) => digest !== want)) throw new Error('runs side by side give other values than one alone');
  return '2 programs in the main thread and 2 worker threads at once, the same values as one alone';
}

const CHECKS = {
  'gradients against the float64 reference': gradientsMatchReference,
  'training against the CPU': trainsLikeTheCpu,
  'the same bits in every run': sameBitsInEveryRun,
  'CUDA graphs against plain launches': graphsChangeNothing,
  'programs and threads on one device': programsAndThreadsShareTheDevice,
} as const;

const FORMS = {
  fp32: ['fp32', 'fp32'],
  bf16: ['bf16', 'fp32'],
  int8: ['fp32', 'int8'],
  nf4: ['fp32', 'nf4'],
} as const satisfies Record<string, readonly [Precision, BaseWeights]>;
type Form = keyof typeof FORMS;

/** Why this kind of model can not be tried, if so. */
function missing(settings: Settings): string | undefined {
  try {
    new Run(settings, 'cuda').dispose();
    return undefined;
  } catch (error) {
    if (error instanceof FusedLoraError && error.code === 'UNSUPPORTED') return error.message;
    throw error;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      small: { type: 'boolean', default: false },
      runs: { type: 'string', default: '100' },
      steps: { type: 'string', default: '50' },
      only: { type: 'string' },
      precision: { type: 'string' },
    },
  });
  const { cuda } = native().info();
  if (!cuda.available) {
    console.log(`skipped: ${cuda.reason}`);
    console.log('0 passed, 0 failed');
    return;
  }
  console.log(`on ${cuda.device}`);
  let [passed, failed] = [0, 0];
  const size = values.small ? SMALL : BASE;
  const variants: [ModelKind, Form][] = [
    ...(Object.keys(MODELS) as ModelKind[]).map((kind): [ModelKind, Form] => [kind, 'fp32']),
    ['RoBERTa', 'bf16'],
    ['RoBERTa', 'int8'],
    ['RoBERTa', 'nf4'],
  ];
  for (const [kind, form] of variants) {
    if (values.precision !== undefined && values.precision !== form) continue;
    const [precision, baseWeights] = FORMS[form];
    const numbers = { steps: Number(values.steps), runs: Number(values.runs) };
    const settings: Settings = { kind, size, precision, baseWeights, ...numbers };
    const reason = missing(settings);
    const title = `${kind} in ${form}`;
    if (reason !== undefined) {
      console.log(`skipped ${title}: ${reason}`);
      continue;
    }
    for (const [name, body] of Object.entries(CHECKS)) {
      if (values.only !== undefined && !name.includes(values.only)) continue;
      // What other forms of the weights change is the products.
      if (values.small && baseWeights !== 'fp32' && !/gradients|CPU/.test(name)) continue;
      const started = performance.now();
      try {
        const what = await body(settings);
        passed++;
        console.log(`ok ${title}, ${name}: ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
      } catch (error) {
        failed++;
        console.log(`FAILED ${title}, ${name}: ${(error as Error).message}`);
      }
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

if (isMainThread) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
} else {
  trainAlone(workerData as Settings).then(
    (digest) => parentPort?.postMessage({ digest }),
    (error: unknown) => parentPort?.postMessage({ error: String(error) }),
  );
}
