/** What fine-tuning would cost, before it is begun: arithmetic, memory, and time by a few steps on the spot. */
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import type { EncodedSource } from '../data/batch/encoded_source';
import { sourceOf } from '../data/batch/sources';
import type { ColumnOptions } from '../data/read/columns';
import { type LoadedData, loadExamples } from '../data/read/load';
import { chooseLabels, type TrainingData } from '../data/read/training_data';
import { encodeFor } from '../data/tokenize/encode_for_task';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import { loadTokenizer, type Tokenizer } from '../data/tokenize/tokenizer';
import { chooseDevice } from '../graph/device';
import { type Plan, plan as planGraph } from '../graph/plan';
import { choosePrecision, type Precision } from '../graph/precision';
import { Program } from '../graph/program';
import type { Sizes } from '../graph/value';
import type { HubOptions } from '../io/hub';
import { readJsonObject } from '../io/json';
import { type ParameterTable, parameterTable } from '../lora';
import { createModel, type TaskModel } from '../models';
import { trace } from '../nn';
import { flagTree } from '../nn/flag_tree';
import { DEFAULT_BATCH_SIZE, DEFAULT_LORA, FINE_TUNE_DEFAULTS, type FineTuneOptions } from './fine_tune';
import { applyMethod, nameOfMethod } from './method';
import { findModel } from './model_folder';
import { openTextModel } from './text_model';

export interface PlanTrainingOptions
  extends Pick<
    FineTuneOptions,
    | 'method'
    | 'lora'
    | 'task'
    | 'labelNames'
    | 'tokenizer'
    | 'maxLength'
    | 'device'
    | 'precision'
    | 'epochs'
    | 'maxSteps'
    | 'gradientAccumulation'
    | 'tokenBudget'
    | 'seed'
    | 'ignoreMismatchedSizes'
    | 'signal'
    | 'revision'
    | keyof ColumnOptions
    | keyof HubOptions
  > {
  /** A Hugging Face model folder, a name on the hub, or a config.json, whose weights are random. */
  model: string;
  /** The texts that lengths and numbers are taken from. Default: every text is as long as maxLength. */
  train?: FineTuneOptions['train'];
  /** Each is planned. Default: 8, 16 and 32. */
  batchSizes?: readonly number[];
  /** Seconds of steps with each batch size; 0: nothing is measured. Default 2. */
  measureSeconds?: number;
}

export interface PlannedBatch {
  batchSize: number;
  /** Tokens and sequences of the largest batch; T is what memory goes by. */
  largest: Sizes;
  /** Of a batch of mean size. */
  mean: Sizes;
  /** Of a batch of mean size; a multiply-add counts 2. */
  flops: { forward: number; backward: number };
  /** What the forward pass keeps for the backward pass, of the largest batch. */
  savedBytes: number;
  /** All values of the largest batch at their peak, what is saved among them. */
  arenaBytes: number;
  /** Arena, weights, gradients and the optimizer's state. The process itself takes some more. */
  peakBytes: number;
  /** Optimizer steps of the whole run; absent without data. */
  steps?: number;
  measured?: {
    /** Of an optimizer step, medians. */
    secondsPerStep: number;
    tokensPerSecond: number;
    /** 1e9 operations a second. */
    gflops: number;
    /** Of all steps, evaluation left out; absent without data. */
    secondsInAll?: number;
  };
}

export interface TrainingPlan {
  task: string;
  method: string;
  device: string;
  /** What products are computed in. */
  precision: Precision;
  /** The module tree with 0 and 1: see `flagTree`. */
  tree: string;
  parameters: ParameterTable;
  weightBytes: number;
  /** Gradients and AdamW's two moments. */
  optimizerBytes: number;
  /** The program, one line an instruction. */
  instructions: string;
  examples?: number;
  epochs?: number;
  batches: PlannedBatch[];
}

/**
 * Plans a training run without beginning it: nothing is written, and the model is thrown away.
 *
 * @throws FusedLoraError what opening, wrapping and encoding throw; INVALID_ARGUMENT; ABORTED.
 */
