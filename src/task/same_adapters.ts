/**
 * Whether the adapters of a model are still those that a program was made with: one of the same
 * name may have taken the place of another, and a program keeps the values that it was traced with.
 * Programs for several adapters are mixed_evaluator.ts and shared_evaluator.ts.
 */
import { FusedLoraError } from '../base/errors';
import { adaptersOf } from '../lora/registry';
import type { TaskModel } from '../models';

/**
 * @returns a check that throws INVALID_ARGUMENT for an adapter that was deleted, or put in anew,
 * since then. A new name is no new adapter.
 */
export function sameAdapters(model: TaskModel, names: readonly string[]): (name: string) => void {
  const { entries } = adaptersOf(model);
  const before = new Map(names.map((name) => [name, entries.get(name)]));
  return (name) => {
    const entry = before.get(name);
    if (entry === undefined || [...adaptersOf(model).entries.values()].includes(entry)) return;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `adapter "${name}" was deleted, or is another one than when this Classifier began to answer with it. Make a new Classifier.`,
    );
  };
}
