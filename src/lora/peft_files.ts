/** PEFT adapter folders: adapter_config.json and adapter_model.safetensors. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import type { Parameter } from '../graph/parameter';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic';
import { type JsonObject, readJsonObject } from '../io/json';
import { SafetensorsFile, type TensorData, type TensorInfo, tensorSource, writeSafetensors } from '../io/safetensors';
import type { Module } from '../nn';
import { stateMismatch } from '../nn/state';
import type { LoraConfig } from './config';
import { type AdapterPlan, applyPlan, planAdapter } from './inject';
import { ModulesToSave } from './modules_to_save';
import { configFromPeft, configToPeft } from './peft_config';
import { adapterEntry } from './registry';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PREFIX = 'base_model.model.';

/** The key of a parameter in adapter_model.safetensors: PEFT's prefix, and no adapter name. */
export function peftNameOf(parameterPath: string): string {
  return (
    PREFIX +
    parameterPath.replace(/\.(lora_[AB])\.[^.]+\.weight$/, '.$1.weight').replace(/\.modules_to_save\.[^.]+\./, '.')
  );
}

/** The parameters that belong to an adapter, by their keys in its file: A and B, copies of saved modules, trained biases. */
export function adapterParameters(model: Module, name: string): Map<string, Parameter> {
  const { config, targets } = adapterEntry(model, name);
  const found = new Map<string, Parameter>();
  for (const [parameterPath, parameter] of model.namedParameters()) {
    const own = /\.(?:lora_[AB]|modules_to_save)\.([^.]+)\./.exec(parameterPath)?.[1];
    const bias =
      (config.bias === 'all' && /(^|\.)bias$/.test(parameterPath)) ||
      (config.bias === 'lora_only' && targets.some((target) => parameterPath === `${target.path}.base_layer.bias`));
    if (own === undefined ? bias : own === name) found.set(peftNameOf(parameterPath), parameter);
  }
  return found;
}

/** Keys and shapes that the file of a planned adapter must have. */
function expectedShapes(model: Module, plan: AdapterPlan): Map<string, readonly number[]> {
  const { config, targets, saved } = plan;
  const shapes = new Map<string, readonly number[]>();
  for (const { path: at, module, rank } of targets) {
    shapes.set(`${PREFIX}${at}.lora_A.weight`, [rank, module.inFeatures]);
    shapes.set(`${PREFIX}${at}.lora_B.weight`, [module.outFeatures, rank]);
  }
  for (const head of saved) {
    const module = model.getSubmodule(head);
    const original = module instanceof ModulesToSave ? module.original : module;
    for (const [at, parameter] of original.namedParameters()) shapes.set(`${PREFIX}${head}.${at}`, parameter.shape);
  }
  const adapted = new Set(targets.map((target) => target.path));
  for (const [at, parameter] of config.bias === 'none' ? [] : model.namedParameters()) {
    const owner = at.replace(/(^|\.)bias$/, '');
    if (owner === at || saved.some((head) => at.startsWith(`${head}.`))) continue;
    if (adapted.has(owner)) shapes.set(`${PREFIX}${owner}.base_layer.bias`, parameter.shape);
    else if (config.bias === 'all') shapes.set(PREFIX + at, parameter.shape);
  }
  return shapes;
}

/** Of {@link saveAdapter}. */
export interface SaveAdapterOptions {
  /** Default: `default`. Any other name becomes a sub-folder, as in PEFT. */
  name?: string;
  /** Written as base_model_name_or_path, which PEFT and people read. Default: what the adapter was loaded with, else null. */
  baseModel?: string;
  /** Its revision on the hub, where it is of there. */
  revision?: string | undefined;
  /** Writes more files (a tokenizer, say) into the folder before it becomes visible. */
  extra?: (folder: string) => void;
}

/**
 * Writes an adapter as PEFT does: adapter_config.json and adapter_model.safetensors (F32) with A, B, the copy of the head and trained
 * biases. The files are seen whole or not at all.
 *
 * @returns the folder: dir, or dir/name for a name other than default.
 * @throws FusedLoraError FILE_NOT_WRITABLE; INVALID_ARGUMENT for an adapter that is not there.
 */
