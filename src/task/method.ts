/** What of a model is trained: an adapter, everything, the head alone, or what a pattern names. */
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import { addAdapter, CLASSIFIER_ONLY, type LoraConfig } from '../lora';
import type { TaskModel } from '../models';

/**
 * lora: adapters and the head. full: every parameter. head: the head alone, saved as an adapter without adapted modules.
 * trainable: parameters whose path a regular expression matches (anywhere), the head only if it is named too.
 */
export type Method = 'lora' | 'full' | 'head' | { trainable: string };

/** The short name of a method, for figures. */
export function nameOfMethod(method: Method): string {
  return typeof method === 'string' ? method : `trainable: ${method.trainable}`;
}

/** Learning rates that suit each method, where none is given. */
export function defaultLearningRate(method: Method): number {
  if (method === 'lora') return 5e-4;
  return method === 'head' ? 1e-3 : 5e-5;
}

/**
 * Freezes and wraps a model for training.
 *
 * @param lora for the method lora alone.
 * @param seed of the initial A.
 * @returns whether the result is an adapter (saved as a PEFT folder) or a whole model.
 * @throws FusedLoraError INVALID_LORA; INVALID_ARGUMENT for an unknown method or a pattern that matches nothing.
 */
export function applyMethod(model: TaskModel, method: Method, lora: LoraConfig, seed: number): 'adapter' | 'model' {
  if (method === 'lora') {
    addAdapter(model, lora, { seed });
    return 'adapter';
  }
  if (method === 'head') {
    addAdapter(model, { pattern: CLASSIFIER_ONLY }, { seed });
    return 'adapter';
  }
  if (method === 'full') {
    model.requiresGrad_(true);
    return 'model';
  }
  if (typeof method === 'object' && typeof method?.trainable === 'string') {
    trainOnly(model, method.trainable);
    return 'model';
  }
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `method is ${JSON.stringify(method)}; it must be 'lora', 'full', 'head' or { trainable: REGEX }`,
  );
}

function trainOnly(model: TaskModel, pattern: string): void {
  let regex: RegExp;
  try {
    regex = new RegExp(pattern);
  } catch (cause) {
    throw new FusedLoraError('INVALID_ARGUMENT', `trainable: ${(cause as Error).message}`, { cause });
  }
  const parameters = model.namedParameters();
  const matched = parameters.filter(([path]) => regex.test(path));
  if (matched.length === 0) {
    const paths = parameters.map(([path]) => path);
    const near = nearNames(pattern, paths, 3);
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `trainable: "${pattern}" matches no parameter. Parameters are for example ${(near.length ? near : paths.slice(0, 3)).join(', ')}.`,
    );
  }
  model.requiresGrad_(false);
  for (const [, parameter] of matched) parameter.requiresGrad = true;
}