export async function planTraining(options: PlanTrainingOptions): Promise<TrainingPlan> {
  const { method = 'lora', lora = DEFAULT_LORA, seed = 0, signal, measureSeconds = 2 } = options;
  const { batchSizes = [8, 16, DEFAULT_BATCH_SIZE] } = options;
  const wrong = batchSizes.find((size) => !(Number.isSafeInteger(size) && size > 0));
  if (wrong !== undefined || batchSizes.length === 0) {
    throw new FusedLoraError('INVALID_ARGUMENT', `batchSizes is [${batchSizes}]; it must be whole numbers from 1`);
  }
  if (!(measureSeconds >= 0 && Number.isFinite(measureSeconds))) {
    throw new FusedLoraError('INVALID_ARGUMENT', `measureSeconds is ${measureSeconds}; it must be a number from 0`);
  }
  const { backend, reason } = chooseDevice(options.device);
  const { task = 'sequence-classification' } = options;
  const precision = choosePrecision(options.precision, backend);
  const loaded = options.train === undefined ? undefined : await loadExamples(task, options.train, options);
  const opened = await open(options, loaded, seed);
  const { model } = opened;
  applyMethod(model, method, lora, seed);
  const tokenizer = opened.tokenizer;
  const encoded = loaded && tokenizer && (await encodeFor({ ...opened, tokenizer }, loaded.examples, signal));
  const plan = planGraph(trace(model, { training: true }), { train: true, precision });
  const weightBytes = plan.parameterBytes;
  const { optimizerBytes } = plan;
  const batches: PlannedBatch[] = [];
  using program = measureSeconds > 0 ? new Program(plan, { backend }) : undefined;
  for (const batchSize of batchSizes) {
    const { tokenBudget } = options;
    const examples = encoded ?? syntheticExamples(model, 4 * batchSize, opened.maxLength);
    const epoch = sourceOf(model, examples, { batchSize, tokenBudget, seed }).epoch(0);
    const planned = planBatch(plan, epoch, batchSize, weightBytes + optimizerBytes);
    if (encoded) planned.steps = stepsOf(options, epoch.length);
    if (program) {
      planned.measured = await measure(program, epoch, planned, options, measureSeconds);
    }
    batches.push(planned);
  }
  const table = parameterTable(model);
  const tree = flagTree(model);
  const { maxSteps, epochs = FINE_TUNE_DEFAULTS.epochs } = options;
  model.dispose();
  return {
    task: model.task,
    method: nameOfMethod(method),
    device: reason,
    precision,
    tree,
    parameters: table,
    weightBytes,
    optimizerBytes,
    instructions: plan.toString(),
    ...(encoded && { examples: encoded.length, ...(maxSteps === undefined && { epochs }) }),
    batches,
  };
}

