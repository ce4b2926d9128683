/**
 * Which adapters a model has, which are active and what is trained then. They come and go in
 * inject.ts and peft_files.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { TaskSettings } from '../base/tasks';
import type { JsonObject } from '../io/json';
import type { Module } from '../nn';
import { invalidLora, type ResolvedLoraConfig } from './config';
import { LoraLinear } from './lora_linear';
import { ModulesToSave } from './modules_to_save';

/** What an adapter is in one module. */
export interface AdaptedModule {
  path: string;
  rank: number;
  alpha: number;
  /** alpha / r or alpha / √r: the factor of B A as trained. */
  scaling: number;
  /** What that is multiplied by now: see `setScale`. */
  scale: number;
}

/** What is known of an adapter of a model. */
export interface AdapterEntry {
  config: ResolvedLoraConfig;
  /** What each adapted module got. */
  targets: AdaptedModule[];
  /** Paths of the modules that it holds copies of. */
  saved: string[];
  /** Whether it is trained while it is active. */
  trainable: boolean;
  /** adapter_config.json that it came from, whose unknown fields are written back. */
  json: JsonObject | undefined;
  /** What its head is for, where that is not what the model's own is for. */
  head: TaskSettings | undefined;
}

/** A model whose head is for something; src/models has them. */
interface HeadedModel {
  /** Of its own head. */
  ownSettings: TaskSettings;
  /** Of the head of the active adapter, where it is another. */
  headSettings: TaskSettings | undefined;
}

const isHeaded = (model: object): model is HeadedModel => 'headSettings' in model && 'ownSettings' in model;

/** What an adapter's head is for; of undefined, the model's own. */
export function headSettings(model: Module, name: string | undefined): TaskSettings | undefined {
  const own = isHeaded(model) ? model.ownSettings : undefined;
  return (name === undefined ? undefined : adapterEntry(model, name).head) ?? own;
}

/** Makes what an adapter's head is for the model's own: the head that it has from now on. */
export function adoptHead(model: Module, settings: TaskSettings | undefined): void {
  if (!isHeaded(model)) return;
  model.headSettings = undefined;
  if (settings) model.ownSettings = settings;
}

/** The model says what the first head of these adapters is for. */
function setHead(model: Module, names: readonly string[]): void {
  if (isHeaded(model)) model.headSettings = headOf(model, names);
}

/** What the head of the first of these adapters that has one is for, where that is another. */
export function headOf(model: Module, names: readonly string[]): TaskSettings | undefined {
  return names.map((name) => adaptersOf(model).entries.get(name)?.head).find((head) => head !== undefined);
}

interface ModelAdapters {
  entries: Map<string, AdapterEntry>;
  active: readonly string[];
  disabled: boolean;
}

const registry = new WeakMap<Module, ModelAdapters>();

/** The adapters of a model; an empty record for one that has none. */
export function adaptersOf(model: Module): ModelAdapters {
  let adapters = registry.get(model);
  if (!adapters) {
    adapters = { entries: new Map(), active: [], disabled: false };
    registry.set(model, adapters);
  }
  return adapters;
}

/** Names of a model's adapters, in the order in which they were added. */
export function adapterNames(model: Module): string[] {
  return [...adaptersOf(model).entries.keys()];
}

/** Names of the adapters that are summed now; none while they are disabled. */
export function activeAdapters(model: Module): readonly string[] {
  const { active, disabled } = adaptersOf(model);
  return disabled ? [] : active;
}

/** An adapter by name; INVALID_ARGUMENT lists those that are there. */
export function adapterEntry(model: Module, name: string): AdapterEntry {
  const entry = adaptersOf(model).entries.get(name);
  if (entry) return entry;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `the model has no adapter "${name}"; it has: ${adapterNames(model).join(', ') || 'none'}`,
  );
}

const isAdapted = (module: Module): module is LoraLinear => module instanceof LoraLinear;
const isSaved = (module: Module): module is ModulesToSave => module instanceof ModulesToSave;

