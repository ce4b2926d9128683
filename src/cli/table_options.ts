/**
 * From rows of the option table (src/task/options/option_table.ts) to options of a command, and
 * back. Options that one command alone has stand in its own file, made of the parsers in
 * options.ts.
 */
import { type Command, Option } from 'commander';
import { FusedLoraError } from '../base/errors';
import type { ColumnOptions } from '../data/read/columns';
import type { LoraConfig } from '../lora';
import { OPTION_ROWS, type OptionGroup, type OptionKind, type OptionRow } from '../task/options/option_table';
import { requiredOption } from './config_file';
import { choice, integer, list, number, stepsOrEpoch } from './options';

/** What a command says in place of the table. */
export type RowChanges = Partial<Pick<OptionRow, 'flags' | 'help' | 'default' | 'says' | 'unless'>> & {
  required?: false;
};

/** Rows by their names in the library, in the order of the table, with what is said otherwise. */
export function rowsOf(names: readonly string[], changes: Readonly<Record<string, RowChanges>> = {}): OptionRow[] {
  const rows = OPTION_ROWS.filter(({ name }) => names.includes(name));
  const missing = names.find((name) => !rows.some((row) => row.name === name));
  if (missing !== undefined) throw new FusedLoraError('INTERNAL', `the option table has no row "${missing}"`);
  return rows.map((row) => {
    const { required, ...others } = changes[row.name] ?? {};
    const { required: wasRequired, ...changed } = { ...row, ...others };
    return wasRequired && required !== false ? { ...changed, required: true } : changed;
  });
}

/** Rows of whole groups that have a flag. */
export function rowsOfGroup(group: OptionGroup, changes?: Readonly<Record<string, RowChanges>>): OptionRow[] {
  const names = OPTION_ROWS.filter((row) => row.group === group && row.flags !== undefined && row.name !== '');
  return rowsOf(
    names.map(({ name }) => name),
    changes,
  );
}

/** Adds a group of the table under its heading. */
export function addGroup(
  command: Command,
  group: OptionGroup,
  changes?: Readonly<Record<string, RowChanges>>,
): Command {
  return addRows(command.optionsGroup(`${group}:`), rowsOfGroup(group, changes));
}

export const COLUMN_ROWS = rowsOfGroup('Columns of the data');

/** Which columns of data files are read, of all that was given. */
export const columnsOf = (parsed: object): ColumnOptions => libraryOptions(COLUMN_ROWS, { ...parsed });

/** `(default: …)` where the row has one. */
function helpOf({ help, default: value, says }: OptionRow): string {
  const told = says ?? (value === undefined ? undefined : String(value));
  return told === undefined ? help : `${help} (default: ${told})`;
}

function parserOf(kind: OptionKind): ((text: string) => unknown) | undefined {
  if (typeof kind === 'object') return 'whole' in kind ? integer(kind.whole) : undefined;
  switch (kind) {
    case 'number':
      return number;
    case 'names':
      return list;
    case 'numbers':
      return (text) => list(text).map(number);
    case 'steps':
      return stepsOrEpoch;
    default:
      return undefined;
  }
}

/** Adds an option for each row, with the value parsed as its kind says and its default told. */
export function addRows(command: Command, rows: readonly OptionRow[]): Command {
  for (const row of rows) {
    const { kind, flags } = row;
    if (flags === undefined) continue;
    if (row.required) {
      // Of what this command has alone: another one may not have it.
      const has = (flag: string) =>
        rows.some((one) => one.flags?.startsWith(`${flag} `)) || command.options.some(({ long }) => long === flag);
      const unless = row.unless?.filter(has);
      requiredOption(command, flags, helpOf(row), unless);
    } else if (typeof kind === 'object' && 'oneOf' in kind) command.addOption(choice(flags, helpOf(row), kind.oneOf));
    else {
      const option = new Option(flags, helpOf(row));
      const parser = parserOf(kind);
      command.addOption(parser ? option.argParser(parser) : option);
    }
  }
  return command;
}

/** A value as the library takes it, where the command line keeps what was typed. */
function libraryValue(kind: OptionKind, value: unknown): unknown {
  if (kind === 'rates') return (value as string[]).map(ratePattern);
  if (kind === 'targets') return targetsOf(value as string);
  return value;
}

const attributeOf = (flags: string) => new Option(flags).attributeName();

/**
 * What a parsed command says, under the names of the library; `lora.r` becomes the field r of lora.
 */
export function libraryOptions(
  rows: readonly OptionRow[],
  parsed: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const row of rows) {
    const value = row.flags === undefined ? undefined : parsed[attributeOf(row.flags)];
    if (value === undefined || row.name === '') continue;
    for (const name of [row.name, ...(row.also ?? [])]) {
      const [outer, field] = name.split('.') as [string, string | undefined];
      if (field === undefined) options[outer] = libraryValue(row.kind, value);
      else {
        const held = options[outer];
        options[outer] = { ...(typeof held === 'object' ? held : {}), [field]: libraryValue(row.kind, value) };
      }
    }
  }
  return options;
}

/**
 * Values of options that were not given, by their flags without dashes: for the file that repeats
 * the run.
 *
 * @param settings what holds, by the names of the library.
 */
export function recordedDefaults(
  rows: readonly OptionRow[],
  settings: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const recorded: Record<string, unknown> = {};
  for (const { name, flags, unrecorded } of rows) {
    if (flags === undefined || unrecorded) continue;
    const [outer, field] = name.split('.') as [string, string | undefined];
    const held = settings[outer];
    const value = field === undefined ? held : (held as Record<string, unknown> | undefined)?.[field];
    if (value === undefined || (typeof value === 'object' && !Array.isArray(value))) continue;
    recorded[(new Option(flags).long ?? '').replace(/^--(no-)?/, '')] = value;
  }
  return recorded;
}

/** The flag of an option of the library, for error messages: learningRate becomes --lr. */
export function flagOf(name: string): string | undefined {
  const row = OPTION_ROWS.find((one) => one.name === name || one.name === `lora.${name}`);
  return row?.flags === undefined ? undefined : new Option(row.flags).long;
}

/**
 * `query,value` is a list of names; what has a sign of regular expressions, or is all-linear, stays
 * text.
 */
function targetsOf(text: string): LoraConfig['targetModules'] {
  return text === 'all-linear' || /[\\^$*+?()[\]{}|]/.test(text) ? text : list(text);
}

/** `regex=rate`; the regex may hold `=` too. */
function ratePattern(text: string): { pattern: string; learningRate: number } {
  const cut = text.lastIndexOf('=');
  const learningRate = Number(text.slice(cut + 1));
  if (cut < 1 || !Number.isFinite(learningRate)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `--lr-pattern "${text}" is not of the form regex=rate, such as classifier=1e-3`,
    );
  }
  return { pattern: text.slice(0, cut), learningRate };
}

/**
 * What a command shows and where its options come from: the last group of its help.
 *
 * @param figures whether it has figures to give as JSON.
 */
export function addOutputOptions(command: Command, { figures = true } = {}): Command {
  command.optionsGroup('General:');
  for (const { flags, help } of OPTION_ROWS.filter(({ name, flags }) => name === '' && flags !== undefined)) {
    const option = new Option(flags as string, help);
    if (option.long !== '--json' || figures) command.addOption(option);
  }
  return command.helpOption('-h, --help', 'show this help');
}
