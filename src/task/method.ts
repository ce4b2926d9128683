/**
 * What of a model is trained: an adapter, everything, the head alone, or what a pattern names.
 * Which modules an adapter takes is found in src/lora/match.ts.
 */
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import { compilePattern } from '../base/patterns';
import { adapterNames, addAdapter, CLASSIFIER_ONLY, type LoraConfig } from '../lora';
import { saveWhole } from '../lora/inject';
import type { TaskModel } from '../models';
import { checkSubspace, type SubspaceConfig, type SubspaceStructure } from '../subspace/config';
import { LEARNING_RATES } from './options/defaults';

/**
 * lora: adapters and the head. full: every parameter. head: the head alone, saved as an adapter
 * without adapted modules. trainable: parameters whose path a regular expression matches
 * (anywhere), the head only if it is named too. subspace: a point in a random subspace of all
 * weights, of so many dimensions, with a factor a layer (said, the default) or without (did).
 */
export type Method =
  | 'lora'
  | 'full'
  | 'head'
  | { trainable: string }
  | { subspace: number; structure?: SubspaceStructure | undefined };

/** What of a settled run says what is trained. */
export interface MethodChoice {
  method: Method;
  /** Of a new adapter. */
  lora: { config: LoraConfig } | undefined;
  /** The adapter to go on from, which is on the model. */
  adapter: object | undefined;
  /** The seed of the initial A. */
  modelSettings: { seed: number };
}

/** The short name of a method, for figures. */
export function nameOfMethod(method: Method): string {
  if (typeof method === 'string') return method;
  const subspace = subspaceOf(method, 0);
  return subspace
    ? `subspace: ${subspace.dimension} ${subspace.structure}`
    : `trainable: ${(method as { trainable: string }).trainable}`;
}

/** The subspace that a method trains in; undefined for every other method. */
export function subspaceOf(method: Method, seed: number): SubspaceConfig | undefined {
  if (typeof method !== 'object' || !('subspace' in method)) return undefined;
  return { dimension: method.subspace, structure: method.structure ?? 'said', seed };
}

/** What a method's result is saved as: a PEFT folder, or a whole model. */
export const kindOf = (method: Method): 'adapter' | 'model' =>
  method === 'lora' || method === 'head' || subspaceOf(method, 0) ? 'adapter' : 'model';

/** Learning rates that suit each method, where none is given. */
export function defaultLearningRate(method: Method): number {
  return LEARNING_RATES[typeof method === 'string' ? method : subspaceOf(method, 0) ? 'subspace' : 'full'];
}

/**
 * @throws FusedLoraError INVALID_ARGUMENT for an unknown method, or a pattern that is no regular
 * expression.
 */
export function checkMethod(method: Method): void {
  if (typeof method === 'string' && (method as string) !== 'subspace' && Object.hasOwn(LEARNING_RATES, method)) return;
  if (typeof method === 'object' && method !== null && ('subspace' in method || 'structure' in method)) {
    if ('trainable' in method) {
      throw new FusedLoraError('INVALID_ARGUMENT', 'method: trainable and subspace are both given; leave one out');
    }
    const { subspace = Number.NaN, structure } = method as Partial<Extract<Method, { subspace: number }>>;
    checkSubspace(subspaceOf({ subspace, structure }, 0) as SubspaceConfig);
    return;
  }
  if (typeof method === 'object' && typeof method?.trainable === 'string') {
    compilePattern(method.trainable, 'trainable');
    return;
  }
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `method is ${JSON.stringify(method)}; it must be 'lora', 'full', 'head', { trainable: REGEX } or { subspace: DIMENSION }`,
  );
}

type Prepare = (model: TaskModel, choice: MethodChoice, newModules: readonly string[]) => void;

/** How a model is frozen and wrapped for each method, and to go on from an adapter. */
const PREPARE = {
  adapter: (model, _, newModules) => saveWhole(model, 'default', newModules),
  lora: (model, { lora, modelSettings: { seed } }, newModules) =>
    addAdapter(model, lora?.config ?? {}, { seed, alsoSaved: newModules }),
  head: (model, { modelSettings: { seed } }, newModules) =>
    addAdapter(model, { pattern: CLASSIFIER_ONLY }, { seed, alsoSaved: newModules }),
  full: (model) => model.requiresGrad_(true),
  subspace: (model) => {
    const [adapter] = adapterNames(model);
    if (adapter !== undefined) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `the model has an adapter ("${adapter}"), and a subspace is of the weights of a model without any. Merge or unload it first (mergeAndUnload, unload).`,
      );
    }
    model.requiresGrad_(true);
  },
  pattern: (model, { method }) => trainOnly(model, (method as { trainable: string }).trainable),
} as const satisfies Record<string, Prepare>;

function wayOf({ method, adapter }: MethodChoice): keyof typeof PREPARE {
  if (adapter !== undefined) return 'adapter';
  if (typeof method === 'string') return method;
  return subspaceOf(method, 0) ? 'subspace' : 'pattern';
}

/**
 * Freezes and wraps a model for training.
 *
 * @param newModules paths of modules that no file has values for: an adapter trains and saves them
 * whole, beside its head.
 * @returns whether the result is an adapter (saved as a PEFT folder) or a whole model.
 * @throws FusedLoraError INVALID_LORA; INVALID_ARGUMENT for a pattern that matches nothing.
 */
export function applyMethod(
  model: TaskModel,
  choice: MethodChoice,
  newModules: readonly string[] = [],
): 'adapter' | 'model' {
  const way = wayOf(choice);
  const prepare: Prepare = PREPARE[way];
  prepare(model, choice, newModules);
  return way === 'adapter' ? 'adapter' : kindOf(choice.method);
}

function trainOnly(model: TaskModel, pattern: string): void {
  const regex = compilePattern(pattern, 'trainable');
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