async function open(
  options: PlanTrainingOptions,
  loaded: LoadedData | undefined,
  seed: number,
): Promise<{ model: TaskModel; tokenizer?: Tokenizer; maxLength: number }> {
  const { model: dir, task = 'sequence-classification', tokenizer, maxLength, ignoreMismatchedSizes } = options;
  const { revision, token, cacheDir, offline, signal } = options;
  const hub = {
    ...(token !== undefined && { token }),
    ...(cacheDir !== undefined && { cacheDir }),
    ...(offline !== undefined && { offline }),
    signal,
  };
  const labelsFor = async (folder: string) =>
    options.labelNames ??
    (loaded && (await chooseLabels({ ...DATA, ...loaded, train: loaded.examples }, task, folder)));
  if (!dir.endsWith('.json')) {
    const { folder } = await findModel(dir, { ...hub, revision });
    const labelNames = await labelsFor(folder);
    return openTextModel(dir, {
      ...hub,
      revision,
      task,
      seed,
      tokenizer,
      maxLength,
      ignoreMismatchedSizes,
      ...(labelNames && task !== 'regression' && { labelNames }),
    });
  }
  if (loaded && tokenizer === undefined) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${dir}: a configuration has no tokenizer for train; give its folder (--tokenizer, tokenizer)`,
    );
  }
  const json = readJsonObject(dir, 'to build the model', 'INVALID_CONFIG');
  const model = createModel(json, { task, seed, labelNames: await labelsFor(path.dirname(dir)) });
  return {
    model,
    maxLength: Math.min(maxLength ?? 128, model.maxLength),
    ...(tokenizer !== undefined && { tokenizer: loadTokenizer(tokenizer) }),
  };
}

const DATA: Pick<TrainingData, 'dev' | 'split'> = { dev: undefined, split: false };

/** Texts of the largest length, for want of others. */
function syntheticExamples(model: TaskModel, count: number, length: number): EncodedExample[] {
  const example: EncodedExample = {
    inputIds: Int32Array.from({ length }, (_, t) => t % model.config.vocabSize),
    tokenTypeIds: new Int32Array(length),
    ...(model.task === 'token-classification'
      ? { tokenLabels: new Int32Array(length) }
      : model.task === 'sequence-classification'
        ? { label: 0 }
        : { targets: new Array<number>(model.numLabels).fill(0) }),
  };
  return new Array<EncodedExample>(count).fill(example);
}

function planBatch(
  plan: Plan,
  epoch: ReturnType<EncodedSource['epoch']>,
  batchSize: number,
  ownedBytes: number,
): PlannedBatch {
  let [tokens, sequences] = [0, 0];
  for (let i = 0; i < epoch.length; i++) {
    const { T, S } = epoch.at(i).sizes;
    tokens += T;
    sequences += S;
  }
  const mean = { T: Math.round(tokens / epoch.length), S: Math.round(sequences / epoch.length), M: 0 };
  const largest = epoch.at(epoch.largest ?? 0).sizes;
  const arenaBytes = plan.peakBytes(largest);
  return {
    batchSize,
    largest,
    mean,
    flops: plan.flops(mean),
    savedBytes: plan.savedBytes(largest),
    arenaBytes,
    peakBytes: arenaBytes + ownedBytes,
  };
}

function stepsOf(
  { epochs = FINE_TUNE_DEFAULTS.epochs, maxSteps, gradientAccumulation = 1 }: PlanTrainingOptions,
  batches: number,
): number {
  return maxSteps ?? Math.ceil(Math.ceil(batches / gradientAccumulation) * epochs);
}

/** Steps with a learning rate of 0 on the batch whose size is nearest to the mean, after one that is not counted. */
async function measure(
  program: Program,
  epoch: ReturnType<EncodedSource['epoch']>,
  { mean, flops, steps }: PlannedBatch,
  { gradientAccumulation = 1, signal }: PlanTrainingOptions,
  seconds: number,
): Promise<NonNullable<PlannedBatch['measured']>> {
  let nearest = 0;
  const distance = (i: number) => Math.abs(epoch.at(i).sizes.T - mean.T);
  for (let i = 1; i < Math.min(epoch.length, 200); i++) if (distance(i) < distance(nearest)) nearest = i;
  const batch = epoch.at(nearest);
  const accumulates: number[] = [];
  const applies: number[] = [];
  const group = { learningRate: 0, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
  const began = performance.now();
  for (let step = 0; step < 2 || (performance.now() - began < 1000 * seconds && step < 50); step++) {
    const started = performance.now();
    await program.accumulate(batch, { seed: 0n, forwardNumber: step, zeroGradients: true, signal });
    const accumulated = performance.now();
    await program.apply({ groups: [group], groupOf: () => 0, step: step + 1, maxGradNorm: 1 });
    if (step === 0) continue;
    accumulates.push((accumulated - started) / 1000);
    applies.push((performance.now() - accumulated) / 1000);
  }
  const forAccumulate = median(accumulates);
  const secondsPerStep = gradientAccumulation * forAccumulate + median(applies);
  return {
    secondsPerStep,
    tokensPerSecond: (gradientAccumulation * batch.sizes.T) / secondsPerStep,
    gflops: ((flops.forward + flops.backward) * (batch.sizes.T / mean.T)) / forAccumulate / 1e9,
    ...(steps !== undefined && { secondsInAll: steps * secondsPerStep }),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
