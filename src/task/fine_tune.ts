/** The whole job in one call: load, wrap, train, evaluate, save. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../errors';
import { Parameter } from '../graph/parameter';
import { type LoraConfig, parameterTable, saveAdapter } from '../lora';
import { saveModel, type TaskModel } from '../models';
import { type LossOptions, trace } from '../nn';
import { Evaluator } from '../train/evaluate';
import { eventLog } from '../train/event_log';
import type { TrainerOptions } from '../train/options';
import { Trainer, type TrainResult } from '../train/trainer';
import { chooseDevice, type DeviceOption } from './device';
import { type BatchSizes, encodeFor, sourceOf } from './encoding';
import { checkExamples, type Example } from './examples';
import { labelNamesFor } from './labels';
import { measure } from './measure';
import { applyMethod, defaultLearningRate, type Method, nameOfMethod } from './method';
import { prepareOutput } from './output';
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
export type FineTuneTask = (typeof FINE_TUNE_TASKS)[number];

export interface FineTuneOptions
  extends Omit<TrainerOptions, 'trace' | 'backend' | 'evaluate' | 'learningRate' | 'outputDir'>,
    BatchSizes,
    ModelSettings {
  /** A Hugging Face model folder, or a model that is open (its options are settled then). */
  model: string | TextModel;
  train: readonly Example[];
  /** Measured by `evaluateEvery`, and at the end. */
  dev?: readonly Example[];
  /** Gets the adapter or model, events.jsonl and checkpoints. */
  outputDir: string;
  /** Default lora. */
  method?: Method;
  /** For the method lora. Default: r 8, loraAlpha 16, on all linears of the encoder. */
  lora?: LoraConfig;
  /** Default sequence-classification. */
  task?: FineTuneTask;
  /** Class names by id. Default: the model's where all labels are among them, else the labels of `train` in order. */
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

export interface FineTuneResult {
  method: string;
  labelNames: string[];
  parameters: { total: number; learnable: number };
  /** Why this device: `cpu (avx512, 2 threads): …`. */
  device: string;
  training: TrainResult;
  /** Of the saved state on `dev`; absent without it. */
  metrics?: Record<string, number>;
  /** What was written. */
  output: { kind: 'adapter' | 'model'; folder: string; bytes: number };
  /** The trained model, for `classify` and more; dispose of `textModel.model` when done. */
  textModel: TextModel;
}

const DEFAULT_LORA: LoraConfig = { r: 8, loraAlpha: 16, targetModules: 'all-linear' };

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
  const { method = 'lora', seed = 0, outputDir, signal, onNotice = () => {} } = options;
  const { backend, reason } = chooseDevice(options.device);
  prepareOutput(outputDir, { resume: options.resume, overwrite: options.overwrite });
  const textModel = await open(options, seed);
  const { model, report } = textModel;
  onNotice(`device: ${reason}`);
  if (report.initialized.length > 0) onNotice(`new, not in the checkpoint: ${report.initialized.join(', ')}`);

  const kind = applyMethod(model, method, options.lora ?? DEFAULT_LORA, seed);
  const table = parameterTable(model);
  const parameters = { total: table.total, learnable: table.learnable };
  const train = await encodeFor(textModel, options.train, signal);
  const dev = options.dev && (await encodeFor(textModel, options.dev, signal));
  const { batchSize, tokenBudget } = options;
  const sizes = { batchSize, tokenBudget };
  const evaluation = dev && sourceOf(model, dev, { ...sizes, shuffle: false });

  const log = eventLog(path.join(outputDir, 'events.jsonl'));
  log.write({ event: 'start', method: nameOfMethod(method), seed, device: reason, parameters, examples: train.length });
  const loss = lossOptions(options, model);
  using trainer = new Trainer({
    warmupRatio: 0.06,
    weightDecay: 0.01,
    ...options,
    seed,
    learningRate: options.learningRate ?? defaultLearningRate(method),
    trace: (o) => trace(model, { ...o, lossOptions: loss }),
    backend,
    callbacks: [log, ...(options.callbacks ?? [])],
    ...(evaluation && { evaluate: () => run() }),
  });
  using evaluator = evaluation && new Evaluator({ trace: (o) => trace(model, o), backend });
  const run = async () => measure(model, await evaluator!.run(evaluation!, signal), dev!);

  const training = await trainer.train(sourceOf(model, train, { ...sizes, seed }));
  // What was measured last may be neither the best state, which is the one that is kept, nor of this process.
  const stale = training.metrics === undefined || (training.bestStep !== null && training.bestStep !== training.steps);
  const metrics = evaluation ? (stale ? await run() : training.metrics) : undefined;
  const output = save(textModel, kind, outputDir);
  log.write({ event: 'end', metrics, output });
  return {
    method: nameOfMethod(method),
    labelNames: model.labelNames,
    parameters,
    device: reason,
    training,
    ...(metrics && { metrics }),
    output,
    textModel,
  };
}

async function open(options: FineTuneOptions, seed: number): Promise<TextModel> {
  if (typeof options.model !== 'string') return options.model;
  const { tokenizer, maxLength, hiddenDropout, attentionDropout, classifierDropout, modelType, ignoreMismatchedSizes } =
    options;
  const task = options.task ?? 'sequence-classification';
  checkExamples(task, options.train);
  return openTextModel(options.model, {
    task,
    ...(task !== 'regression' && {
      labelNames: options.labelNames ?? labelNamesFor(options.train, options.model, task),
    }),
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

function save({ model, baseModel, maxLength }: TextModel, kind: 'adapter' | 'model', dir: string) {
  const settings = (folder: string) => writeSettings(folder, model, maxLength);
  let file = 'adapter_model.safetensors';
  if (kind === 'adapter') saveAdapter(model, dir, { baseModel, extra: settings });
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
