/**
 * Which of a model's adapters compute, how strongly, and which of them are trained; and their
 * names. They are put in and taken out in inject.ts; what the choice does to the tree is
 * registry.ts, and what it came to is shown by status.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { Module } from '../nn';
import { invalidLora } from './config';
import { checkName, checkUnmerged } from './inject';
import { matcher } from './match';
import { merge, mergedAdapters, unmerge } from './merge';
import { adapterEntry, adaptersOf, applyAdapters, headsOnce, loraLinears, savedModules } from './registry';

/**
 * Chooses the adapters whose sum is added to the base model, in this order. Active adapters are
 * trained unless they were added or loaded with `trainable: false`. Graphs traced before are not
 * changed. Adapters are chosen one by one or summed exactly: no value of a weight is touched.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for an adapter that is not there; INVALID_LORA where two
 * of them hold a copy of the same module (a head), or others are merged into the base weights.
 * Nothing is changed then.
 */
export function setActiveAdapters(model: Module, names: string | readonly string[]): void {
  const list = typeof names === 'string' ? [names] : [...names];
  for (const name of list) adapterEntry(model, name);
  if (new Set(list).size !== list.length) throw invalidLora(`an adapter is named twice: ${list.join(', ')}`);
  headsOnce(model, list);
  const merged = mergedAdapters(model);
  if (merged.length > 0 && !(merged.length === list.length && list.every((name) => merged.includes(name)))) {
    checkUnmerged(model);
  }
  const adapters = adaptersOf(model);
  adapters.active = list;
  adapters.disabled = false;
  applyAdapters(model);
}

/**
 * Makes the model compute what its base does, and trains nothing, until {@link enableAdapters} or
 * {@link setActiveAdapters}. Adapters that were merged are unmerged.
 */
export function disableAdapters(model: Module): void {
  unmerge(model);
  adaptersOf(model).disabled = true;
  applyAdapters(model);
}

/** Makes the adapters that were active before {@link disableAdapters} active again. */
export function enableAdapters(model: Module): void {
  adaptersOf(model).disabled = false;
  applyAdapters(model);
}

/**
 * Runs something on the base model, without its adapters, and puts back what was: which of them
 * were active, and merged, also where it fails. For a function that gives a Promise, when that is
 * settled. Graphs traced before are not changed, so trace inside.
 *
 * @returns what the function gives.
 */
export function withoutAdapters<T>(model: Module, run: () => T): T {
  const wasDisabled = adaptersOf(model).disabled;
  const merged = mergedAdapters(model);
  disableAdapters(model);
  const back = () => {
    if (merged.length > 0) merge(model, merged);
    adaptersOf(model).disabled = wasDisabled;
    applyAdapters(model);
  };
  let result: T;
  try {
    result = run();
  } catch (error) {
    back();
    throw error;
  }
  if (!(result instanceof Promise)) {
    back();
    return result;
  }
  return result.finally(back) as T;
}

/** Sets whether adapters are trained while they are active (PEFT's set_requires_grad). */
export function setTrainable(model: Module, names: string | readonly string[], trainable: boolean): void {
  const entries = [names].flat().map((name) => adapterEntry(model, name));
  for (const entry of entries) entry.trainable = trainable;
  applyAdapters(model);
}

/** Of {@link setScale}. */
export interface SetScaleOptions {
  /**
   * Which modules, of those that it adapts: names at the end of their paths, or a regular
   * expression of the whole path. Default: all.
   */
  modules?: string | readonly string[];
}

/**
 * Makes an adapter stronger or weaker than it was trained: its factor alpha / r (or alpha / √r) is
 * multiplied by `scale`, counted from the adapter's own and not from the last call; 1 gives that
 * back. A saved adapter has it in its alpha. Graphs traced before are not changed.
 *
 * @param scale a number from 0.
 * @returns paths of the modules that it was set in.
 * @throws FusedLoraError INVALID_ARGUMENT; INVALID_LORA where `modules` names none of its modules,
 * or adapters are merged. Nothing is changed then.
 */
export function setScale(model: Module, name: string, scale: number, options: SetScaleOptions = {}): string[] {
  const { targets } = adapterEntry(model, name);
  if (!(typeof scale === 'number' && Number.isFinite(scale) && scale >= 0)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `setScale: scale is ${String(scale)}; it must be a number from 0. To take an adapter away from others, combine them with a weight below 0 (combineAdapters).`,
    );
  }
  checkUnmerged(model);
  const { modules } = options;
  const matches = modules === undefined ? () => true : matcher(modules, 'modules');
  const chosen = targets.filter(({ path }) => matches(path));
  if (modules !== undefined && chosen.length === 0) {
    throw invalidLora(
      `setScale: modules ${JSON.stringify(modules)} matches none of the modules of adapter "${name}", such as ${targets[0]?.path ?? '(it adapts none)'}.`,
    );
  }
  const linears = new Map(loraLinears(model));
  for (const target of chosen) {
    target.scale = scale;
    linears.get(target.path)?.setScaling(name, target.scaling * scale);
  }
  return chosen.map(({ path }) => path);
}

/**
 * Gives an adapter another name: in the paths of its parameters, and in the folders that it is
 * saved to. Its place among the others, its values and whether it is active or merged stay.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for an adapter that is not there; INVALID_LORA for a name
 * that is taken or can not be one. Nothing is changed then.
 */
export function renameAdapter(model: Module, from: string, to: string): void {
  adapterEntry(model, from);
  if (from === to) return;
  checkName(model, to);
  const renamed = (name: string) => (name === from ? to : name);
  for (const [, module] of loraLinears(model)) module.renameAdapter(from, to);
  for (const [, module] of savedModules(model)) module.renameAdapter(from, to);
  const adapters = adaptersOf(model);
  const entries = [...adapters.entries];
  adapters.entries.clear();
  for (const [name, entry] of entries) adapters.entries.set(renamed(name), entry);
  adapters.active = adapters.active.map(renamed);
  applyAdapters(model);
  model.nameTree();
}
