/**
 * Options from a file (`--config`), and the file that repeats a run (run_config.json). When such a
 * file is written, and what stands in it, is decided in run_files.ts and table_options.ts.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser';
import { FusedLoraError } from '../base/errors';
import { listNames, nearNames } from '../base/near';
import { writeFileAtomic } from '../io/atomic';
import { decodeUtf8, isJsonObject, MOST_CONFIG_BYTES } from '../io/json';
import { readWhole } from '../io/open';

/**
 * Options that say how a command is run, not what it does: they stand on the command line alone.
 */
const NOT_IN_FILES = ['config', 'help', 'version', 'resume', 'overwrite', 'quiet', 'verbose', 'json'];

const required = new WeakMap<Command, { option: Option; unless: readonly string[] }[]>();

/**
 * An option that must be given, here or in the file of `--config`.
 *
 * @param unless flags of others of the command that may be given in its place.
 */
export function requiredOption(
  command: Command,
  flags: string,
  description: string,
  unless: readonly string[] = [],
): Command {
  const option = new Option(flags, `${description} (${['required', ...unless].join(', or ')})`);
  required.set(command, [...(required.get(command) ?? []), { option, unless }]);
  return command.addOption(option);
}

/** The name of an option in a file: its long flag without the dashes, `--no-report` as `report`. */
const keyOf = (option: Option) => (option.long ?? '').replace(/^--(no-)?/, '');

const inFiles = (command: Command) => command.options.filter((option) => !NOT_IN_FILES.includes(keyOf(option)));

/**
 * Sets what the file of `--config` says and the command line does not, then sees that every
 * required option is there.
 *
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_ARGUMENT naming the file and the key or line.
 */
export function applyConfig(command: Command): void {
  const file = command.getOptionValue('config') as string | undefined;
  if (file !== undefined) {
    for (const [key, value] of Object.entries(readConfig(file))) {
      const option = optionOf(command, key, file);
      const name = option.attributeName();
      if (command.getOptionValueSource(name) === 'cli') continue;
      command.setOptionValueWithSource(name, parsedValue(option, value, `${file}: "${key}"`), 'config');
    }
  }
  for (const { option, unless } of required.get(command) ?? []) {
    const given = [option, ...command.options.filter(({ long }) => long && unless.includes(long))];
    if (given.some((one) => command.getOptionValue(one.attributeName()) !== undefined)) continue;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${given.map((one) => one.flags).join(' or ')} is missing. Give it${file === undefined ? '' : ` here or in ${file}`}; fused-lora ${command.name()} --help has an example.`,
    );
  }
}

function readConfig(file: string): Record<string, unknown> {
  const text = decodeUtf8(readWhole(file, { remedy: 'It is needed for its options.', maxBytes: MOST_CONFIG_BYTES }));
  const wrong = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', `${file}${problem}`);
  if (text === undefined) throw wrong(': is not UTF-8 text');
  const errors: ParseError[] = [];
  let value: unknown;
  try {
    value = parse(text, errors, { allowTrailingComma: true, disallowComments: !/\.jsonc$/i.test(file) });
  } catch (cause) {
    // It calls itself for each level.
    if (cause instanceof RangeError) throw wrong(': is nested too deep');
    throw cause;
  }
  const [error] = errors;
  if (error) {
    const line = text.slice(0, error.offset).split('\n').length;
    const what = printParseErrorCode(error.error);
    const hint = what === 'InvalidCommentToken' ? '; comments need the ending .jsonc' : '';
    throw wrong(`:${line}: is not JSON (${what})${hint}`);
  }
  if (!isJsonObject(value)) throw wrong(': must hold an object of options, such as {"epochs": 3, "lr": 5e-4}');
  return value;
}

/** The option that a key names: `batch-size`, or `batchSize`. */
function optionOf(command: Command, key: string, file: string): Option {
  const known = inFiles(command);
  const option = known.find((one) => keyOf(one) === key || one.attributeName() === key);
  if (option) return option;
  if (NOT_IN_FILES.includes(key)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${file}: "${key}" can not be in a file; give --${key} on the command line`,
    );
  }
  const names = known.map(keyOf);
  const [near] = nearNames(key, names, 1);
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${file}: fused-lora ${command.name()} has no option "${key}". ${near ? `Did you mean "${near}"?` : `It has ${listNames(names, 12)}.`}`,
  );
}

/** A value as the command line would have read it. */
function parsedValue(option: Option, value: unknown, place: string): unknown {
  const wrong = (expected: string) =>
    new FusedLoraError('INVALID_ARGUMENT', `${place} is ${JSON.stringify(value)}; it must be ${expected}`);
  const isText = (x: unknown): x is string | number => typeof x === 'string' || typeof x === 'number';
  if (option.isBoolean() || option.negate) {
    if (typeof value !== 'boolean') throw wrong('true or false');
    return value;
  }
  const parsed = (text: string) => {
    try {
      return option.parseArg ? option.parseArg(text, undefined) : text;
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new FusedLoraError('INVALID_ARGUMENT', `${place} is ${JSON.stringify(value)}. ${error.message}`);
    }
  };
  if (Array.isArray(value)) {
    if (!value.every(isText)) throw wrong('a list of strings or numbers');
    return option.variadic ? value.map(String) : parsed(value.join(','));
  }
  if (!isText(value)) throw wrong(option.variadic ? 'a string or a list of them' : 'a string or a number');
  return option.variadic ? [String(value)] : parsed(String(value));
}

/**
 * Writes the options of a command, which `--config` reads back.
 *
 * @param file of the run's folder.
 * @param defaults of options that were not given, by their key.
 */
export function writeConfig(command: Command, file: string, defaults: Record<string, unknown>): void {
  const values: Record<string, unknown> = {};
  for (const option of inFiles(command)) {
    const key = keyOf(option);
    const value = (command.getOptionValue(option.attributeName()) as unknown) ?? defaults[key];
    if (value !== undefined) values[key] = value;
  }
  writeFileAtomic(file, `${JSON.stringify(values, null, 2)}\n`, { own: true });
}
