/**
 * Adapters put into a model's tree and taken out again. What a configuration matches is found in
 * match.ts; which adapters a model has is kept in registry.ts, and which of them compute is chosen
 * in manage.ts.
 */
import { matchMany } from '../base/patterns';
import type { TaskSettings } from '../base/tasks';
import type { Module } from '../nn';
import { fixInitialValues } from '../nn/init';
import { HEADS } from './adapter_keys';
import { invalidLora, type LoraConfig, type ResolvedLoraConfig, resolveLoraConfig } from './config';
import { LoraLinear } from './lora_linear';
import { findModulesToSave, findTargets, type MatchOptions, type Target } from './match';
import { ModulesToSave, outputsOf } from './modules_to_save';
import { adapterEntry, adaptersOf, applyAdapters, loraLinears, savedModules } from './registry';

/** Of {@link addAdapter}. */
export interface AddAdapterOptions {
  /** Of the adapter, for several on one model. Default: `default`. */
  name?: string;
  /**
   * Seed of the initial A (and B), with each parameter's path; an integer from 0 to 2^53 - 1.
   * Default 0.
   */
  seed?: number;
  /** Whether it is trained while it is active. Default true. */
  trainable?: boolean;
  /**
   * Paths of modules that are trained and saved whole beside `modulesToSave`, such as a new pooler:
   * whoever opens the adapter has no other values for them.
   */
  alsoSaved?: readonly string[];
  /**
   * What the adapter's head is for, where its task or labels are others than the model's: it gets a
   * new head of as many outputs, and while it is active the model's task and labels are these.
   */
  head?: TaskSettings | undefined;
}

/** What an adapter would do to a model, found without changing anything. */
export interface AdapterPlan {
  config: ResolvedLoraConfig;
  targets: Target[];
  saved: string[];
  /**
   * Rows of saved embeddings, and outputs of saved heads, that have another number of them than the
   * model's, by path.
   */
  rows?: ReadonlyMap<string, number>;
}

/** Of {@link planAdapter}: what is known beside the configuration. */
export interface PlanOptions extends MatchOptions {
  /** Takes an alpha of 0: see `resolveLoraConfig`. */
  zeroAlpha?: boolean;
  /** Modules that the adapter's file holds whole though the configuration does not name them. */
  implied?: (saved: readonly string[]) => string[];
}

/** Whether a new adapter can have a name. */
export function checkName(model: Module, name: string): void {
  if (adaptersOf(model).entries.has(name)) {
    throw invalidLora(`the model already has an adapter "${name}". Give another name, or delete that one first.`);
  }
  if (typeof name === 'string' && /^[A-Za-z_][A-Za-z0-9_-]*$/.test(name)) return;
  throw invalidLora(
    `"${name}" can not name an adapter: it becomes part of parameter paths and folders. Take letters, digits, _ and -.`,
  );
}

/** Refuses what would leave the wrong adapter in the base weights. */
export function checkUnmerged(model: Module): void {
  const merged = loraLinears(model).find(([, module]) => module.merged.length > 0);
  if (!merged) return;
  throw invalidLora(`"${merged[1].merged.join(', ')}" is merged into "${merged[0]}". Call unmerge(model) first.`);
}

/** Checks an adapter's name and configuration against a model. */
export function planAdapter(model: Module, config: LoraConfig, name: string, options: PlanOptions = {}): AdapterPlan {
  const { entries } = adaptersOf(model);
  checkName(model, name);
  const resolved = resolveLoraConfig(config, options);
  if (entries.size > 0 && [resolved, ...[...entries.values()].map((e) => e.config)].some((c) => c.bias !== 'none')) {
    throw invalidLora(
      'several adapters can not be used with bias other than none: they would share the trained biases.',
    );
  }
  checkUnmerged(model);
  return matchMany(() => matched(model, resolved, options));
}

/** What a configuration's names and patterns mean in the model. */
function matched(model: Module, resolved: ResolvedLoraConfig, options: PlanOptions): AdapterPlan {
  const saved = findModulesToSave(model, resolved, options);
  const implied = options.implied?.(saved) ?? [];
  // As paths from here on, which is how they are written again.
  if (implied.length > 0) resolved.modulesToSave = [...saved, ...implied];
  saved.push(...implied);
  return { config: resolved, targets: findTargets(model, resolved, saved, options), saved };
}

/**
 * Adds a LoRA adapter to a model: all is frozen, the matched Linear modules are wrapped, and the
 * adapter and its copy of the head (or of modulesToSave) are trained. It becomes the one active
 * adapter. The model computes what it computed before, until B is trained.
 *
 * @param options the adapter's name, or name, seed and whether it is trained.
 * @returns paths of the adapted modules.
 * @throws FusedLoraError INVALID_LORA; the model is unchanged then.
 */