export function saveAdapter(model: Module, dir: string, options: string | SaveAdapterOptions = {}): string {
  const { name = 'default', baseModel, revision, extra } = typeof options === 'string' ? { name: options } : options;
  const entry = adapterEntry(model, name);
  const task = (model as { task?: unknown }).task;
  const json = configToPeft(entry, { baseModel, revision, task: typeof task === 'string' ? task : undefined });
  const tensors = [...adapterParameters(model, name)].map(([key, parameter]): [string, TensorData] => [
    key,
    { dtype: 'F32', shape: parameter.shape, data: () => parameter.data() },
  ]);
  const folder = name === 'default' ? dir : path.join(dir, name);
  writeFolderAtomic(folder, (temporary) => {
    writeSafetensors(path.join(temporary, WEIGHTS), tensors);
    writeFileAtomic(path.join(temporary, CONFIG), JSON.stringify(json, null, 2));
    extra?.(temporary);
  });
  return folder;
}

/** The tensors of an adapter file by their plain keys. PEFT with bias "all" writes copies of the head's biases under more names. */
function readKeys(file: SafetensorsFile): Map<string, TensorInfo> {
  const found = new Map<string, TensorInfo>();
  for (const [key, info] of file.tensors) {
    if (key.includes('.original_module.')) continue;
    const plain = key.replace(/\.modules_to_save\.(?:[^.]+\.(?=.*\.))?/, '.');
    if (plain === key || !file.tensors.has(plain)) found.set(plain, info);
  }
  return found;
}

/** Of {@link loadAdapter}. */
export interface LoadAdapterOptions {
  /** Name that the adapter gets in the model. Default: `default`. */
  name?: string;
  /** Whether it is trained further. Default false. */
  trainable?: boolean;
}

function findFolder(dir: string, name: string): string {
  const folder = [dir, path.join(dir, name)].find((candidate) => fs.existsSync(path.join(candidate, CONFIG)));
  if (folder !== undefined) return folder;
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${dir}: has no ${CONFIG}${name === 'default' ? '' : `, nor has ${path.join(dir, name)}`}. Give the folder of a PEFT adapter.`,
  );
}

/**
 * Adds an adapter with values to a model; nothing is changed when names or shapes do not fit.
 *
 * @param tensors by PEFT key; values are read when they are needed.
 * @param source for errors: the file.
 */
export function addLoadedAdapter(
  model: Module,
  config: LoraConfig,
  tensors: Map<string, TensorInfo>,
  source: string,
  options: LoadAdapterOptions & { json?: JsonObject },
): string[] {
  const { name = 'default', trainable = false, json } = options;
  const plan = planAdapter(model, config, name);
  const expected = expectedShapes(model, plan);
  const missing = [...expected.keys()].filter((key) => !tensors.has(key));
  const unexpected = [...tensors.keys()].filter((key) => !expected.has(key));
  const misshapen = [...expected].flatMap(([key, shape]) => {
    const got = tensors.get(key)?.shape;
    return got && got.join() !== shape.join() ? [`${key}: [${got.join(', ')}], expected [${shape.join(', ')}]`] : [];
  });
  if (missing.length + unexpected.length + misshapen.length > 0) {
    throw stateMismatch(
      `adapter "${name}" of ${model.constructor.name} (${source})`,
      { missing, unexpected, misshapen },
      'Nothing was changed. Load the base model and task (number of labels) that the adapter was trained on.',
    );
  }
  const adapted = applyPlan(model, plan, name, { trainable });
  for (const [key, parameter] of adapterParameters(model, name)) {
    const info = tensors.get(key) as TensorInfo;
    parameter.setSource(tensorSource(info));
  }
  adapterEntry(model, name).json = json;
  return adapted;
}

/**
 * Adds the adapter of a PEFT folder to a model. It becomes the one active adapter, frozen unless `trainable`.
 *
 * @param dir folder with adapter_config.json, or one that has it in a sub-folder of the adapter's name.
 * @returns paths of the adapted modules.
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT, INVALID_LORA; STATE_MISMATCH when the tensors do not fit
 * the model. The model is unchanged then.
 */
export function loadAdapter(model: Module, dir: string, options: string | LoadAdapterOptions = {}): string[] {
  const given = typeof options === 'string' ? { name: options } : options;
  const folder = findFolder(dir, given.name ?? 'default');
  const file = path.join(folder, CONFIG);
  const json = readJsonObject(file, 'to load the adapter', 'INVALID_CONFIG');
  const config = configFromPeft(json, file);
  const weights = path.join(folder, WEIGHTS);
  if (!fs.existsSync(weights)) {
    const bin = fs.existsSync(path.join(folder, 'adapter_model.bin'));
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${folder}: has no ${WEIGHTS}.${bin ? ' adapter_model.bin is a pickle, which can run code; save the adapter again with safe_serialization=True.' : ''}`,
    );
  }
  return addLoadedAdapter(model, config, readKeys(SafetensorsFile.open(weights)), weights, { ...given, json });
}
