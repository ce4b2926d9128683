/**
 * Masked-LM pretraining in one call: from a configuration, or on from a model folder (domain
 * adaptation). Pieces of text and their masks are made in src/data/batch/masked_source.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { checkKeys, compact } from '../base/options';
import { cutPieces, MaskedSource } from '../data/batch/masked_source';
import { readDocuments } from '../data/read/text_documents';
import { loadTokenizer, type Tokenizer } from '../data/tokenize/tokenizer';
import { fromFirst } from '../distributed/collectives';
import type { Group } from '../distributed/group';
import { type Distributed, joinGroup } from '../distributed/join';
import { chooseDevice, type DeviceOption } from '../graph/device';
import { choosePrecision, type Precision } from '../graph/precision';
import { checkOutput, findModel } from '../io/find_model';
import { readJsonObject } from '../io/json';
import { loadModel, saveModel, type TaskModel } from '../models';
import { createFrom } from '../models/auto';
import { checkFits } from '../models/config';
import { trace } from '../nn';
import { readRecord } from '../report/record';
import { RunLog } from '../report/run_log';
import { checkTrainerValues, TRAINING_KEYS, type TrainerOptions, trainerOptionsOf } from '../train/options';
import { EVENTS, prepareOutput } from '../train/output';
import { runIdentity } from '../train/run_identity';
import { tensorBoardLog } from '../train/tensorboard';
import { Trainer, type TrainResult } from '../train/trainer';
import { copyTokenizer } from './meaning/record';
import { DEFAULT_MAX_LENGTH } from './options/defaults';
import { dataFacts, settingsFrom, startEvent } from './run_facts';

/** Of {@link pretrain}. */
export interface PretrainOptions
  extends Omit<TrainerOptions, 'trace' | 'backend' | 'evaluate' | 'outputDir' | 'learningRate' | 'identity' | 'group'> {
  /**
   * A config.json to start from random values, or a Hugging Face model folder, or a name on the
   * hub, to go on from.
   */
  model: string;
  /** Folder of the tokenizer. Default: the model folder. */
  tokenizer?: string;
  /** Text files, one document a line; .gz too. */
  text: readonly string[];
  /** Read no more documents than this. Default: all. */
  maxDocuments?: number;
  outputDir: string;
  /**
   * Tokens of a piece of text, special tokens counted. Default: what the model has positions for,
   * at most 128.
   */
  maxLength?: number;
  /** Tokens a batch. Default 4096. */
  tokenBudget?: number;
  /** Share of tokens to be predicted. Default 0.15. */
  maskProbability?: number;
  /** Dropout while pretraining. Default: the configuration's. */
  dropout?: number;
  /** Default 1e-3. */
  learningRate?: number;
  /** Type of the saved weights. Default F32. */
  saveDtype?: 'F32' | 'F16' | 'BF16';
  device?: DeviceOption;
  /** On several ranks, as in fineTune. Default: this process alone. */
  distributed?: Distributed;
  overwrite?: boolean;
  /** Whether to write report.html. Default false. */
  report?: boolean;
  /** Whether to write event files for TensorBoard, in outputDir/tensorboard. Default false. */
  tensorboard?: boolean;
  onNotice?: (line: string) => void;
}

const PRETRAIN_KEYS: Record<keyof PretrainOptions, true> = {
  model: true,
  tokenizer: true,
  text: true,
  maxDocuments: true,
  outputDir: true,
  maxLength: true,
  tokenBudget: true,
  maskProbability: true,
  dropout: true,
  saveDtype: true,
  device: true,
  distributed: true,
  overwrite: true,
  report: true,
  tensorboard: true,
  onNotice: true,
  ...TRAINING_KEYS,
};

/** What {@link pretrain} did, and the model. */
export interface PretrainResult {
  device: string;
  /** What products were computed in. */
  precision: Precision;
  documents: number;
  /** Tokens of all pieces, special tokens counted: one epoch. */
  tokens: number;
  training: TrainResult;
  /** Mean loss of each hundredth of the run. */
  lossCurve: { step: number; loss: number }[];
  output: string;
  /** The report, where one was asked for and could be written. */
  report?: string;
}

