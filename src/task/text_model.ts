/** A model folder or an adapter folder with its tokenizer: what text goes into and what names come out. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer';
import { FusedLoraError } from '../errors';
import type { Precision } from '../graph/precision';
import { writeFileAtomic } from '../io/atomic';
import { type JsonObject, readJsonObject } from '../io/json';
import { expected, validate } from '../io/validate';
import { loadAdapter } from '../lora';
import { type LoadModelOptions, type LoadReport, loadModel, TASKS, type Task, type TaskModel } from '../models';

const ADAPTER_CONFIG = 'adapter_config.json';
/** What neither PEFT nor transformers has a place for: label names of an adapter, and how long texts may be. */
const SETTINGS = 'fused_lora.json';

/** Files of a tokenizer, which travel with a model. */
const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
];

const settingsFields = z.object({
  task: expected.oneOf(TASKS).optional(),
  labelNames: z.array(expected.string(), { error: 'a list of names' }).optional(),
  maxLength: expected.integer(3).optional(),
});

export interface OpenTextModelOptions extends LoadModelOptions {
  /** Folder of a PEFT adapter to put on the model. Default: `dir` itself where it is one. */
  adapter?: string | undefined;
  /** The base model of an adapter folder. Default: the base_model_name_or_path in its adapter_config.json. */
  baseModel?: string | undefined;
  /** Folder of the tokenizer. Default: the base model's. */
  tokenizer?: string | undefined;
  /** Most tokens of a text, special tokens counted. Default: what the folder says, else 128, at most what the model takes. */
  maxLength?: number | undefined;
}

export interface TextModel {
  model: TaskModel;
  tokenizer: Tokenizer;
  maxLength: number;
  /** What the checkpoint did not decide. */
  report: LoadReport;
  /** Folder of the (base) model. */
  baseModel: string;
  /** Folder of the adapter that is on it. */
  adapter: string | undefined;
}

const isAdapter = (dir: string) => fs.existsSync(path.join(dir, ADAPTER_CONFIG));

/** The folder that an adapter says it was trained on: as it stands, or beside the adapter. */
function baseModelOf(adapter: string): string {
  const config = readJsonObject(path.join(adapter, ADAPTER_CONFIG), 'to find the base model', 'INVALID_CONFIG');
  const name = config['base_model_name_or_path'];
  const found = typeof name === 'string' && [name, path.resolve(adapter, name)].find((dir) => fs.existsSync(dir));
  if (found) return found;
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${adapter}: is an adapter of ${typeof name === 'string' ? `"${name}", which is no folder here` : 'a model that it does not name'}. ` +
      'Give the folder of its base model (--model DIR with --adapter, baseModel in code).',
  );
}

function readSettings(dir: string): z.output<typeof settingsFields> {
  const file = path.join(dir, SETTINGS);
  if (!fs.existsSync(file)) return {};
  return validate(settingsFields, readJsonObject(file, 'to know the labels', 'INVALID_CONFIG'), file);
}

/**
 * Opens a Hugging Face model folder, or a PEFT adapter folder with the base model that it names.
 *
 * @throws FusedLoraError what `loadModel`, `loadAdapter` and `loadTokenizer` throw.
 */
export async function openTextModel(dir: string, options: OpenTextModelOptions = {}): Promise<TextModel> {
  const { adapter = isAdapter(dir) ? dir : undefined, baseModel, tokenizer, maxLength, ...modelOptions } = options;
  const base = baseModel ?? (adapter === dir ? baseModelOf(dir) : dir);
  const settings = readSettings(adapter ?? base);
  const { model, report } = loadModel(base, {
    ...modelOptions,
    task: modelOptions.task ?? settings.task,
    labelNames: modelOptions.labelNames ?? (modelOptions.numLabels === undefined ? settings.labelNames : undefined),
  });
  if (adapter !== undefined) loadAdapter(model, adapter);
  return {
    model,
    tokenizer: loadTokenizer(tokenizer ?? base),
    maxLength: checkedMaxLength(maxLength ?? settings.maxLength, model),
    report,
    baseModel: base,
    adapter,
  };
}

function checkedMaxLength(maxLength: number | undefined, model: TaskModel): number {
  if (maxLength === undefined) return Math.min(128, model.maxLength);
  if (Number.isSafeInteger(maxLength) && maxLength >= 3 && maxLength <= model.maxLength) return maxLength;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `maxLength is ${maxLength}; it must be a whole number from 3 to ${model.maxLength}, the positions that the model has`,
  );
}

/**
 * Writes what {@link openTextModel} reads beside a model or an adapter.
 * @param precision that it was trained in, for the record: it may be used in another.
 */
export function writeSettings(folder: string, model: TaskModel, maxLength: number, precision?: Precision): void {
  const settings: { task: Task; labelNames?: string[]; maxLength: number; precision?: Precision } = {
    task: model.task,
    maxLength,
    ...(precision && { precision }),
  };
  if (model.labelNames.length > 0) settings.labelNames = model.labelNames;
  const json: JsonObject = { ...settings };
  writeFileAtomic(path.join(folder, SETTINGS), `${JSON.stringify(json, null, 2)}\n`);
}

/** Copies a tokenizer's files. */
export function copyTokenizer(from: string, to: string): void {
  for (const name of TOKENIZER_FILES) {
    const file = path.join(from, name);
    if (fs.existsSync(file)) fs.copyFileSync(file, path.join(to, name));
  }
}
