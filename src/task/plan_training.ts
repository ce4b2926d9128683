/**
 * What fine-tuning would cost, before it is begun: arithmetic, memory, and time by a few steps on
 * the spot. Options are settled as for fineTune itself (options/resolve_fine_tune.ts); nothing is
 * written.
 */
import { FusedLoraError } from '../base/errors';
import type { EncodedSource } from '../data/batch/encoded_source';
import { numberCut, sourceOf } from '../data/batch/sources';
import { type LoadedData, loadExamples } from '../data/read/load';
import { type LabelsOfData, labelsOfData } from '../data/read/training_data';
import { encodeFor } from '../data/tokenize/encode_for_task';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import type { BaseWeights, EmbeddingWeights, HeldWeights } from '../graph/base_weights';
import { type Plan, plan as planGraph } from '../graph/plan';
import type { Precision } from '../graph/precision';
import { Program } from '../graph/program';
import type { Sizes } from '../graph/value';
import { type ParameterTable, parameterTable } from '../lora';
import type { TaskModel } from '../models';
import { checkFits } from '../models/config';
import { trace } from '../nn';
import { flagTree } from '../nn/flag_tree';
import { describeMeaning, type Found, type MeaningFigures, meaningFigures } from './meaning/describe';
import { applyMethod, nameOfMethod, subspaceOf } from './method';
import { DEFAULT_BATCH_SIZE } from './options/defaults';
import {
  type ResolvedFineTune,
  resolveFineTune,
  type SettledOptions,
  type TrainerSettings,
} from './options/resolve_fine_tune';
import {
  DEFAULT_NETWORK,
  type Division,
  mostShares,
  type PlannedRanks,
  planRanks,
  shareEpoch,
  wireSeconds,
} from './plan_ranks';
import { startFromAdapter } from './start/adapter_folder';
import { isConfigFile, startFromConfig } from './start/config_file';
import { startFromFolder } from './start/model_folder';
import { checkTaskOptions, newWeightsOf, taskBeforeReading } from './start/open_for_training';
import type { StartedModel, TrainingStart } from './start/training_start';

/**
 * What is planned: options of fineTune, but for where a run is written and what it is measured on.
 */
export interface PlanTrainingOptions
  extends Omit<
    SettledOptions,
    'model' | 'outputDir' | 'batchSize' | 'dev' | 'devSplit' | 'stream' | 'shuffleWindow' | 'report' | 'distributed'
  > {
  /**
   * A Hugging Face model folder, a name on the hub, or a config.json, whose weights are random.
   * Default: the base of `adapter`.
   */
  model?: string;
  /** Each is planned. Default: 8, 16 and 32. */
  batchSizes?: readonly number[];
  /** Seconds of steps with each batch size; 0: nothing is measured. Default 2. */
  measureSeconds?: number;
  /**
   * Also plans each batch divided among so many ranks (docs/distributed.md), in `shares` parts: by
   * default one for each. Default: none.
   */
  ranks?: number;
  /** Gbit/s of the network between them, in each direction. Default 10. */
  networkGbits?: number;
}

