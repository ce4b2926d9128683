/**
 * PEFT adapter folders: adapter_config.json and adapter_model.safetensors put on a model, and
 * written from one. The forms of their keys are in adapter_keys.ts, the configuration in
 * peft_config.ts; what a folder says before a model is built, in adapter_facts.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { printable } from '../base/printable';
import type { TaskSettings } from '../base/tasks';
import type { Parameter } from '../graph/parameter';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic';
import { type JsonObject, readJsonObject } from '../io/json';
import { ADAPTER_CONFIG as CONFIG, SUBSPACE_TYPE, ADAPTER_WEIGHTS as WEIGHTS } from '../io/model_files';
import { SafetensorsFile, type TensorData, type TensorInfo, tensorSource, writeSafetensors } from '../io/safetensors';
import { Embedding, type Module } from '../nn';
import { stateMismatch } from '../nn/state';
import { HEADS, impliedModules, PREFIX, plainKeys, rooted, rootOf } from './adapter_keys';
import { type LoraConfig, readingFrom } from './config';
import { type AdapterPlan, applyPlan, headRows, type PlanOptions, planAdapter } from './inject';
import { ModulesToSave } from './modules_to_save';
import { configFromPeft, configToPeft, headIsTarget } from './peft_config';
import { checkPeftFields } from './peft_fields';
import { adapterEntry, headSettings } from './registry';

/** The key of a parameter in adapter_model.safetensors: PEFT's prefix, and no adapter name. */
export function peftNameOf(parameterPath: string): string {
  return (
    PREFIX +
    parameterPath.replace(/\.(lora_[AB])\.[^.]+\.weight$/, '.$1.weight').replace(/\.modules_to_save\.[^.]+\./, '.')
  );
}

/**
 * The parameters that belong to an adapter, by their keys in its file: A and B, copies of saved
 * modules, trained biases.
 */
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
    for (const [at, parameter] of original.namedParameters()) {
      const [rows, ...rest] = parameter.shape;
      // Of a head its last layer alone.
      const own = /^(?:out_proj\.)?(?:weight|bias)$/.test(at) ? plan.rows?.get(head) : undefined;
      shapes.set(`${PREFIX}${head}.${at}`, [own ?? (rows as number), ...rest]);
    }
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
  /**
   * Written as base_model_name_or_path, which PEFT and people read. Default: what the adapter was
   * loaded with, else null.
   */
  baseModel?: string;
  /** Its revision on the hub, where it is of there. */
  revision?: string | undefined;
  /** Writes more files (a tokenizer, say) into the folder before it becomes visible. */
  extra?: (folder: string) => void;
}

/**
 * Writes an adapter as PEFT does: adapter_config.json and adapter_model.safetensors (F32) with A,
 * B, the copy of the head and trained biases. The files are seen whole or not at all.
 *
 * @returns the folder: dir, or dir/name for a name other than default.
 * @throws FusedLoraError FILE_NOT_WRITABLE; INVALID_ARGUMENT for an adapter that is not there.
 */
export function saveAdapter(model: Module, dir: string, options: string | SaveAdapterOptions = {}): string {
  const { name = 'default', baseModel, revision, extra } = typeof options === 'string' ? { name: options } : options;
  const entry = adapterEntry(model, name);
  const json = configToPeft(entry, { baseModel, revision, task: headSettings(model, name)?.task });
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

/** Of {@link loadAdapter}. */
export interface LoadAdapterOptions {
  /** Name that the adapter gets in the model. Default: `default`. */
  name?: string;
  /** Whether it is trained further. Default false. */
  trainable?: boolean;
  /**
   * Told what is taken in another way than the file may mean it. Default: a warning of the process.
   */
  onNotice?: ((line: string) => void) | undefined;
  /**
   * What the adapter's head is for, where its task or labels are others than the model's. While it
   * is active the model's task and labels are these. Default: what the model's own is for.
   */
  head?: TaskSettings | undefined;
}

/**
 * The folder that holds adapter_config.json: dir, or its sub-folder of the adapter's name.
 *
 * @throws FusedLoraError FILE_NOT_FOUND.
 */
export function findAdapterFolder(dir: string, name: string): string {
  const folder = [dir, path.join(dir, name)].find((candidate) => fs.existsSync(path.join(candidate, CONFIG)));
  if (folder !== undefined) return folder;
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${dir}: has no ${CONFIG}${name === 'default' ? '' : `, nor has ${path.join(dir, name)}`}. Give the folder of a PEFT adapter.`,
  );
}

/**
 * The path of adapter_model.safetensors.
 *
 * @throws FusedLoraError FILE_NOT_FOUND, with the way out where the weights are a pickle.
 */
export function openAdapterWeights(folder: string): string {
  const weights = path.join(folder, WEIGHTS);
  if (fs.existsSync(weights)) return weights;
  const bin = fs.existsSync(path.join(folder, 'adapter_model.bin'));
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${folder}: has no ${WEIGHTS}.${bin ? ' adapter_model.bin is a pickle, which can run code; save the adapter again with safe_serialization=True.' : ''}`,
  );
}

