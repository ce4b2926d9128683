/**
 * State dicts: all values of a module by path, taken out and put back with checks of names and
 * shapes.
 * From and to files: src/io/model_folder.ts.
 */
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import type { Parameter } from '../graph/parameter';

/** One entry of a state dict. `data` gives the newest values, row-major. */
export interface StateTensor {
  shape: readonly number[];
  data: Float32Array | (() => Float32Array);
}

/** Values of parameters by path. */
export type StateDict = Map<string, StateTensor>;
/** What `loadStateDict` takes: a state dict of this library, or pairs made by hand. */
export type StateEntries = Iterable<readonly [string, StateTensor]>;

/** What holds parameters by path: a Module, which is made of this file's functions. */
interface ParameterHolder {
  namedParameters(options?: { all?: boolean }): [string, Parameter][];
}

/** All parameters of a module by path, shared ones at each path. */
export function stateOf(module: ParameterHolder): StateDict {
  return new Map(
    module
      .namedParameters({ all: true })
      .map(([name, parameter]) => [name, { shape: parameter.shape, data: () => parameter.data() }]),
  );
}

const show = (shape: readonly number[]) => `[${shape.join(', ')}]`;

/** Up to 20 lines of a kind, so that the error of a wrong file stays readable. */
function section(title: string, lines: string[]): string[] {
  if (lines.length === 0) return [];
  const shown = lines.slice(0, 20).map((line) => `    ${line}`);
  if (lines.length > 20) shown.push(`    … and ${lines.length - 20} more`);
  return [`  ${title} (${lines.length}):`, ...shown];
}

/**
 * The error for names that do not fit.
 *
 * @param what the model or adapter that they were to be loaded into.
 * @param remedy one sentence at the end.
 */
export function stateMismatch(
  what: string,
  names: { missing?: string[]; unexpected?: string[]; misshapen?: string[] },
  remedy: string,
): FusedLoraError {
  const lines = [
    ...section('missing', names.missing ?? []),
    ...section('unexpected', names.unexpected ?? []),
    ...section('of another shape', names.misshapen ?? []),
  ];
  return new FusedLoraError('STATE_MISMATCH', `The tensors do not fit ${what}:\n${lines.join('\n')}\n  ${remedy}`);
}

/**
 * Sets the parameters of a module from a state dict; nothing
 * is changed when a name or shape does not fit.
 */
export function loadState(
  module: ParameterHolder,
  state: StateEntries,
  strict: boolean,
): { missing: string[]; unexpected: string[] } {
  const byName = new Map(module.namedParameters({ all: true }));
  const given = new Map<Parameter, StateTensor>();
  const unexpected: string[] = [];
  const misshapen: string[] = [];
  const named = new Set<Parameter>();
  for (const [name, tensor] of state) {
    const parameter = byName.get(name);
    if (parameter) named.add(parameter);
    if (!parameter) unexpected.push(name);
    else if (tensor.shape.join() !== parameter.shape.join()) {
      misshapen.push(`${name}: ${show(tensor.shape)}, the model has ${show(parameter.shape)}`);
    } else given.set(parameter, tensor);
  }
  const missing = module
    .namedParameters()
    .filter(([, parameter]) => !named.has(parameter))
    .map(([name]) => name);
  if (misshapen.length > 0 || (strict && (missing.length > 0 || unexpected.length > 0))) {
    const hinted = unexpected.map((name) => {
      const [near] = nearNames(name, missing, 1);
      return near ? `${name} (the model misses ${near})` : name;
    });
    throw stateMismatch(
      module.constructor.name,
      strict ? { missing, unexpected: hinted, misshapen } : { misshapen },
      'Nothing was changed. Take the state of a model of the same configuration, or pass { strict: false } to leave out names.',
    );
  }
  const values = [...given].map(
    ([parameter, { data }]) => [parameter, typeof data === 'function' ? data() : data] as const,
  );
  for (const [parameter, data] of values) {
    if (data.length !== parameter.count) {
      throw new FusedLoraError(
        'INVALID_SHAPE',
        `${parameter.name}: got ${data.length} values, expected ${parameter.count}`,
      );
    }
  }
  for (const [parameter, data] of values) parameter.setData(data.slice());
  return { missing, unexpected };
}