export const PLAN_DEFAULTS = { batchSizes: [8, 16, DEFAULT_BATCH_SIZE], measureSeconds: 2 } as const;

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
  /** Where ranks are asked for. */
  distributed?: PlannedRanks;
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
  /** What the model means, and who said so: see docs/meaning.md. */
  meaning: MeaningFigures;
  method: string;
  device: string;
  /** What products are computed in. */
  precision: Precision;
  /** Of the frozen weights of layers. */
  baseWeights: BaseWeights;
  /** Of the frozen word embeddings. */
  embeddingWeights: EmbeddingWeights;
  /** The module tree with 0 and 1: see `flagTree`. */
  tree: string;
  parameters: ParameterTable;
  weightBytes: number;
  /** The same were layers held in int8 or NF4; absent for methods that train them. */
  weightBytesHeld?: { int8: number; nf4: number };
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
  const { batchSizes = PLAN_DEFAULTS.batchSizes, measureSeconds = PLAN_DEFAULTS.measureSeconds, ...given } = options;
  const { ranks, shares = ranks ?? 1, networkGbits = DEFAULT_NETWORK, ...shared } = given;
  const wrong = batchSizes.find((size) => !(Number.isSafeInteger(size) && size > 0));
  if (wrong !== undefined || batchSizes.length === 0) {
    throw new FusedLoraError('INVALID_ARGUMENT', `batchSizes is [${batchSizes}]; it must be whole numbers from 1`);
  }
  if (!(measureSeconds >= 0 && Number.isFinite(measureSeconds))) {
    throw new FusedLoraError('INVALID_ARGUMENT', `measureSeconds is ${measureSeconds}; it must be a number from 0`);
  }
  for (const [name, count] of Object.entries({ ranks: ranks ?? 1, shares })) {
    if (Number.isSafeInteger(count) && count > 0) continue;
    throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${count}; it must be a whole number from 1`);
  }
  if (given.shares !== undefined && ranks === undefined) {
    throw new FusedLoraError('INVALID_ARGUMENT', 'shares are planned with ranks: give both, or neither');
  }
  if (!(networkGbits > 0)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `networkGbits is ${networkGbits}; it must be a number above 0`);
  }
  const run = resolveFineTune(shared, 'planTraining');
  const { method, backend, precision, baseWeights, embeddingWeights, sizes } = run;
  const { seed } = run.modelSettings;
  if (subspaceOf(method, seed)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'a run in a subspace is not planned: its steps are those of the method full, and projections beside them. Plan full.',
    );
  }
  const { signal } = run.hub;
  const opened = await open(run, run.data);
  const { model, tokenizer, loaded, labels, meaning } = opened;
  // With random weights all are new, and the plan is that of a model that has some.
  const newWeights = fromConfig(run) ? [] : newWeightsOf(opened);
  applyMethod(
    model,
    run,
    newWeights.map(({ path }) => path),
  );
  const encoded = loaded && tokenizer && (await encodeFor({ ...opened, tokenizer }, loaded.examples, signal));
  const graph = trace(model, { training: true });
  const planIn = (form: HeldWeights) =>
    planGraph(graph, { train: true, precision, ...form, fused: run.trainer.fused ?? true });
  const plan = planIn({ baseWeights, embeddingWeights });
  const held = (form: BaseWeights) => planIn({ baseWeights: form, embeddingWeights }).weightBytes;
  const keepsBase = method === 'lora' || method === 'head';
  const { weightBytes, optimizerBytes } = plan;
  const batches: PlannedBatch[] = [];
  if (measureSeconds > 0 && fromConfig(run)) checkFits(model, run.model as string);
  using program = measureSeconds > 0 ? new Program(plan, { backend }) : undefined;
  for (const batchSize of batchSizes) {
    const examples = encoded ?? syntheticExamples(model, 4 * batchSize, opened.maxLength);
    const epoch = sourceOf(model, examples, { ...sizes, batchSize, seed }).epoch(0);
    const planned = planBatch(plan, epoch, batchSize, weightBytes + optimizerBytes);
    if (encoded) planned.steps = stepsOf(run.trainer, epoch.length);
    if (program) {
      planned.measured = await measure(program, epoch, planned, { ...run.trainer, seconds: measureSeconds });
    }
    if (ranks !== undefined) {
      const settings = { ...run.trainer, seconds: measureSeconds };
      planned.distributed = await planDistributed(plan, epoch, planned, {
        ranks,
        shares,
        networkGbits,
        program,
        settings,
      });
    }
    batches.push(planned);
  }
  const table = parameterTable(model);
  const tree = flagTree(model);
  const { maxSteps, epochs } = run.trainer;
  model.dispose();
  const found: Found = {
    labels,
    newWeights,
    ...(encoded && { train: { texts: encoded.length, cut: numberCut(encoded) } }),
  };
  for (const line of describeMeaning(meaning, found)) options.onNotice?.(line);
  return {
    task: model.task,
    meaning: meaningFigures(meaning, found),
    method: nameOfMethod(method),
    device: run.device,
    precision,
    baseWeights,
    embeddingWeights,
    tree,
    parameters: table,
    weightBytes,
    ...(keepsBase && { weightBytesHeld: { int8: held('int8'), nf4: held('nf4') } }),
    optimizerBytes,
    instructions: plan.toString(),
    ...(encoded && { examples: encoded.length, ...(maxSteps === undefined && { epochs }) }),
    batches,
  };
}

/** A batch divided among ranks; its time by steps with one of their shares. */
async function planDistributed(
  plan: Plan,
  epoch: ReturnType<EncodedSource['epoch']>,
  { batchSize, mean, flops, steps, peakBytes, arenaBytes }: PlannedBatch,
  options: Division & {
    networkGbits: number;
    program: Program | undefined;
    settings: TrainerSettings & { seconds: number };
  },
): Promise<PlannedRanks> {
  const { ranks, shares, networkGbits, program, settings } = options;
  const planned = planRanks(plan, epoch, options, peakBytes - arenaBytes);
  if (!program) return planned;
  const share = shareEpoch(epoch, shares);
  const part = { batchSize, mean: { ...mean, T: mean.T / shares, S: mean.S / shares }, flops, largest: mean };
  const measured = await measure(
    program,
    share,
    { ...part, savedBytes: 0, arenaBytes: 0, peakBytes: 0 },
    {
      ...settings,
      gradientAccumulation: settings.gradientAccumulation * mostShares(options),
      optimizers: program.gradientSum().isDivided ? ranks : 1,
    },
  );
  planned.secondsPerStep = measured.secondsPerStep + wireSeconds(planned, networkGbits);
  if (steps !== undefined) planned.secondsInAll = steps * planned.secondsPerStep;
  return planned;
}

const fromConfig = ({ model, adapter }: ResolvedFineTune) => adapter === undefined && isConfigFile(model as string);

/** The model, its labels told by examples where there are some. */
async function open(
  run: ResolvedFineTune,
  { train, ...reading }: ResolvedFineTune['data'],
): Promise<StartedModel & { loaded: LoadedData | undefined; labels: LabelsOfData | undefined }> {
  const find = fromConfig(run) ? startFromConfig : run.adapter === undefined ? startFromFolder : startFromAdapter;
  const start: TrainingStart<StartedModel> = await find(run);
  let task = start.taskBefore(taskBeforeReading(train));
  const loaded =
    train === undefined ? undefined : await loadExamples({ task: task.value, data: train, options: reading });
  if (loaded) task = start.taskBy(loaded.examples, task);
  checkTaskOptions(run, task.value);
  const data = loaded && { train: loaded.examples, dev: undefined, split: false, classNames: loaded.classNames };
  const labels = data && (await labelsOfData(data, task.value, start.named));
  return { ...start.opened(labels, task), loaded, labels };
}

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

function stepsOf({ epochs, maxSteps, gradientAccumulation }: TrainerSettings, batches: number): number {
  return maxSteps ?? Math.ceil(Math.ceil(batches / gradientAccumulation) * epochs);
}

/**
 * Steps with a learning rate of 0 on the batch whose size is nearest to the mean, after one that is
 * not counted.
 */
async function measure(
  program: Program,
  epoch: Pick<ReturnType<EncodedSource['epoch']>, 'length' | 'at'>,
  { mean, flops, steps }: PlannedBatch,
  // `optimizers`: ranks that divide an optimizer step.
  { gradientAccumulation, signal, seconds, optimizers = 1 }: TrainerSettings & { seconds: number; optimizers?: number },
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
  const secondsPerStep = gradientAccumulation * forAccumulate + median(applies) / optimizers;
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
