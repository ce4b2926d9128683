/**
 * Options of another type than their row in the table says, for callers without types: told by the
 * option's name before anything is made of the value. Ranges and words are checked in
 * check_options.ts and where an option is used.
 */
import { FusedLoraError } from '../../base/errors';
import { KeptStates } from '../../train/kept_states';
import type { OptionKind, OptionRow } from './option_row';
import { OPTION_ROWS } from './option_table';

/** For each kind the types of its values, as words for people. */
const TYPES: Readonly<Record<string, { wanted: string; fits: (value: unknown) => boolean }>> = {
  number: { wanted: 'a number', fits: (value) => typeof value === 'number' },
  numbers: { wanted: 'a list of numbers', fits: (value) => isListOf(value, 'number') },
  text: { wanted: 'a string', fits: (value) => typeof value === 'string' },
  names: { wanted: 'a list of strings', fits: (value) => isListOf(value, 'string') },
  targets: {
    wanted: 'a string or a list of strings',
    fits: (value) => typeof value === 'string' || isListOf(value, 'string'),
  },
  rates: {
    wanted: 'a list of { pattern, learningRate }',
    fits: (value) => isListOf(value, 'object') && (value as object[]).every((one) => 'pattern' in one),
  },
  steps: { wanted: 'a number or "epoch"', fits: (value) => typeof value === 'number' || typeof value === 'string' },
  flag: { wanted: 'true or false', fits: (value) => typeof value === 'boolean' },
};

/** Columns may be numbers too; a model may be open; words and patterns may be alone. */
const ALSO: Readonly<Record<string, (value: unknown) => boolean>> = {
  model: (value) => typeof value === 'object' && value !== null,
  textColumn: (value) => typeof value === 'number',
  textPairColumn: (value) => typeof value === 'number',
  labelColumn: (value) => typeof value === 'number',
  method: (value) => typeof value === 'object' && value !== null,
  keepFrozen: (value) => value instanceof KeptStates,
  'lora.excludeModules': (value) => typeof value === 'string',
  'lora.layersPattern': (value) => typeof value === 'string',
  'lora.layersToTransform': (value) => typeof value === 'number',
  'lora.initLoraWeights': (value) => typeof value === 'boolean' || typeof value === 'string',
};

function isListOf(value: unknown, type: 'number' | 'string' | 'object'): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === type && one !== null);
}

function typeOf(kind: OptionKind): (typeof TYPES)[string] | undefined {
  if (typeof kind !== 'string') return TYPES['whole' in kind ? 'number' : 'text'];
  return TYPES[kind === 'off' ? 'flag' : kind];
}

/** A value in an error: what JSON has no form for by its type alone. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return typeof value === 'string' || typeof value === 'boolean' || value === null
    ? JSON.stringify(value)
    : typeof value === 'number'
      ? String(value)
      : `a ${typeof value}`;
}

function valueIn(options: Readonly<Record<string, unknown>>, { name }: OptionRow): unknown {
  const [outer, inner] = name.split('.') as [string, string | undefined];
  const value = options[outer];
  if (inner === undefined) return value;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[inner] : undefined;
}

/** @throws FusedLoraError INVALID_ARGUMENT naming the option, INVALID_LORA a field of `lora`. */
export function checkKinds(options: object): void {
  const given = options as Readonly<Record<string, unknown>>;
  if (given['lora'] !== undefined && (typeof given['lora'] !== 'object' || given['lora'] === null)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `lora is ${shown(given['lora'])}; it must be an object`);
  }
  for (const row of OPTION_ROWS) {
    const value = row.name === '' ? undefined : valueIn(given, row);
    const type = typeOf(row.kind);
    if (value === undefined || type === undefined || type.fits(value) || ALSO[row.name]?.(value)) continue;
    const code = row.name.startsWith('lora.') ? 'INVALID_LORA' : 'INVALID_ARGUMENT';
    const name = row.name.startsWith('lora.') ? row.name.slice(5) : row.name;
    throw new FusedLoraError(code, `${name} is ${shown(value)}; it must be ${type.wanted}`);
  }
}
