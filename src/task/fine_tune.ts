/** The whole job in one call: load, wrap, train, evaluate, save. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import type { Task } from '../base/tasks';
import { type BatchSizes, sourceOf, sourceOfTraining } from '../data/batch/sources';
import type { ColumnOptions } from '../data/read/columns';
import type { ExampleData } from '../data/read/load';
import { chooseLabels, openTrainingData, type TrainingData } from '../data/read/training_data';
import { encodeFor, noteOnEmptyTexts } from '../data/tokenize/encode_for_task';
import { chooseDevice, type DeviceOption } from '../graph/device';
import { Parameter } from '../graph/parameter';
import { choosePrecision, type Precision } from '../graph/precision';
import type { HubOptions } from '../io/hub';
import { type LoraConfig, parameterTable, resolveLoraConfig, saveAdapter } from '../lora';
import { analyzeErrors } from '../metrics/error_analysis';
import type { Evaluation } from '../metrics/evaluation';
import { measure } from '../metrics/measure';
import { saveModel, type TaskModel } from '../models';
import { type LossOptions, trace } from '../nn';
import { RunLog } from '../report/run_log';
import { Evaluator } from '../train/evaluate';
import type { RunEvent } from '../train/events';
import { type TrainerOptions, trainerOptionsOf } from '../train/options';
import { prepareOutput } from '../train/output';
import { runIdentity } from '../train/run_identity';
import { Trainer, type TrainResult } from '../train/trainer';
import { FINE_TUNE_KEYS } from './fine_tune_keys';
import { applyMethod, defaultLearningRate, type Method, nameOfMethod } from './method';
import { findModel } from './model_folder';
import { dataFacts, lengthsOf, settingsFrom, startEvent } from './run_facts';
import { copyTokenizer, type OpenTextModelOptions, openTextModel, type TextModel, writeSettings } from './text_model';

type ModelSettings = Pick<
  OpenTextModelOptions,
  | 'tokenizer'
  | 'maxLength'
  | 'hiddenDropout'
  | 'attentionDropout'
  | 'classifierDropout'
  | 'modelType'
  | 'ignoreMismatchedSizes'
>;

/** What a label is: a class a text, any number of labels a text, numbers a text, or a class a word (of examples with `tokens`). */
export const FINE_TUNE_TASKS = [
  'sequence-classification',
  'multi-label-classification',
  'regression',
  'token-classification',
] as const;
/** One of {@link FINE_TUNE_TASKS}. */
export type FineTuneTask = (typeof FINE_TUNE_TASKS)[number];

/** Of {@link fineTune}. */
export interface FineTuneOptions
  extends Omit<TrainerOptions, 'trace' | 'backend' | 'evaluate' | 'learningRate' | 'outputDir' | 'identity'>,
    BatchSizes,
    ModelSettings,
    ColumnOptions,
    HubOptions {
  /**
   * A Hugging Face model folder; a name on the hub (`roberta-base`, `owner/name`), which is downloaded once; or a model that is open (its options are
   * settled then).
   */
  model: string | TextModel;
  /** Branch, tag or commit of a model of the hub. Default: main. */
  revision?: string;
  /** Examples, or data files (whose columns `textColumn`, `labelColumn` and so on choose), or what gives examples. */
  train: ExampleData;
  /** Measured by `evaluateEvery`, and at the end. */
  dev?: ExampleData;
  /** Without `dev`: the share of `train` that is set aside to measure on, with the same share of each class; a function of the seed. Default: none. */
  devSplit?: number;
  /**
   * Read `train` while training goes on, `shuffleWindow` examples in memory: for what does not fit. Files, and functions that give an iterable, are
   * passed over once first; an iterable is read once, with `maxSteps`. Default false: everything is read into memory.
   */
  stream?: boolean;
  /** Of a stream: examples in memory, within which they are shuffled. Default 16,384. */
  shuffleWindow?: number;
  /** Gets the adapter or model, events.jsonl, checkpoints and the report. */
  outputDir: string;
  /** Whether to write report.html, one file that shows the run: curves, mistakes, parameters, settings. Default false. */
  report?: boolean;
  /** Default lora. */
  method?: Method;
  /** For the method lora. Default: r 8, loraAlpha 16, on all linears of the encoder. */
  lora?: LoraConfig;
  /** Default sequence-classification. */
  task?: FineTuneTask;
  /**
   * Class names by id. Default: the model's where all labels are among them; else those that Parquet files tell; else the labels of `train` in
   * order.
   */
  labelNames?: readonly string[];
  /** Peak rate. Default 5e-4 for lora, 1e-3 for head, else 5e-5. */
  learningRate?: number;
  /** Default 0. */
  labelSmoothing?: number;
  /** A weight a class. Default: ones. */
  classWeights?: readonly number[];
  /** Default auto. */
  device?: DeviceOption;
  /** Removes checkpoints of an earlier run from outputDir, which are an error otherwise. */
  overwrite?: boolean;
  /** Told what the checkpoint did not decide, which device was taken, and the like. */
  onNotice?: (line: string) => void;
}

