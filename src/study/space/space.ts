/**
 * What a study searches: parameters by name, each with its values and when it counts. Written in
 * TypeScript, JSON or YAML in one form (read_space.ts reads files, presets.ts has some); how a
 * value becomes an option of a run is in ../trial_options.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames, nearNames } from '../../base/near';
import { isJsonObject } from '../../io/json';
import { checkDistribution, type Distribution, distributionText, type Value } from './distribution';

/** Values of others with which a parameter counts: `{ method: 'lora' }`, or lists of them. */
export type When = Readonly<Record<string, Value>>;

/** One of the kinds of a parameter; ranges include both ends. */
export type ParameterSpec = { when?: When } & (
  | { choice: readonly Value[] }
  | { int: readonly [low: number, high: number]; step?: number; log?: boolean }
  | { uniform: readonly [low: number, high: number] }
  | { loguniform: readonly [low: number, high: number] }
);

/**
 * Parameters by name: those of `fineTune` (`learningRate`, `lora.r`), `method` (see
 * {@link STUDY_METHODS}) and `frozenLayers`. A list of plain values is a choice, a plain value is
 * fixed. Several kinds with other conditions stand in a list: `[{ loguniform: …, when: … }, …]`.
 */
export type Space = Readonly<Record<string, Value | ParameterSpec | readonly ParameterSpec[]>>;

/** A parameter under one condition. */
export interface Parameter {
  name: string;
  distribution: Distribution;
  /** Name of another parameter → values with which this one counts; all must hold. */
  when: ReadonlyMap<string, readonly Value[]>;
}

const KINDS = ['choice', 'int', 'uniform', 'loguniform'] as const;

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', `space: ${problem}`);

/** What a choice is compared by. */
const keyOf = (value: Value) => JSON.stringify(value);

const isSpec = (given: unknown): given is Record<string, unknown> =>
  isJsonObject(given) && KINDS.some((kind) => Object.hasOwn(given, kind));

function rangeOf(name: string, given: unknown): [number, number] {
  if (Array.isArray(given) && given.length === 2) return [given[0] as number, given[1] as number];
  throw refuse(`"${name}" needs two numbers, [lowest, highest]`);
}

function distributionOf(name: string, spec: Record<string, unknown>): Distribution {
  const kinds = KINDS.filter((kind) => Object.hasOwn(spec, kind));
  const known = [...KINDS, 'when', ...(kinds[0] === 'int' ? ['step', 'log'] : [])];
  const wrong = Object.keys(spec).find((key) => !known.includes(key));
  if (kinds.length > 1) throw refuse(`"${name}" is both ${kinds.join(' and ')}; give one`);
  if (wrong !== undefined) {
    const [near] = nearNames(wrong, known, 1);
    throw refuse(`"${name}" has "${wrong}", which is not known there.${near ? ` Was ${near} meant?` : ''}`);
  }
  const kind = kinds[0] as (typeof KINDS)[number];
  const given = spec[kind];
  if (kind === 'choice') {
    if (!Array.isArray(given)) throw refuse(`"${name}": choice must be a list`);
    return checkDistribution(name, { kind: 'categorical', choices: given as Value[] });
  }
  const [low, high] = rangeOf(name, given);
  if (kind !== 'int') return checkDistribution(name, { kind: 'float', low, high, log: kind === 'loguniform' });
  const { step = 1, log = false } = spec as { step?: number; log?: boolean };
  if (typeof log !== 'boolean') throw refuse(`"${name}": log must be true or false`);
  return checkDistribution(name, { kind: 'int', low, high, log, step });
}

function whenOf(name: string, given: unknown): Parameter['when'] {
  if (given === undefined) return new Map();
  if (!isJsonObject(given)) throw refuse(`"${name}": when must be an object, such as { method: 'lora' }`);
  return new Map(
    Object.entries(given).map(([other, value]) => [other, (Array.isArray(value) ? value : [value]) as Value[]]),
  );
}