export function addAdapter(model: Module, config: LoraConfig, options: string | AddAdapterOptions = {}): string[] {
  const given = typeof options === 'string' ? { name: options } : options;
  const name = given.name ?? 'default';
  const { alsoSaved = [] } = given;
  const within = (path: string, outer: string) => path === outer || path.startsWith(`${outer}.`);
  const implied = (saved: readonly string[]) => alsoSaved.filter((path) => !saved.some((one) => within(path, one)));
  const plan = planAdapter(model, config, name, { implied });
  plan.rows = headRows(model, plan.saved, given.head);
  return applyPlan(model, plan, name, given);
}

/**
 * Outputs of heads that an adapter holds, by path, where they are others than the model's.
 *
 * @throws FusedLoraError INVALID_LORA where it holds no head that could have labels of its own.
 */
export function headRows(model: Module, saved: readonly string[], head: TaskSettings | undefined): Map<string, number> {
  const rows = new Map<string, number>();
  if (!head) return rows;
  const outputs = saved.flatMap((path) => {
    if (!HEADS.some((name) => path === name || path === `${name}.out_proj`)) return [];
    const module = model.getSubmodule(path);
    const last = outputsOf(module instanceof ModulesToSave ? module.original : module);
    return last ? [[path, last.outFeatures] as const] : [];
  });
  if (outputs.length === 0) {
    throw invalidLora('an adapter without a head of its own (modulesToSave) can not have labels of its own.');
  }
  for (const [path, count] of outputs) if (count !== head.numLabels) rows.set(path, head.numLabels);
  return rows;
}

/** Carries out what {@link planAdapter} found. */
export function applyPlan(model: Module, plan: AdapterPlan, name: string, options: AddAdapterOptions = {}): string[] {
  // Initial values belong to the paths that the base model has; an earlier adapter has seen to it.
  if (adaptersOf(model).entries.size === 0) model.nameTree();
  const { config, targets, saved } = plan;
  for (const { path, module, rank, scaling } of targets) {
    const wrapped = module instanceof LoraLinear ? module : new LoraLinear(module);
    if (wrapped !== module) {
      wrapped.training = module.training;
      model.replaceChild(path, wrapped);
    }
    const { loraDropout, initLoraWeights } = config;
    wrapped.addAdapter(name, { rank, scaling, dropout: loraDropout, initLoraWeights });
    const { A, B } = wrapped.adapter(name);
    fixInitialValues(A, options.seed ?? 0, `${path}.lora_A.${name}.weight`);
    fixInitialValues(B, options.seed ?? 0, `${path}.lora_B.${name}.weight`);
  }
  for (const path of saved) {
    const module = model.getSubmodule(path);
    const wrapped = module instanceof ModulesToSave ? module : new ModulesToSave(module);
    if (wrapped !== module) model.replaceChild(path, wrapped);
    wrapped.addAdapter(name, plan.rows?.get(path));
    const copy = wrapped.modules_to_save.get(name) as Module;
    for (const [at, parameter] of copy.namedParameters()) {
      fixInitialValues(parameter, options.seed ?? 0, `${path}.${at}`);
    }
  }
  const adapters = adaptersOf(model);
  adapters.entries.set(name, {
    config,
    targets: targets.map(({ path, rank, alpha, scaling }) => ({ path, rank, alpha, scaling, scale: 1 })),
    saved,
    trainable: options.trainable ?? true,
    json: undefined,
    head: options.head,
  });
  adapters.active = [name];
  adapters.disabled = false;
  applyAdapters(model);
  model.nameTree();
  return targets.map(({ path }) => path);
}

/**
 * Gives an adapter that is there copies of more modules, which it trains and saves whole from then
 * on: a head that neither its file nor the base has.
 */
export function saveWhole(model: Module, name: string, paths: readonly string[]): void {
  if (paths.length === 0) return;
  const entry = adapterEntry(model, name);
  model.nameTree();
  for (const path of paths) {
    const module = model.getSubmodule(path);
    const wrapped = module instanceof ModulesToSave ? module : new ModulesToSave(module);
    if (wrapped !== module) model.replaceChild(path, wrapped);
    wrapped.addAdapter(name);
  }
  entry.config.modulesToSave = [...entry.saved, ...paths];
  entry.saved.push(...paths);
  applyAdapters(model);
  model.nameTree();
}

/** Takes an adapter out; a module without any adapter left is unwrapped. */
export function deleteAdapter(model: Module, name: string): void {
  adapterEntry(model, name);
  checkUnmerged(model);
  for (const [path, module] of loraLinears(model)) {
    module.deleteAdapter(name);
    if (module.adapters.size === 0) model.replaceChild(path, module.base_layer);
  }
  for (const [path, module] of savedModules(model)) {
    module.deleteAdapter(name);
    if (module.modules_to_save.names.length === 0) model.replaceChild(path, module.original);
  }
  const adapters = adaptersOf(model);
  adapters.entries.delete(name);
  adapters.active = adapters.active.filter((active) => active !== name);
  applyAdapters(model);
  model.nameTree();
}