/** What holds where an option is not given. */
export const PRETRAIN_DEFAULTS = {
  epochs: 1,
  gradientAccumulation: 1,
  learningRate: 1e-3,
  schedule: 'linear',
  warmupRatio: 0.06,
  weightDecay: 0.01,
  beta2: 0.98,
  eps: 1e-6,
  maxGradNorm: 1,
  checkpointEvery: 500,
  checkpointLimit: 2,
  seed: 0,
  tokenBudget: 4096,
  maskProbability: 0.15,
} as const;

/**
 * Trains a masked language model and writes it, with its tokenizer, as a Hugging Face folder. AdamW
 * as RoBERTa's: beta2 0.98, eps 1e-6.
 *
 * @throws FusedLoraError INVALID_TOKENIZER without a mask token, or when it has more ids than the
 * model; what reading and training throw.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  checkKeys('pretrain', options, PRETRAIN_KEYS);
  const group = await joinGroup(options.distributed);
  try {
    return await runOn(group, options);
  } catch (error) {
    await group.fail(error);
    throw error;
  }
}

/** A run, or what one of its ranks does of it. */
async function runOn(group: Group & { description?: string }, options: PretrainOptions): Promise<PretrainResult> {
  const { outputDir, seed = 0, signal } = options;
  const isFirst = group.rank === 0;
  const onNotice = (isFirst ? options.onNotice : undefined) ?? (() => {});
  if (!(options.text?.length > 0)) {
    throw new FusedLoraError('INVALID_ARGUMENT', 'text is empty; give one or more text files, one document a line');
  }
  checkTrainerValues({ ...PRETRAIN_DEFAULTS, ...compact(options) }, false);
  const { backend, reason } = chooseDevice(options.device);
  const precision = choosePrecision(options.precision, backend);
  onNotice(`device: ${reason}, precision ${precision}`);
  checkOutput(outputDir, 'model', { baseModel: options.model });
  using _lock = isFirst
    ? prepareOutput(outputDir, { resume: options.resume, overwrite: options.overwrite })
    : undefined;
  const log = new RunLog(outputDir, { report: options.report === true, silent: !isFirst, onNotice });
  if (group.description !== undefined) onNotice(`distributed: ${group.description}`);
  const hub = { signal, onNotice };
  const { folder } = await log.timed('loading', () => findModel(options.model, hub));
  const tokenizerDir =
    options.tokenizer === undefined
      ? folder
      : (await log.timed('loading', () => findModel(options.tokenizer!, { ...hub, tokenizerOnly: true }))).folder;
  const tokenizer = await log.timed('loading', () => loadTokenizer(tokenizerDir));
  const model = await log.timed('loading', () => open({ ...options, model: folder }, seed));
  const { source, documents, pieces } = await log.timed('encoding', () =>
    readSource(options, tokenizer, model, seed, signal),
  );
  onNotice(`${documents} documents, ${source.numExamples} pieces, ${source.numTokens} tokens`);

  using trainer = new Trainer({
    ...trainerOptionsOf({ ...PRETRAIN_DEFAULTS, ...compact(options) }),
    group,
    outputDir,
    seed,
    identity: runIdentity(model, {}),
    learningRate: options.learningRate ?? PRETRAIN_DEFAULTS.learningRate,
    trace: (o) => trace(model, o),
    backend,
    precision,
    callbacks: [
      log.callbacks,
      ...(options.tensorboard === true && isFirst ? [tensorBoardLog(outputDir)] : []),
      ...(options.callbacks ?? []),
    ],
  });
  log.start(
    startEvent(model, {
      task: model.task,
      method: 'full',
      seed,
      device: reason,
      settings: settingsFrom(
        PRETRAIN_DEFAULTS,
        { maxLength: maxLengthOf(options, model) },
        options,
        { precision },
        options.maxSteps === undefined ? {} : { epochs: undefined },
      ),
      labelNames: [],
      data: { train: dataFacts(pieces) },
    }),
  );
  try {
    const training = await trainer.train(source);
    log.add('training', training.seconds);
    const save = () => {
      const extra = (folder: string) => copyTokenizer(tokenizerDir, folder);
      saveModel(model, outputDir, { dtype: options.saveDtype ?? 'F32', extra });
      const bytes = fs.statSync(path.join(outputDir, 'model.safetensors'), { throwIfNoEntry: false })?.size ?? 0;
      return { bytes, lossCurve: curveOf(path.join(outputDir, EVENTS), training.steps) };
    };
    const saved = isFirst ? await log.timed('saving', save) : null;
    // The others end when it is written, and not before.
    const { bytes, lossCurve } = (await fromFirst(group, saved)) as NonNullable<typeof saved>;
    const report = log.end({ output: { kind: 'model', folder: outputDir, bytes }, training: { ...training } });
    return {
      device: reason,
      precision,
      documents,
      tokens: source.numTokens,
      training,
      lossCurve,
      output: outputDir,
      ...(report !== undefined && { report }),
    };
  } catch (error) {
    log.stop(error);
    throw error;
  }
}