/** Forms of one name, as a list of kinds with conditions. */
function specsOf(name: string, given: unknown): Parameter[] {
  const parameter = (spec: Record<string, unknown>): Parameter => ({
    name,
    distribution: distributionOf(name, spec),
    when: whenOf(name, spec['when']),
  });
  if (isSpec(given)) return [parameter(given)];
  if (Array.isArray(given) && given.length > 0 && given.every(isSpec)) return given.map(parameter);
  if (isJsonObject(given)) {
    throw refuse(`"${name}" is an object that is none of ${listNames(KINDS)}, such as { loguniform: [1e-5, 1e-3] }`);
  }
  if (given === undefined) throw refuse(`"${name}" has no value`);
  return [parameter({ choice: Array.isArray(given) ? given : [given] })];
}

/** Journals keep one kind a name, and of choices one list. */
function checkAlike(parameters: readonly Parameter[]): void {
  const first = new Map<string, Distribution>();
  for (const { name, distribution } of parameters) {
    const other = first.get(name);
    first.set(name, distribution);
    if (other === undefined) continue;
    const alike =
      other.kind === distribution.kind &&
      (other.kind === 'categorical'
        ? distributionText(other) === distributionText(distribution)
        : other.log === (distribution as typeof other).log);
    if (!alike) {
      throw refuse(
        `"${name}" has several forms that are not of one kind (of choices: not the same list). Give each a name of its own, or one form.`,
      );
    }
  }
}

/** Conditions first: each parameter after all that it depends on. */
function inOrder(parameters: readonly Parameter[]): Parameter[] {
  const names = new Set(parameters.map(({ name }) => name));
  const placed = new Set<string>();
  let left = [...parameters];
  const ordered: Parameter[] = [];
  while (left.length > 0) {
    const isReady = ({ when }: Parameter) => [...when.keys()].every((other) => placed.has(other));
    const ready = [...new Set(left.map(({ name }) => name))].filter((name) =>
      left.filter((one) => one.name === name).every(isReady),
    );
    if (ready.length === 0) {
      const [stuck] = left as [Parameter];
      const missing = [...stuck.when.keys()].find((other) => !names.has(other));
      if (missing === undefined) throw refuse(`"${stuck.name}" depends on itself, by its conditions`);
      const [near] = nearNames(missing, [...names], 1);
      throw refuse(
        `"${stuck.name}" has a condition on "${missing}", which is no parameter.${near ? ` Was ${near} meant?` : ''}`,
      );
    }
    for (const name of ready) placed.add(name);
    ordered.push(...left.filter(({ name }) => ready.includes(name)));
    left = left.filter(({ name }) => !ready.includes(name));
  }
  return ordered;
}

/** A condition on a value that the other parameter never has would never hold, in silence. */
function checkConditions(parameters: readonly Parameter[]): void {
  for (const { name, when } of parameters) {
    for (const [other, values] of when) {
      const choices = parameters.flatMap((one) =>
        one.name === other && one.distribution.kind === 'categorical' ? one.distribution.choices : [],
      );
      if (choices.length === 0) throw refuse(`"${name}" has a condition on "${other}", which is no choice`);
      const known = choices.map(keyOf);
      const wrong = values.find((value) => !known.includes(keyOf(value)));
      if (wrong === undefined) continue;
      throw refuse(`"${name}" counts when ${other} is ${keyOf(wrong)}, which is none of ${listNames(known)}`);
    }
  }
}

/**
 * @returns the parameters, each after those that its conditions name.
 * @throws FusedLoraError INVALID_ARGUMENT naming the parameter.
 */
export function resolveSpace(space: Space): Parameter[] {
  if (!isJsonObject(space)) throw refuse('must be an object of parameters by name');
  const parameters = Object.entries(space).flatMap(([name, given]) => specsOf(name, given));
  if (parameters.length === 0) throw refuse('has no parameter');
  checkAlike(parameters);
  const ordered = inOrder(parameters);
  checkConditions(ordered);
  return ordered;
}

/** Whether a parameter counts beside the values that are chosen. */
export function counts({ when }: Parameter, chosen: ReadonlyMap<string, Value>): boolean {
  return [...when].every(([other, values]) => {
    const value = chosen.get(other);
    return value !== undefined && values.some((one) => keyOf(one) === keyOf(value));
  });
}
