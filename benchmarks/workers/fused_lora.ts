/**
 * Our side of the comparisons, as a process of its own: its
 * memory and event loop are those of training alone.
 * The calls that it answers: lib/protocol.ts.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  addAdapter,
  CLASSIFIER_ONLY,
  type EncodedExample,
  loadAdapter,
  loadModel,
  type Plan,
  Program,
  packBatch,
  plan,
  saveAdapter,
  saveModel,
  type TaskModel,
  trace,
} from '../../src';
import type { Batch } from '../../src/data/batch/batch';
import { positionsOf } from '../../src/data/batch/sources';
import type { BaseWeights, EmbeddingWeights } from '../../src/graph/base_weights';
import { opByName } from '../../src/graph/ops/registry';
import type { Node } from '../../src/graph/value';
import { native } from '../../src/native';
import { groupParameters, type ParameterGroups } from '../../src/train/parameter_groups';
import type { TokenBatch } from '../lib/batches';
import { summarize } from '../lib/measure';
import { type Precision, planOptions } from '../lib/precision';
import type {
  Costs,
  LoadArguments,
  LoadResult,
  PredictionProfile,
  PredictResult,
  ProfileResult,
  TrainArguments,
  TrainResult,
} from '../lib/protocol';
import { serve } from '../lib/serve';

interface Training {
  program: Program;
  groups: ParameterGroups;
}

let model: TaskModel;
let method: LoadArguments['method'];
let fused = true;
let precision: Precision = 'fp32';
let baseWeights: BaseWeights = 'fp32';
let embeddingWeights: EmbeddingWeights = 'fp32';
let batches: Batch[] = [];
/** Programs with and without dropout, and for predictions; built at first use. */
const trainings = new Map<boolean, Training>();
let prediction: Program | undefined;
let step = 0;

function load({ folder, adapter, ...options }: LoadArguments): LoadResult {
  const started = performance.now();
  method = options.method;
  fused = options.fused ?? true;
  precision = options.precision ?? 'fp32';
  baseWeights = options.baseWeights ?? 'fp32';
  embeddingWeights = options.embeddingWeights ?? 'fp32';
  model = loadModel(folder).model;
  if (method === 'lora') loadAdapter(model, adapter as string, { trainable: true });
  else if (method === 'head') addAdapter(model, { pattern: CLASSIFIER_ONLY });
  else model.requiresGrad_(method === 'full');
  const count = (parameters: { count: number }[]) => parameters.reduce((sum, p) => sum + p.count, 0);
  return {
    parameters: count(model.parameters()),
    learnable: count(model.parameters().filter((p) => p.requiresGrad)),
    seconds: (performance.now() - started) / 1000,
  };
}

function setBatches({ batches: given }: { batches: TokenBatch[] }): void {
  batches = given.map((batch) => {
    const examples = batch.map(
      ({ ids, label }): EncodedExample => ({
        inputIds: Int32Array.from(ids),
        tokenTypeIds: new Int32Array(ids.length),
        label,
      }),
    );
    const indices = Int32Array.from(examples, (_, i) => i);
    return packBatch(examples, indices, positionsOf(model));
  });
}

function training(dropout: boolean, learningRate: number): Training {
  let found = trainings.get(dropout);
  if (!found) {
    const program = new Program(planOf(dropout), { backend: 'cpu' });
    found = { program, groups: groupParameters(program.plan.trained, { learningRate }) };
    trainings.set(dropout, found);
  }
  return found;
}

const planOf = (dropout: boolean): Plan =>
  plan(
    trace(model, { training: dropout, loss: true }),
    planOptions(precision, { train: true, fused, baseWeights, embeddingWeights }),
  );

async function trainStep({ program, groups }: Training, index: number, learningRate: number): Promise<number> {
  await program.accumulate(batches[index] as Batch, { forwardNumber: step, zeroGradients: true });
  const loss = program.scalar('loss');
  const { applied } = await program.apply({
    groups: groups.groups.map((group) => ({ ...group, learningRate })),
    groupOf: (parameter) => groups.groupOf.get(parameter) as number,
    step: ++step,
    maxGradNorm: 1,
  });
  if (!applied) throw new Error(`step ${step}: the loss ${loss} or its gradient is not finite`);
  return loss;
}