/** The model's modules without what adapters brought: an adapted Linear stands for itself. */
export function baseModules(model: Module): [string, Module][] {
  return model.namedModules((module) => isAdapted(module) || isSaved(module));
}

export function loraLinears(model: Module): [string, LoraLinear][] {
  return model.namedModules(isAdapted).filter((entry): entry is [string, LoraLinear] => isAdapted(entry[1]));
}

export function savedModules(model: Module): [string, ModulesToSave][] {
  return model.namedModules(isAdapted).filter((entry): entry is [string, ModulesToSave] => isSaved(entry[1]));
}

/**
 * Refuses adapters that can not be summed: two that hold a copy of the same module, of which one
 * alone can be used.
 *
 * @throws FusedLoraError INVALID_LORA.
 */
export function headsOnce(model: Module, names: readonly string[]): void {
  const within = (a: string, b: string) => a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
  const held = names.flatMap((name) => adapterEntry(model, name).saved.map((path) => ({ name, path })));
  for (const [i, one] of held.entries()) {
    const other = held.slice(i + 1).find(({ name, path }) => name !== one.name && within(path, one.path));
    if (!other) continue;
    throw invalidLora(
      `adapters "${one.name}" and "${other.name}" both hold "${one.path}" whole (modulesToSave), and a sum has one. ` +
        'Use one of them at a time, or combine them with the head of one (combineAdapters, headOf).',
    );
  }
}

/** Puts the record into effect: which adapters are summed, whose head is used, what is trained. */
export function applyAdapters(model: Module): void {
  const { entries } = adaptersOf(model);
  const active = activeAdapters(model);
  setHead(model, active);
  model.requiresGrad_(false);
  const trained = active.filter((name) => entries.get(name)?.trainable);
  for (const [, module] of loraLinears(model)) {
    module.active = active.filter((name) => module.adapters.has(name));
    for (const name of trained) {
      if (!module.adapters.has(name)) continue;
      const { A, B } = module.adapter(name);
      A.requiresGrad = true;
      B.requiresGrad = true;
      if (entries.get(name)?.config.bias === 'lora_only' && module.base_layer.bias) {
        module.base_layer.bias.requiresGrad = true;
      }
    }
  }
  for (const [, module] of savedModules(model)) {
    module.original.requiresGrad_(false);
    module.active = active.find((name) => module.modules_to_save.get(name));
    if (module.active !== undefined && trained.includes(module.active)) module.current.requiresGrad_(true);
  }
  if (trained.some((name) => entries.get(name)?.config.bias === 'all')) {
    for (const [path, parameter] of model.namedParameters()) {
      if (/(^|\.)bias$/.test(path) && !path.includes('.modules_to_save.')) parameter.requiresGrad = true;
    }
  }
}

/**
 * Runs `body`, which traces, with these adapters and their heads in the place of the active ones.
 * Nothing else changes: neither what is trained, nor the record.
 */
export function withAdaptersFor<R>(model: Module, names: readonly string[], body: () => R): R {
  const layers = loraLinears(model).map(([, layer]) => [layer, layer.active] as const);
  const saved = savedModules(model).map(([, module]) => [module, module.active] as const);
  try {
    for (const [layer] of layers) layer.active = names.filter((name) => layer.adapters.has(name));
    for (const [module] of saved) module.active = names.find((name) => module.modules_to_save.get(name));
    setHead(model, names);
    return body();
  } finally {
    setHead(model, activeAdapters(model));
    for (const [layer, active] of layers) layer.active = active;
    for (const [module, active] of saved) module.active = active;
  }
}

/**
 * Of parameters by the paths that the base model has, those
 * that no active adapter's own copy replaces.
 */
export function notReplaced(model: Module, names: readonly string[]): string[] {
  const replaced = savedModules(model).filter(([, module]) => module.active !== undefined);
  return names.filter((name) => !replaced.some(([path]) => name.startsWith(`${path}.`)));
}
