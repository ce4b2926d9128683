/** Masked-LM pretraining in one call: from a configuration, or on from a model folder (domain adaptation). */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cutPieces, MaskedSource } from '../data/masked_source';
import { readDocuments } from '../data/text_documents';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer';
import { FusedLoraError } from '../errors';
import { readJsonObject } from '../io/json';
import { createModel, loadModel, saveModel, type TaskModel } from '../models';
import { trace } from '../nn';
import { eventLog } from '../train/event_log';
import type { TrainerOptions } from '../train/options';
import { Trainer, type TrainResult } from '../train/trainer';
import { chooseDevice, type DeviceOption } from './device';
import { prepareOutput } from './output';
import { copyTokenizer } from './text_model';

export interface PretrainOptions extends Omit<TrainerOptions, 'trace' | 'backend' | 'outputDir' | 'learningRate'> {
  /** A config.json to start from random values, or a Hugging Face model folder to go on from. */
  model: string;
  /** Folder of the tokenizer. Default: the model folder. */
  tokenizer?: string;
  /** Text files, one document a line; .gz too. */
  text: readonly string[];
  /** Read no more documents than this. Default: all. */
  maxDocuments?: number;
  outputDir: string;
  /** Tokens of a piece of text, special tokens counted. Default: what the model has positions for, at most 128. */
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
  overwrite?: boolean;
  onNotice?: (line: string) => void;
}

export interface PretrainResult {
  device: string;
  documents: number;
  /** Tokens of all pieces, special tokens counted: one epoch. */
  tokens: number;
  training: TrainResult;
  /** Mean loss of each hundredth of the run. */
  lossCurve: { step: number; loss: number }[];
  output: string;
}

/**
 * Trains a masked language model and writes it, with its tokenizer, as a Hugging Face folder. AdamW as RoBERTa's: beta2 0.98,
 * eps 1e-6.
 *
 * @throws FusedLoraError INVALID_TOKENIZER without a mask token, or when it has more ids than the model; what reading and training throw.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { outputDir, seed = 0, signal, onNotice = () => {} } = options;
  if (!(options.text?.length > 0)) {
    throw new FusedLoraError('INVALID_ARGUMENT', 'text is empty; give one or more text files, one document a line');
  }
  const { backend, reason } = chooseDevice(options.device);
  onNotice(`device: ${reason}`);
  prepareOutput(outputDir, { resume: options.resume, overwrite: options.overwrite });
  const tokenizerDir = options.tokenizer ?? options.model;
  const tokenizer = loadTokenizer(tokenizerDir);
  const model = open(options, seed);
  const { source, documents } = await readSource(options, tokenizer, model, seed, signal);
  onNotice(`${documents} documents, ${source.numExamples} pieces, ${source.numTokens} tokens`);

  const events = path.join(outputDir, 'events.jsonl');
  using trainer = new Trainer({
    warmupRatio: 0.06,
    weightDecay: 0.01,
    beta2: 0.98,
    eps: 1e-6,
    epochs: 1,
    checkpointEvery: 500,
    ...options,
    seed,
    learningRate: options.learningRate ?? 1e-3,
    trace: (o) => trace(model, o),
    backend,
    callbacks: [eventLog(events), ...(options.callbacks ?? [])],
  });
  const training = await trainer.train(source);
  saveModel(model, outputDir, {
    dtype: options.saveDtype ?? 'F32',
    extra: (folder) => copyTokenizer(tokenizerDir, folder),
  });
  const lossCurve = curveOf(events, training.steps);
  return { device: reason, documents, tokens: source.numTokens, training, lossCurve, output: outputDir };
}

function open({ model, dropout }: PretrainOptions, seed: number): TaskModel {
  const settings = { task: 'masked-lm', seed, hiddenDropout: dropout, attentionDropout: dropout } as const;
  return model.endsWith('.json')
    ? createModel(readJsonObject(model, 'to build the model', 'INVALID_CONFIG'), settings)
    : loadModel(model, settings).model;
}

async function readSource(
  options: PretrainOptions,
  tokenizer: Tokenizer,
  model: TaskModel,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<{ source: MaskedSource; documents: number }> {
  const { clsId, sepId, maskId, vocabSize, specialIds } = tokenizer;
  if (clsId === undefined || sepId === undefined || maskId === undefined || vocabSize > model.config.vocabSize) {
    throw new FusedLoraError(
      'INVALID_TOKENIZER',
      `${options.tokenizer ?? options.model}: masked-LM pretraining needs a mask token and tokens around a text, and at most the ` +
        `${model.config.vocabSize} ids of the model; this tokenizer has ${vocabSize} ids${maskId === undefined ? ' and no mask token' : ''}`,
    );
  }
  const documents: Int32Array[] = [];
  for await (const line of readDocuments(options.text)) {
    if (signal?.aborted) throw new FusedLoraError('ABORTED', 'stopped while text was read', { cause: signal.reason });
    documents.push(Int32Array.from(tokenizer.textIds(line)));
    if (documents.length === options.maxDocuments) break;
  }
  const maxLength = options.maxLength ?? Math.min(128, model.maxLength);
  const pieces = cutPieces(documents, { maxLength, beginTokenId: clsId, endTokenId: sepId });
  const source = new MaskedSource(pieces, {
    tokenBudget: options.tokenBudget ?? 4096,
    seed,
    positions: { offset: model.positionOffset, maxPositions: model.config.maxPositionEmbeddings },
    vocabulary: { maskTokenId: maskId, vocabSize, specialTokenIds: specialIds },
    ...(options.maskProbability !== undefined && { maskProbability: options.maskProbability }),
  });
  return { source, documents: documents.length };
}

/** The mean loss of each hundredth of the run, from its log: a resumed run's log has all its steps. */
function curveOf(events: string, steps: number): { step: number; loss: number }[] {
  const losses = new Map<number, number>();
  for (const line of fs.readFileSync(events, 'utf8').split('\n')) {
    if (!line.startsWith('{"event":"step"')) continue;
    const { step, loss } = JSON.parse(line) as { step: number; loss: number };
    losses.set(step, loss);
  }
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
