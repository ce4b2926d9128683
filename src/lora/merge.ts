/**
 * Adapters added to the base weights of a whole model, and taken out again. The sum for one layer
 * is in lora_linear.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { Module } from '../nn';
import {
  activeAdapters,
  adapterEntry,
  adaptersOf,
  adoptHead,
  headOf,
  headsOnce,
  loraLinears,
  savedModules,
} from './registry';

/**
 * Adds adapters to the base weights, W = W₀ + s B A (in float64, rounded once), so that the model
 * runs at the base's cost. The originals are kept, or read again from their file, for {@link
 * unmerge}.
 *
 * @param names default: the active adapters.
 * @throws FusedLoraError INVALID_ARGUMENT when there is no adapter to merge, one is not there, or
 * it or the sum holds a value that is not finite; nothing is changed then.
 */
export function merge(model: Module, names: readonly string[] = activeAdapters(model)): void {
  if (names.length === 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'merge: the model has no active adapter. Add or load one, or choose with setActiveAdapters.',
    );
  }
  for (const name of names) adapterEntry(model, name);
  const wrapped = loraLinears(model);
  for (const [path, module] of wrapped) {
    for (const name of names.filter((n) => module.adapters.has(n))) {
      const { A, B } = module.adapter(name);
      if (A.data().every(Number.isFinite) && B.data().every(Number.isFinite)) continue;
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `merge: adapter "${name}" of "${path}" holds NaN or infinite values. Nothing was changed; train or load it again.`,
      );
    }
  }
  const before = wrapped.map(([, module]) => [module, module.merged] as const);
  try {
    for (const [, module] of wrapped) module.merge(names.filter((name) => module.adapters.has(name)));
  } catch (error) {
    for (const [module, merged] of before) {
      if (module.merged.length === merged.length) continue;
      module.unmerge();
      module.merge(merged);
    }
    throw error;
  }
}

/** Names of the adapters that the base weights hold now. */
export function mergedAdapters(model: Module): string[] {
  return [...new Set(loraLinears(model).flatMap(([, module]) => module.merged))];
}

/**
 * Takes all merged adapters out of the base weights again, which are then what they were, bit for
 * bit.
 */
export function unmerge(model: Module): void {
  for (const [, module] of loraLinears(model)) module.unmerge();
}

/**
 * Replaces wrapped modules and forgets the adapters. All parameters stay frozen as they are.
 *
 * @param kept adapters whose copies of modules take the place of the base's.
 */
function unwrap(model: Module, kept: readonly string[]): void {
  for (const [path, module] of loraLinears(model)) model.replaceChild(path, module.base_layer);
  for (const [path, module] of savedModules(model)) {
    const copy = kept.map((name) => module.modules_to_save.get(name)).find((one) => one !== undefined);
    model.replaceChild(path, copy ?? module.original);
  }
  adoptHead(model, headOf(model, kept));
  const adapters = adaptersOf(model);
  adapters.entries.clear();
  adapters.active = [];
  adapters.disabled = false;
  model.nameTree();
}

/**
 * Takes all adapters out: the base model with its own head. Its parameters stay frozen; see
 * `requiresGrad_`.
 */
export function unload(model: Module): void {
  unmerge(model);
  unwrap(model, []);
}

/**
 * Merges adapters and takes the wrappers out: a plain model with the adapters in its weights and
 * their head, which `saveModel` writes.
 *
 * @param names default: the active adapters.
 * @throws FusedLoraError as {@link merge}; INVALID_LORA where two of them have a head.
 */
export function mergeAndUnload(model: Module, names: readonly string[] = activeAdapters(model)): void {
  headsOnce(model, names);
  unmerge(model);
  merge(model, names);
  unwrap(model, names);
}