/** What {@link fineTune} did, and the model. */
export interface FineTuneResult {
  method: string;
  labelNames: string[];
  parameters: { total: number; learnable: number };
  /** Numbers of examples; of a stream that is read once, null. */
  examples: { train: number | null; dev: number };
  /** Why this device: `cpu (avx512, 2 threads): …`. */
  device: string;
  /** What products were computed in. */
  precision: Precision;
  training: TrainResult;
  /** Of the saved state on `dev`; absent without it. */
  metrics?: Record<string, number>;
  /** What was written. */
  output: { kind: 'adapter' | 'model'; folder: string; bytes: number };
  /** The report, where one was asked for and could be written. */
  report?: string;
  /** The trained model, for `classify` and more; dispose of `textModel.model` when done. */
  textModel: TextModel;
}

/** What holds where an option is not given, beside the learning rate, which depends on the method. */
export const FINE_TUNE_DEFAULTS = {
  epochs: 3,
  gradientAccumulation: 1,
  schedule: 'linear',
  warmupRatio: 0.06,
  weightDecay: 0.01,
  maxGradNorm: 1,
  evaluateEvery: 'epoch',
  checkpointEvery: 'epoch',
  checkpointLimit: 2,
  seed: 0,
} as const;
/** Sentences a batch, where no token budget is given either. */
export const DEFAULT_BATCH_SIZE = 32;

export const DEFAULT_LORA: LoraConfig = { r: 8, loraAlpha: 16, targetModules: 'all-linear' };

/**
 * Fine-tunes an encoder on labelled texts, or sentences in words with a label each, and writes a PEFT adapter folder (lora, head) or a Hugging Face model folder.
 *
 * Defaults beside those of the trainer: batchSize 32, maxLength 128, epochs 3, warmupRatio 0.06, weightDecay 0.01, seed 0 (of initial
 * values, order and dropout).
 *
 * @throws FusedLoraError INVALID_DATA for an unknown label, naming the row; FILE_NOT_WRITABLE before anything is computed;
 * NON_FINITE_LOSS; ABORTED after a checkpoint; and what loading and wrapping throw.
 */
