/**
 * From the values of a trial to options of fineTune: nested names (`lora.r`), the methods that a
 * study knows, and which options a space may hold. What values there are is in space/; who runs a
 * trial is run_trial.ts.
 */
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import type { LoraConfig } from '../lora';
import type { FineTuneOptions } from '../task/fine_tune';
import type { Method } from '../task/method';
import { METHOD_ROWS } from '../task/options/method_rows';
import { loraWithDefaults } from '../task/options/resolve_fine_tune';
import { TRAINING_ROWS } from '../task/options/training_rows';
import type { Value } from './space/distribution';
import { BASELINE_RATES } from './space/presets';
import { type Parameter, resolveSpace, type Space } from './space/space';

/** Deeper than any encoder here. */
const MOST_LAYERS = 99;
/** A new head, and a pooler that no file has values for. */
const HEAD = '^classifier\\.|^score\\.|\\.pooler\\.';

/** Layers from `frozen` on, and the head. */
function upperPattern(frozen: number): string {
  const layers = Array.from({ length: MOST_LAYERS + 1 - frozen }, (_, i) => frozen + i);
  return `\\.layer\\.(${layers.join('|')})\\.|${HEAD}`;
}

/**
 * What is trained in a trial: `lora`, `full` and `head` as in `fineTune`; `upper`: the layers from
 * `frozenLayers` on and the head; `bias`: biases, LayerNorm and the head.
 */
export const STUDY_METHODS = ['lora', 'full', 'head', 'upper', 'bias'] as const;
/** One of {@link STUDY_METHODS}. */
export type StudyMethod = (typeof STUDY_METHODS)[number];

function methodOf(method: StudyMethod, frozenLayers: number): Method {
  if (method === 'upper') return { trainable: upperPattern(frozenLayers) };
  if (method === 'bias') return { trainable: `bias$|LayerNorm\\.weight$|${HEAD}` };
  return method;
}

const LORA = 'lora.';
/** Chosen by the study itself. */
const NOT_SEARCHED = ['seed', 'method', 'method.trainable', 'method.subspace', 'method.structure', 'keepFrozen'];

/** Options that a space may hold. */
const SEARCHED: readonly string[] = [
  ...TRAINING_ROWS.Training,
  ...TRAINING_ROWS['Training, further options'],
  ...Object.values(METHOD_ROWS).flat(),
]
  .map(({ name }): string => name)
  .filter((name) => !NOT_SEARCHED.includes(name));

/** What is searched for one method. */
export interface Arm {
  method: StudyMethod;
  /** Without `method`. */
  space: Parameter[];
}

/** The space where none is given: the rate of each method, and the rank. */
const DEFAULT_SPACE: Space = { 'lora.r': { choice: [4, 8, 16], when: { method: 'lora' } } };

function checkName(name: string): void {
  if (name === 'method' || name === 'frozenLayers' || SEARCHED.includes(name)) return;
  const known = ['method', 'frozenLayers', ...SEARCHED];
  const [near] = nearNames(name, known, 1);
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `space: "${name}" is no option that a study can vary.${near === undefined ? '' : ` Was ${near} meant?`} ${known.slice(0, 12).join(', ')} and others of training and LoRA are.`,
  );
}

/** The methods that a space names; a study without any is of LoRA. */
function methodsOf(given: unknown): StudyMethod[] {
  const list =
    given === undefined ? ['lora'] : Array.isArray(given) ? given : ((given as { choice?: unknown }).choice ?? [given]);
  const methods = (Array.isArray(list) ? list : [list]) as StudyMethod[];
  const wrong = methods.find((one) => !STUDY_METHODS.includes(one));
  if (wrong === undefined && methods.length > 0) return [...new Set(methods)];
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `space: method is ${JSON.stringify(wrong ?? given)}; it must be of ${STUDY_METHODS.join(', ')}`,
  );
}

/**
 * What is searched for each method. The baselines come first: the head alone and everything, which
 * get a rate of their own where the space does not name them.
 *
 * @throws FusedLoraError INVALID_ARGUMENT naming the parameter.
 */
export function armsOf(given: Space | undefined, baselines: boolean): Arm[] {
  const named = given ?? DEFAULT_SPACE;
  for (const name of Object.keys(named)) checkName(name);
  const own = methodsOf(named['method']);
  const added = (['head', 'full'] as const).filter((method) => baselines && !own.includes(method));
  const order = (method: StudyMethod) => (method === 'head' ? 0 : method === 'full' ? 1 : 2);
  const methods = [...added, ...own].sort((a, b) => order(a) - order(b));
  const resolved = resolveSpace({ ...named, method: { choice: methods } });
  const hasRate = resolved.some(({ name }) => name === 'learningRate');
  return methods.map((method) => {
    const isAdded = (added as readonly StudyMethod[]).includes(method);
    const space = resolved.filter(
      ({ name, when }) =>
        name !== 'method' &&
        (method === 'lora' || !name.startsWith(LORA)) &&
        (method === 'upper' || name !== 'frozenLayers') &&
        !(isAdded && name === 'learningRate') &&
        (when.get('method') ?? [method]).includes(method),
    );
    if (hasRate && !isAdded) return { method, space };
    const [low, high] = BASELINE_RATES[method === 'lora' || method === 'head' ? method : 'full'];
    const rate: Parameter = {
      name: 'learningRate',
      distribution: { kind: 'float', low, high, log: true },
      when: new Map(),
    };
    return { method, space: [rate, ...space] };
  });
}

/**
 * The options of a trial, over those that all trials have in common.
 *
 * @param params by name, with `method`.
 */
export function optionsOfTrial(
  common: Partial<FineTuneOptions>,
  params: Readonly<Record<string, Value>>,
): Partial<FineTuneOptions> {
  const { method, frozenLayers = 0, ...others } = params;
  const { lora: commonLora, ...options } = common;
  const lora: Record<string, unknown> = {};
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(others)) {
    if (name.startsWith(LORA)) lora[name.slice(LORA.length)] = value;
    else settings[name] = value;
  }
  return {
    ...options,
    ...settings,
    method: methodOf(method as StudyMethod, Number(frozenLayers)),
    ...(method === 'lora' && { lora: loraWithDefaults({ ...commonLora, ...lora } as LoraConfig) }),
  };
}
