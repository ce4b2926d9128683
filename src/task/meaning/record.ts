/**
 * fused_lora.json: what neither PEFT nor transformers has a place for, beside an adapter or a whole
 * model, read and written; and the tokenizer's files that travel with it. Fields that came later
 * are optional: folders of version 0.1 open as they did. What is made of a record: resolve.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { TASKS } from '../../base/tasks';
import type { TruncationSide } from '../../data/tokenize/truncate';
import type { Precision } from '../../graph/precision';
import { writeFileAtomic } from '../../io/atomic';
import { type JsonObject, readJsonObject } from '../../io/json';
import { SETTINGS, TOKENIZER_FILES } from '../../io/model_files';
import { expected, validate } from '../../io/validate';
import type { TaskModel } from '../../models';
import type { ModelRecord } from './types';

const fields = z.object({
  task: expected.oneOf(TASKS).optional(),
  labelNames: z.array(expected.string(), { error: 'a list of names' }).optional(),
  numLabels: expected.integer(1).optional(),
  maxLength: expected.integer(3).optional(),
  truncationSide: expected.oneOf(['left', 'right']).optional(),
  threshold: expected.number(0, 1).optional(),
  pairs: expected.boolean().optional(),
});

/** @throws FusedLoraError INVALID_CONFIG naming the field. */
export function readRecord(dir: string): ModelRecord | undefined {
  const file = path.join(dir, SETTINGS);
  if (!fs.existsSync(file)) return undefined;
  return validate(fields, readJsonObject(file, 'to know the labels', 'INVALID_CONFIG'), file);
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

/**
 * Writes what opening reads again.
 *
 * @param precision that it was trained in: it may be used in another.
 */
export function writeRecord(
  folder: string,
  { model, maxLength, truncationSide, threshold, pairs }: Recorded,
  precision?: Precision,
): void {
  const json: JsonObject = {
    task: model.task,
    maxLength,
    truncationSide,
    ...(precision && { precision }),
    ...(model.task === 'multi-label-classification' && { threshold }),
    ...(pairs !== undefined && { pairs }),
    ...(model.task === 'regression' && { numLabels: model.numLabels }),
    ...(model.labelNames.length > 0 && { labelNames: model.labelNames }),
  };
  writeFileAtomic(path.join(folder, SETTINGS), `${JSON.stringify(json, null, 2)}\n`);
}

/** Copies a tokenizer's files. */
export function copyTokenizer(from: string, to: string): void {
  for (const name of TOKENIZER_FILES) {
    const file = path.join(from, name);
    if (fs.existsSync(file)) fs.copyFileSync(file, path.join(to, name));
  }
}

/** Whether a folder has the files of a whole tokenizer. */
export function hasTokenizer(dir: string): boolean {
  const has = (name: string) => fs.existsSync(path.join(dir, name));
  return has('tokenizer.json') || has('vocab.txt') || (has('vocab.json') && has('merges.txt'));
}

/** Whether the files of two tokenizers are the same bytes. */
export function sameTokenizer(one: string, other: string): boolean {
  if (path.resolve(one) === path.resolve(other)) return true;
  const read = (dir: string, name: string) => {
    const file = path.join(dir, name);
    return fs.existsSync(file) ? fs.readFileSync(file) : Buffer.alloc(0);
  };
  return TOKENIZER_FILES.every((name) => read(one, name).equals(read(other, name)));
}