export async function fineTune(options: FineTuneOptions): Promise<FineTuneResult> {
  checkKeys('fineTune', options, FINE_TUNE_KEYS satisfies Record<keyof FineTuneOptions, true>);
  const { method = 'lora', seed = 0, outputDir, signal, onNotice = () => {} } = options;
  const { backend, reason } = chooseDevice(options.device);
  const precision = choosePrecision(options.precision, backend);
  using _lock = prepareOutput(outputDir, { resume: options.resume, overwrite: options.overwrite });
  const log = new RunLog(outputDir, { report: options.report === true, onNotice });
  const data = await log.timed('loading', () => openTrainingData(options, taskOf(options), seed));
  const textModel = await log.timed('loading', () => open(options, data, seed));
  const { model, report } = textModel;
  onNotice(`device: ${reason}, precision ${precision}`);
  if (report.initialized.length > 0) onNotice(`new, not in the checkpoint: ${report.initialized.join(', ')}`);

  const kind = applyMethod(model, method, options.lora ?? DEFAULT_LORA, seed);
  const { total, learnable } = parameterTable(model);
  const { batchSize, tokenBudget } = options;
  const sizes = { batchSize, tokenBudget };
  const { shuffleWindow } = options;
  const train = await log.timed('encoding', () =>
    sourceOfTraining(data, textModel, { ...sizes, seed, shuffleWindow }, signal),
  );
  const dev =
    data.dev && (await log.timed('encoding', () => encodeFor(textModel, data.dev!, signal, undefined, 'take')));
  const note = noteOnEmptyTexts(data.dev ?? []);
  if (note) onNotice(note);
  const evaluation = dev && sourceOf(model, dev, { ...sizes, shuffle: false });
  const learningRate = options.learningRate ?? defaultLearningRate(method);
  const examples = { train: train.singlePass ? null : train.numExamples, dev: dev?.length ?? 0 };
  if (data.split) onNotice(`${examples.dev} of ${examples.dev + train.numExamples} examples set aside to measure on`);
  const loss = lossOptions(options, model);
  using trainer = new Trainer({
    ...FINE_TUNE_DEFAULTS,
    ...trainerOptionsOf(options),
    outputDir,
    seed,
    learningRate,
    identity: runIdentity(model, {
      method,
      lora: method === 'lora' ? resolveLoraConfig(options.lora ?? DEFAULT_LORA) : undefined,
      labelSmoothing: options.labelSmoothing,
      classWeights: options.classWeights,
    }),
    trace: (o) => trace(model, { ...o, lossOptions: loss }),
    backend,
    precision,
    callbacks: [
      log.callbacks,
      { onStart: (event) => tellFewSteps(event, options, onNotice) },
      ...(options.callbacks ?? []),
    ],
    ...(evaluation && { evaluate: () => run() }),
  });
  using evaluator = evaluation && new Evaluator({ trace: (o) => trace(model, o), backend, precision });
  let last: Evaluation | undefined;
  const run = () =>
    log.timed('evaluation', async () => {
      last = await evaluator!.run(evaluation!, signal);
      return measure(model, last, dev!);
    });

  // Whatever options and data make impossible has been told by now.
  log.start(
    startEvent(model, {
      task: model.task,
      method: nameOfMethod(method),
      seed,
      device: reason,
      settings: effectiveSettings({ ...options, precision }, textModel, learningRate),
      labelNames: model.labelNames,
      data: { train: dataFacts(train.lengthsOfExamples()), ...(dev && { dev: dataFacts(lengthsOf(dev)) }) },
    }),
  );
  try {
    const training = await trainer.train(train);
    log.add('training', training.seconds);
    // What was measured last may be neither the best state, which is the one that is kept, nor of this process.
    const stale =
      training.metrics === undefined || (training.bestStep !== null && training.bestStep !== training.steps);
    const metrics = evaluation ? (stale ? await run() : training.metrics) : undefined;
    const output = await log.timed('saving', () => save(textModel, kind, outputDir, precision));
    if (last) log.errors(training.bestStep ?? training.steps, analyzeErrors(model, last, dev!, data.dev!));
    const reportFile = log.end({ ...(metrics && { metrics }), output, training: { ...training } });
    return {
      method: nameOfMethod(method),
      labelNames: model.labelNames,
      parameters: { total, learnable },
      examples,
      device: reason,
      precision,
      training,
      ...(metrics && { metrics }),
      output,
      ...(reportFile !== undefined && { report: reportFile }),
      textModel,
    };
  } catch (error) {
    log.stop(error);
    throw error;
  }
}

/** Defaults are for thousands of examples; whoever begins with fifty should be told why nothing was learnt. */
const FEW_STEPS = 20;