/** Embeddings that the file has with another number of rows: the vocabulary was resized. */
function resizedEmbeddings(model: Module, saved: readonly string[], tensors: ReadonlyMap<string, TensorInfo>) {
  const rows = new Map<string, number>();
  const all = model.namedParameters({ all: true });
  for (const head of saved) {
    const module = model.getSubmodule(head);
    const original = module instanceof ModulesToSave ? module.original : module;
    const [count, width, ...more] = tensors.get(`${PREFIX}${head}.weight`)?.shape ?? [];
    if (!(original instanceof Embedding && head.endsWith('word_embeddings')) || count === undefined) continue;
    const tied = all.filter(([, parameter]) => parameter === original.weight).length > 1;
    if (tied || width !== original.embeddingDim || more.length > 0) continue;
    if (count !== original.numEmbeddings) rows.set(head, count);
  }
  return rows;
}

/** What a file holds that is left out, though it is no part of the model. */
function leaveOut(model: Module, tensors: Map<string, TensorInfo>, root: string): string[] {
  const pooler = `${PREFIX}${root}.pooler.`;
  const encoder = root === '' ? undefined : model.getSubmodule(root);
  if (!encoder || encoder.namedChildren().some(([name]) => name === 'pooler')) return [];
  const left = [...tensors.keys()].filter((key) => key.startsWith(pooler));
  for (const key of left) tensors.delete(key);
  return left;
}

/**
 * The configuration of an adapter of a bare encoder, in paths from the model: as it is written
 * again.
 */
function inPaths({ config, targets }: AdapterPlan): void {
  config.targetModules = targets.map(({ path: at }) => at);
  config.rankPattern = Object.fromEntries(targets.filter((t) => t.rank !== config.r).map((t) => [t.path, t.rank]));
  config.alphaPattern = Object.fromEntries(
    targets.filter((t) => t.alpha !== config.loraAlpha).map((t) => [t.path, t.alpha]),
  );
  config.excludeModules = undefined;
  config.layersToTransform = undefined;
  config.layersPattern = undefined;
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
  options: LoadAdapterOptions & { json?: JsonObject | undefined; plan?: PlanOptions },
): string[] {
  const { name = 'default', trainable = false, json } = options;
  const plan = planAdapter(model, config, name, options.plan);
  plan.rows = new Map([...resizedEmbeddings(model, plan.saved, tensors), ...headRows(model, plan.saved, options.head)]);
  const expected = expectedShapes(model, plan);
  const missing = [...expected.keys()].filter((key) => !tensors.has(key));
  const unexpected = [...tensors.keys()].filter((key) => !expected.has(key));
  const misshapen = [...expected].flatMap(([key, shape]) => {
    const got = tensors.get(key)?.shape;
    return got && got.join() !== shape.join() ? [`${key}: [${got.join(', ')}], expected [${shape.join(', ')}]`] : [];
  });
  const absent = plan.saved.filter((at) => ![...tensors.keys()].some((key) => key.startsWith(`${PREFIX}${at}.`)));
  if (absent.length > 0) {
    throw new FusedLoraError(
      'STATE_MISMATCH',
      `${source}: has no values of ${absent.join(', ')}, which ${CONFIG} says are saved with the adapter (modules_to_save). ` +
        'Save the adapter again with its head, or take modules_to_save out and train one.',
    );
  }
  if (missing.length + unexpected.length + misshapen.length > 0) {
    throw stateMismatch(
      `adapter "${name}" of ${model.constructor.name} (${source})`,
      { missing, unexpected, misshapen },
      'Nothing was changed. Load the base model and task (number of labels) that the adapter was trained on.',
    );
  }
  if (options.plan?.root) inPaths(plan);
  const adapted = applyPlan(model, plan, name, { trainable, head: options.head });
  for (const [key, parameter] of adapterParameters(model, name)) {
    const info = tensors.get(key) as TensorInfo;
    parameter.setSource(tensorSource(info));
  }
  adapterEntry(model, name).json = json;
  return adapted;
}

