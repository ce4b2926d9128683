/**
 * fused_lora.json: what neither PEFT nor transformers has a place for, beside an adapter or a whole
 * model, read and written; and the tokenizer's files that travel with it. Fields that came later
 * are optional: folders of version 0.1 open as they did. What is made of a record: resolve.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { TASKS } from '../../base/tasks';
import type { Tokenizer } from '../../data/tokenize/tokenizer';
import { filesOfTokenizer, readTokenizerFile } from '../../data/tokenize/tokenizer_files';
import type { TruncationSide } from '../../data/tokenize/truncate';
import { BASE_WEIGHTS, type BaseWeights, EMBEDDING_WEIGHTS, type EmbeddingWeights } from '../../graph/base_weights';
import type { Precision } from '../../graph/precision';
import { writeFileAtomic } from '../../io/atomic';
import { type JsonObject, readJsonObject } from '../../io/json';
import { SETTINGS, TOKENIZER_FILES } from '../../io/model_files';
import { expected, validate } from '../../io/validate';
import type { TaskModel } from '../../models';
import { LIMITS } from '../../models/config';
import type { ModelRecord } from './types';

const fields = z.object({
  task: expected.oneOf(TASKS).optional(),
  labelNames: z.array(expected.string(), { error: 'a list of names' }).optional(),
  numLabels: expected.integer(1, LIMITS.num_labels).optional(),
  maxLength: expected.integer(3).optional(),
  truncationSide: expected.oneOf(['left', 'right']).optional(),
  threshold: expected.number(0, 1).optional(),
  pairs: expected.boolean().optional(),
  baseWeights: expected.oneOf(BASE_WEIGHTS).optional(),
  embeddingWeights: expected.oneOf(EMBEDDING_WEIGHTS).optional(),
});

/** @throws FusedLoraError INVALID_CONFIG naming the field. */
export function readRecord(dir: string): ModelRecord | undefined {
  const file = path.join(dir, SETTINGS);
  if (!fs.existsSync(file)) return undefined;
  return validate(fields, readJsonObject(file, 'to know the labels', 'INVALID_CONFIG', { inFolder: true }), file);
}

/** What a record is written of: a TextModel is one. */
export interface Recorded {
  model: TaskModel;
  maxLength: number;
  truncationSide: TruncationSide;
  /** Of multi-label classification. */
  threshold: number;
  /** Whether rows were pairs of texts. */
  pairs: boolean | undefined;
}

/** How products were computed in training. */
export interface TrainedIn {
  precision: Precision;
  baseWeights: BaseWeights;
  embeddingWeights: EmbeddingWeights;
}

/**
 * Writes what opening reads again.
 *
 * @param trained what it was trained in: it may be used in another.
 */
export function writeRecord(
  folder: string,
  { model, maxLength, truncationSide, threshold, pairs }: Recorded,
  { precision, baseWeights = 'fp32', embeddingWeights = 'fp32' }: Partial<TrainedIn> = {},
): void {
  const json: JsonObject = {
    task: model.task,
    maxLength,
    truncationSide,
    ...(precision && { precision }),
    ...(baseWeights !== 'fp32' && { baseWeights }),
    ...(embeddingWeights !== 'fp32' && { embeddingWeights }),
    ...(model.task === 'multi-label-classification' && { threshold }),
    ...(pairs !== undefined && { pairs }),
    ...(model.task === 'regression' && { numLabels: model.numLabels }),
    ...(model.labelNames.length > 0 && { labelNames: model.labelNames }),
  };
  writeFileAtomic(path.join(folder, SETTINGS), `${JSON.stringify(json, null, 2)}\n`);
}

/** What a tokenizer is written of: a TextModel is one. */
export interface RecordedTokenizer extends Pick<Recorded, 'maxLength' | 'truncationSide'> {
  tokenizer: Pick<Tokenizer, 'modelMaxLength' | 'truncationSide'>;
  tokenizerDir: string;
  model: { readonly maxLength: number };
}

/**
 * Copies a tokenizer's files, with the length and side that the model has now in
 * tokenizer_config.json, where they are others than its own: transformers cuts texts by them.
 */
export function writeTokenizer(
  folder: string,
  { tokenizer, tokenizerDir, maxLength, truncationSide, model }: RecordedTokenizer,
): void {
  copyTokenizer(tokenizerDir, folder);
  const chosen = {
    ...(maxLength !== (tokenizer.modelMaxLength ?? model.maxLength) && { model_max_length: maxLength }),
    ...(truncationSide !== tokenizer.truncationSide && { truncation_side: truncationSide }),
  };
  if (Object.keys(chosen).length === 0) return;
  const json = { ...tokenizerConfig(tokenizerDir), ...chosen };
  writeFileAtomic(path.join(folder, TOKENIZER_CONFIG), `${JSON.stringify(json, null, 2)}\n`);
}

const TOKENIZER_CONFIG = 'tokenizer_config.json';

function tokenizerConfig(dir: string): JsonObject {
  const file = path.join(dir, TOKENIZER_CONFIG);
  return fs.existsSync(file)
    ? readJsonObject(file, 'to know the tokenizer', 'INVALID_TOKENIZER', { inFolder: true })
    : {};
}

/**
 * Copies the files that a tokenizer is read from, and those alone: what else lies in a folder, or
 * where its links lead, is nobody's who opens it.
 *
 * @throws FusedLoraError INVALID_TOKENIZER for a file that could not be read as part of it.
 */
export function copyTokenizer(from: string, to: string): void {
  for (const name of filesOfTokenizer(from)) {
    fs.writeFileSync(path.join(to, name), readTokenizerFile(path.join(from, name)), { flag: 'wx' });
  }
}

/** Whether a folder has the files of a whole tokenizer. */
export function hasTokenizer(dir: string): boolean {
  const has = (name: string) => fs.existsSync(path.join(dir, name));
  return has('tokenizer.json') || has('vocab.txt') || (has('vocab.json') && has('merges.txt'));
}

/**
 * Whether the files of two tokenizers are the same, but for length and side: those are decided by
 * themselves.
 */
export function sameTokenizer(one: string, other: string): boolean {
  if (path.resolve(one) === path.resolve(other)) return true;
  const read = (dir: string, name: string) => {
    const file = path.join(dir, name);
    if (!fs.existsSync(file)) return Buffer.alloc(0);
    if (name !== TOKENIZER_CONFIG) return readTokenizerFile(file);
    const { model_max_length: _, truncation_side: __, ...others } = tokenizerConfig(dir);
    return Buffer.from(JSON.stringify(others));
  };
  return TOKENIZER_FILES.every((name) => read(one, name).equals(read(other, name)));
}