function tellFewSteps(
  { step, totalSteps }: RunEvent,
  { maxSteps }: FineTuneOptions,
  onNotice: (line: string) => void,
): void {
  if (step > 0 || totalSteps >= FEW_STEPS || maxSteps !== undefined) return;
  onNotice(
    `only ${totalSteps} steps in all, which teach a new classifier little: take smaller batches (batchSize, --batch-size) or more epochs (epochs, --epochs)`,
  );
}

/** Every option with the value that it has, for the log. */
function effectiveSettings(
  options: FineTuneOptions,
  { model, baseModel, maxLength }: TextModel,
  learningRate: number,
): Record<string, unknown> {
  const { method = 'lora', lora = DEFAULT_LORA, maxSteps, batchSize, tokenBudget } = options;
  return settingsFrom(
    FINE_TUNE_DEFAULTS,
    batchSize === undefined && tokenBudget === undefined ? { batchSize: DEFAULT_BATCH_SIZE } : {},
    options,
    { model: baseModel, task: model.task, method, maxLength, learningRate, labelNames: undefined },
    method === 'lora' ? { lora } : { lora: undefined },
    maxSteps === undefined ? {} : { epochs: undefined },
  );
}

const taskOf = ({ model, task = 'sequence-classification' }: FineTuneOptions): Task =>
  typeof model === 'string' ? task : model.model.task;

async function open(options: FineTuneOptions, data: TrainingData, seed: number): Promise<TextModel> {
  if (typeof options.model !== 'string') return options.model;
  const { tokenizer, maxLength, hiddenDropout, attentionDropout, classifierDropout, modelType, ignoreMismatchedSizes } =
    options;
  const { revision, token, cacheDir, offline, signal, onNotice } = options;
  const hub = {
    ...(token !== undefined && { token }),
    ...(cacheDir !== undefined && { cacheDir }),
    ...(offline !== undefined && { offline }),
    signal,
    onNotice,
  };
  const task = taskOf(options);
  const { folder } = await findModel(options.model, { ...hub, revision });
  const labelNames = options.labelNames ?? (await chooseLabels(data, task, folder));
  return openTextModel(options.model, {
    ...hub,
    revision,
    task,
    ...(labelNames && { labelNames }),
    seed,
    tokenizer,
    maxLength,
    hiddenDropout,
    attentionDropout,
    classifierDropout,
    modelType,
    ignoreMismatchedSizes,
  });
}

function lossOptions({ labelSmoothing, classWeights }: FineTuneOptions, model: TaskModel): LossOptions {
  const ofClasses = model.task === 'sequence-classification' || model.task === 'token-classification';
  if (!ofClasses && (labelSmoothing || classWeights)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${classWeights ? 'classWeights' : 'labelSmoothing'} is for tasks with one class a text or word, not for ${model.task}. Leave it out.`,
    );
  }
  if (classWeights && classWeights.length !== model.numLabels) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `classWeights has ${classWeights.length} numbers, the model ${model.numLabels} classes (${model.labelNames.join(', ')})`,
    );
  }
  return {
    labelSmoothing,
    classWeights:
      classWeights &&
      new Parameter([classWeights.length], Float32Array.from(classWeights), {
        requiresGrad: false,
        name: 'classWeights',
      }),
  };
}

function save(
  { model, baseModel, baseModelName, baseModelRevision, maxLength }: TextModel,
  kind: 'adapter' | 'model',
  dir: string,
  precision: Precision,
) {
  const settings = (folder: string) => writeSettings(folder, model, maxLength, precision);
  let file = 'adapter_model.safetensors';
  if (kind === 'adapter')
    saveAdapter(model, dir, { baseModel: baseModelName, revision: baseModelRevision, extra: settings });
  else {
    file = 'model.safetensors';
    saveModel(model, dir, {
      extra: (folder) => {
        settings(folder);
        copyTokenizer(baseModel, folder);
      },
    });
  }
  const bytes = fs.statSync(path.join(dir, file), { throwIfNoEntry: false })?.size ?? 0;
  return { kind, folder: dir, bytes };
}