/** Refuses weights that PEFT would tie, and that are separate here. */
function checkTying(model: Module, json: JsonObject, saved: readonly string[], file: string): void {
  if (json['ensure_weight_tying'] !== true) return;
  const all = model.namedParameters({ all: true });
  const tied = all.find(([at, parameter]) => {
    const inside = saved.some((outer) => at.startsWith(`${outer}.`));
    return inside && all.some(([other, same]) => other !== at && same === parameter);
  });
  if (!tied) return;
  throw new FusedLoraError(
    'INVALID_CONFIG',
    `${file}: field "ensure_weight_tying" is true; expected false: "${tied[0]}" is saved whole and shares its values with another module, ` +
      'and a copy that both use is not supported.',
  );
}

/**
 * Adds the adapter of a PEFT folder to a model. It becomes the one active adapter, frozen unless
 * `trainable`. An adapter that was put on a bare encoder goes to the encoder of this model; a word
 * embedding of another size takes the place of the model's.
 *
 * @param dir folder with adapter_config.json, or one that has it in a sub-folder of the adapter's
 * name.
 * @returns paths of the adapted modules.
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT, INVALID_LORA;
 * STATE_MISMATCH when the tensors do not fit the model. The model is unchanged then.
 */
export function loadAdapter(model: Module, dir: string, options: string | LoadAdapterOptions = {}): string[] {
  const given = typeof options === 'string' ? { name: options } : options;
  const tell = given.onNotice ?? ((line: string) => process.emitWarning(printable(line), { type: 'FusedLoraWarning' }));
  const folder = findAdapterFolder(dir, given.name ?? 'default');
  const file = path.join(folder, CONFIG);
  const json = readJsonObject(file, 'to load the adapter', 'INVALID_CONFIG', { inFolder: true });
  if (json['peft_type'] === SUBSPACE_TYPE) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${folder}: is a point in a subspace of all weights, and no adapter that a model can have beside others. ` +
        'Open it by itself (openTextModel), or merge it into a model first (fused-lora merge).',
    );
  }
  const config = configFromPeft(json, file);
  const notices = checkPeftFields(json, file, given.trainable === true);
  const weights = openAdapterWeights(folder);
  const plain = plainKeys(SafetensorsFile.open(weights, { inFolder: true }).tensors);
  const root = rootOf(model, plain.keys());
  const tensors = rooted(plain, root);
  const left = leaveOut(model, tensors, root);
  if (left.length > 0) {
    notices.push(`${weights}: ${left.length} tensors of a pooler are left out: ${model.constructor.name} has none`);
  }
  const implied = (saved: readonly string[]) => {
    checkTying(model, json, saved, file);
    return impliedModules(model, tensors.keys(), saved, config.bias !== 'none');
  };
  const heads = headIsTarget(json);
  const plan = { root, headIsTarget: heads, keptOff: heads ? [] : HEADS, anyRank: true, zeroAlpha: true, implied };
  const kept = root === '' ? json : { ...json, task_type: null, auto_mapping: null };
  const adapted = readingFrom(file, () =>
    addLoadedAdapter(model, config, tensors, weights, { ...given, json: kept, plan }),
  );
  for (const notice of notices) tell(notice);
  return adapted;
}