/** Tokens of a piece of text. */
function maxLengthOf({ maxLength }: PretrainOptions, model: TaskModel): number {
  return maxLength ?? Math.min(DEFAULT_MAX_LENGTH, model.maxLength);
}

function open({ model, dropout }: PretrainOptions, seed: number): TaskModel {
  const settings = { task: 'masked-lm', seed, hiddenDropout: dropout, attentionDropout: dropout } as const;
  if (!model.endsWith('.json')) return loadModel(model, settings).model;
  const created = createFrom(model, readJsonObject(model, 'to build the model', 'INVALID_CONFIG'), settings);
  checkFits(created, model);
  return created;
}

async function readSource(
  options: PretrainOptions,
  tokenizer: Tokenizer,
  model: TaskModel,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<{ source: MaskedSource; documents: number; pieces: number[] }> {
  const { clsId, sepId, maskId, vocabSize, specialIds } = tokenizer;
  const rows = model.config.vocabSize;
  if (clsId === undefined || sepId === undefined || maskId === undefined || vocabSize > rows || maskId >= rows) {
    throw new FusedLoraError(
      'INVALID_TOKENIZER',
      `${options.tokenizer ?? options.model}: masked-LM pretraining needs a mask token and tokens around a text, and at most the ` +
        `${rows} ids of the model; this tokenizer has ${Math.max(vocabSize, 1 + (maskId ?? 0))} ids${maskId === undefined ? ' and no mask token' : ''}`,
    );
  }
  tokenizer.checkRows(rows, options.model);
  const documents: Int32Array[] = [];
  for await (const line of readDocuments(options.text)) {
    if (signal?.aborted) throw new FusedLoraError('ABORTED', 'stopped while text was read', { cause: signal.reason });
    documents.push(Int32Array.from(tokenizer.textIds(line)));
    if (documents.length === options.maxDocuments) break;
  }
  const maxLength = maxLengthOf(options, model);
  const pieces = cutPieces(documents, { maxLength, beginTokenId: clsId, endTokenId: sepId });
  const source = new MaskedSource(pieces, {
    tokenBudget: options.tokenBudget ?? PRETRAIN_DEFAULTS.tokenBudget,
    seed,
    positions: { offset: model.positionOffset, maxPositions: model.config.maxPositionEmbeddings },
    vocabulary: { maskTokenId: maskId, vocabSize, specialTokenIds: specialIds },
    ...(options.maskProbability !== undefined && { maskProbability: options.maskProbability }),
  });
  return { source, documents: documents.length, pieces: pieces.map(({ inputIds }) => inputIds.length) };
}

/**
 * The mean loss of each hundredth of the run, from its log: a resumed run's log has all its steps.
 */
function curveOf(events: string, steps: number): { step: number; loss: number }[] {
  const losses = new Map<number, number>();
  for (const { step, loss } of readRecord(events).steps) losses.set(step, loss);
  const size = Math.max(1, Math.ceil(steps / 100));
  const curve: { step: number; loss: number }[] = [];
  for (let first = 1; first <= steps; first += size) {
    const last = Math.min(steps, first + size - 1);
    const part = Array.from({ length: last - first + 1 }, (_, i) => losses.get(first + i)).filter(
      (x) => x !== undefined,
    );
    if (part.length > 0)
      curve.push({ step: last, loss: Number((part.reduce((a, b) => a + b, 0) / part.length).toFixed(4)) });
  }
  return curve;
}