async function train(options: TrainArguments): Promise<TrainResult> {
  const used = training(options.dropout, options.learningRate);
  const losses: number[] = [];
  // 1 ms: what is above it is delay.
  const delay = options.eventLoop ? monitorEventLoopDelay({ resolution: 1 }) : undefined;
  delay?.enable();
  const started = performance.now();
  for (const index of options.steps) losses.push(await trainStep(used, index, options.learningRate));
  const seconds = (performance.now() - started) / 1000;
  delay?.disable();
  const milliseconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - 1);
  return {
    seconds,
    losses,
    ...(delay && {
      eventLoopDelay: {
        p50: milliseconds(delay.percentile(50)),
        p99: milliseconds(delay.percentile(99)),
        max: milliseconds(delay.max),
      },
    }),
  };
}

/**
 * Where the time of whole steps on one batch goes,
 * instruction by instruction, as they follow each other.
 */
async function profile({ index, rounds }: { index: number; rounds: number }): Promise<ProfileResult> {
  const learningRate = 1e-5;
  const used = training(true, learningRate);
  const { program } = used;
  const { sizes } = batches[index] as Batch;
  await trainStep(used, index, learningRate);
  program.takeTimings();
  const taken: ReturnType<Program['takeTimings']>[] = [];
  const steps: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    await trainStep(used, index, learningRate);
    steps.push((performance.now() - started) / 1000);
    taken.push(program.takeTimings());
  }
  const median = (samples: number[]) => summarize(samples).median;
  return {
    instructions: program.plan.instructions.map((node, i) => {
      const spec = opByName(node.op);
      return {
        op: node.op,
        seconds: median(taken.map(({ instructions }) => instructions[i]?.seconds as number)),
        flops: spec.flops(node, sizes),
        bytes: spec.bytes(node, sizes),
      };
    }),
    optimizer: median(taken.map(({ optimizer }) => optimizer)),
    step: median(steps),
  };
}

function predictionProgram(): Program {
  prediction ??= new Program(
    plan(
      trace(model, { training: false, loss: false }),
      planOptions(precision, { train: false, baseWeights, embeddingWeights }),
    ),
    { backend: 'cpu' },
  );
  return prediction;
}

/** Part of a prediction that an instruction belongs to: lib/predict_profile.ts. */
function partOf({ op, inputs, outputs }: Node): string {
  if (/linear/i.test(op)) return `${inputs[0]?.features} → ${outputs[0]?.features}`;
  if (/attention/i.test(op)) return 'attention';
  if (/norm/i.test(op)) return 'LayerNorm';
  return /embedding/i.test(op) ? 'embeddings' : op;
}

async function profilePrediction({ index, runs }: { index: number; runs: number }): Promise<PredictionProfile> {
  const program = predictionProgram();
  await program.forward(batches[index] as Batch);
  program.takeTimings();
  const taken: PredictionProfile['runs'] = [];
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    await program.forward(batches[index] as Batch);
    const seconds = (performance.now() - started) / 1000;
    const parts: Record<string, number> = {};
    for (const { node, seconds: one } of program.takeTimings().instructions) {
      parts[partOf(node)] = (parts[partOf(node)] ?? 0) + one;
    }
    taken.push({ seconds, parts });
  }
  return { runs: taken };
}

async function predict({ steps }: { steps: number[] }): Promise<PredictResult> {
  const program = predictionProgram();
  const logits: number[][] = [];
  const started = performance.now();
  for (const index of steps) {
    await program.forward(batches[index] as Batch);
    logits.push([...(program.read('logits') as Float32Array)]);
  }
  return { seconds: (performance.now() - started) / 1000, logits };
}

/** What the plan says of these batches: arithmetic and memory. */
function costs({ dropout }: { dropout: boolean }): Costs[] {
  const planned = planOf(dropout);
  return batches.map(({ sizes }) => ({
    flops: planned.flops(sizes),
    savedBytes: planned.savedBytes(sizes),
    arenaBytes: planned.peakBytes(sizes),
    optimizerBytes: planned.optimizerBytes,
  }));
}

function save({ folder }: { folder: string }): void {
  if (method === 'full') saveModel(model, folder);
  else saveAdapter(model, folder);
}

serve({
  info: () => ({ ...native().info(), node: process.versions.node }),
  threads: ({ count }: { count: number }) => native().setThreads(count),
  load,
  batches: setBatches,
  train,
  predict,
  profile,
  profilePrediction,
  costs,
  save,
  /** Resident at most so far. */
  peakBytes: () => 1024 * process.resourceUsage().maxRSS,
});
