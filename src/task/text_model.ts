/**
 * A model or adapter with its tokenizer: what text goes into and what names come out.
 * Where their folders are is found in src/io/find_model.ts, and asked of the hub once.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import { checkKeys, compact } from '../base/options';
import { TASKS, type Task } from '../base/tasks';
import { loadTokenizer, type Tokenizer } from '../data/tokenize/tokenizer';
import type { Precision } from '../graph/precision';
import { writeFileAtomic } from '../io/atomic';
import { type FoundModel, findBaseModel, findModel, isAdapter } from '../io/find_model';
import { type FetchOptions, HUB_KEYS, type HubOptions } from '../io/hub';
import { type JsonObject, readJsonObject } from '../io/json';
import { SETTINGS, TOKENIZER_FILES } from '../io/model_files';
import { expected, validate } from '../io/validate';
import { loadAdapter } from '../lora';
import { notReplaced } from '../lora/registry';
import { type LoadModelOptions, type LoadReport, loadModel, type TaskModel } from '../models';
import { LOAD_KEYS } from '../models/auto';
import { DEFAULT_MAX_LENGTH } from './options/defaults';

const settingsFields = z.object({
  task: expected.oneOf(TASKS).optional(),
  labelNames: z.array(expected.string(), { error: 'a list of names' }).optional(),
  maxLength: expected.integer(3).optional(),
});

/** Of {@link openTextModel}. */
export interface OpenTextModelOptions extends LoadModelOptions, HubOptions {
  /**
   * A PEFT adapter to put on the model: a folder, or a name on the hub. Default: `model` itself
   * where it is one.
   */
  adapter?: string | undefined;
  /**
   * The base model of an adapter folder. Default: the base_model_name_or_path in its
   * adapter_config.json.
   */
  baseModel?: string | undefined;
  /** Branch, tag or commit of `model` on the hub. Default: main. */
  revision?: string | undefined;
  /** Folder of the tokenizer, or its name on the hub. Default: the base model's. */
  tokenizer?: string | undefined;
  /**
   * Most tokens of a text, special tokens counted. Default: what the folder says, else 128, at most
   * what the model takes.
   */
  maxLength?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told what is downloaded. */
  onNotice?: ((line: string) => void) | undefined;
}

export const OPEN_KEYS: Record<keyof OpenTextModelOptions, true> = {
  ...HUB_KEYS,
  adapter: true,
  baseModel: true,
  revision: true,
  tokenizer: true,
  maxLength: true,
  signal: true,
  onNotice: true,
  ...LOAD_KEYS,
};

/** A model with its tokenizer, and where both came from. */
export interface TextModel {
  model: TaskModel;
  tokenizer: Tokenizer;
  maxLength: number;
  /** What the checkpoint did not decide. */
  report: LoadReport;
  /** Folder of the (base) model. */
  baseModel: string;
  /**
   * What an adapter on it names as its base model, with the revision where it is of the hub: see
   * `saveAdapter`.
   */
  baseModelName: string;
  baseModelRevision: string | undefined;
  /** Folder of the adapter that is on it. */
  adapter: string | undefined;
}

function readSettings(dir: string): z.output<typeof settingsFields> {
  const file = path.join(dir, SETTINGS);
  if (!fs.existsSync(file)) return {};
  return validate(settingsFields, readJsonObject(file, 'to know the labels', 'INVALID_CONFIG'), file);
}

/**
 * Opens a model, or a PEFT adapter with the base model that it names.
 *
 * @param model a Hugging Face model folder or PEFT adapter folder, or the name of one on the hub
 * (`roberta-base`, `owner/name`), which is downloaded once: see `fetchModel`.
 * @throws FusedLoraError what `fetchModel`, `loadModel`, `loadAdapter` and `loadTokenizer` throw.
 */
export async function openTextModel(model: string, options: OpenTextModelOptions = {}): Promise<TextModel> {
  checkKeys('openTextModel', options, OPEN_KEYS);
  const { adapter, baseModel, revision, tokenizer, maxLength, ...others } = options;
  const { token, cacheDir, offline, signal, onNotice, ...modelOptions } = others;
  const hub = compact({ token, cacheDir, offline, signal, onNotice });
  const folders = await locateModel(model, { adapter, baseModel, revision, tokenizer }, hub);
  return openFolders(folders, { ...modelOptions, maxLength, onNotice });
}

/** Where the parts of a text model are. */
export interface ModelFolders {
  /** The model, or the one that the adapter belongs on. */
  base: FoundModel;
  /** Folder of the adapter. */
  adapter: string | undefined;
  /** Folder of the tokenizer. */
  tokenizer: string;
}

/**
 * Finds the folders of a model, each name asked of the hub once: what is read later is what was
 * found now.
 *
 * @throws FusedLoraError what `fetchModel` throws.
 */
export async function locateModel(
  model: string,
  parts: Pick<OpenTextModelOptions, 'adapter' | 'baseModel' | 'revision' | 'tokenizer'>,
  hub: FetchOptions,
): Promise<ModelFolders> {
  const { adapter, baseModel, revision, tokenizer } = parts;
  const given = await findModel(model, { ...hub, revision });
  const adapterDir =
    adapter !== undefined ? (await findModel(adapter, hub)).folder : isAdapter(given.folder) ? given.folder : undefined;
  const base =
    baseModel !== undefined
      ? await findModel(baseModel, hub)
      : adapterDir === given.folder
        ? await findBaseModel(given.folder, hub)
        : given;
  const tokenizerDir =
    tokenizer === undefined ? base.folder : (await findModel(tokenizer, { ...hub, tokenizerOnly: true })).folder;
  return { base, adapter: adapterDir, tokenizer: tokenizerDir };
}

/**
 * Opens what {@link locateModel} found.
 *
 * @throws FusedLoraError what `loadModel`, `loadAdapter` and `loadTokenizer` throw.
 */
export function openFolders(
  { base, adapter, tokenizer }: ModelFolders,
  options: LoadModelOptions & Pick<OpenTextModelOptions, 'maxLength' | 'onNotice'>,
): TextModel {
  const { maxLength, onNotice, ...modelOptions } = options;
  const settings = readSettings(adapter ?? base.folder);
  const loaded = loadModel(base.folder, {
    ...modelOptions,
    task: modelOptions.task ?? settings.task,
    labelNames: modelOptions.labelNames ?? (modelOptions.numLabels === undefined ? settings.labelNames : undefined),
  });
  if (adapter !== undefined) {
    loadAdapter(loaded.model, adapter, { onNotice });
    loaded.report.initialized = notReplaced(loaded.model, loaded.report.initialized);
    const lacking = loaded.report.initialized.join(', ');
    if (lacking !== '') onNotice?.(`new and untrained, in neither the base model nor the adapter: ${lacking}`);
  }
  const textTokenizer = loadTokenizer(tokenizer);
  textTokenizer.checkRows(loaded.model.vocabSize, base.folder);
  return {
    model: loaded.model,
    tokenizer: textTokenizer,
    maxLength: checkedMaxLength(maxLength ?? settings.maxLength, loaded.model),
    report: loaded.report,
    baseModel: base.folder,
    baseModelName: base.name,
    baseModelRevision: base.revision,
    adapter,
  };
}

function checkedMaxLength(maxLength: number | undefined, model: TaskModel): number {
  if (maxLength === undefined) return Math.min(DEFAULT_MAX_LENGTH, model.maxLength);
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
