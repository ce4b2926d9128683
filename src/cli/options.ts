/**
 * Parsers of option values, and the few options of several commands that training does not have.
 * All that `train` takes comes from the option table: see table_options.ts.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { nearNames } from '../base/near';
import { DEFAULT_THRESHOLD } from '../task/options/defaults';

/** A whole number from `low`. */
export function integer(low: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text.trim()) || !Number.isSafeInteger(value) || value < low) {
      throw new InvalidArgumentError(`It must be a whole number from ${low}.`);
    }
    return value;
  };
}

/** Any finite number; ranges are checked by what uses it. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** `a,b,c` */
export function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.some((item) => item === '')) throw new InvalidArgumentError('It must be names with a comma between them.');
  return items;
}

/** Of an option that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** A number of steps, or `epoch`. */
export function stepsOrEpoch(text: string): number | 'epoch' {
  return text === 'epoch' ? text : integer(1)(text);
}

/** An option with few values; a mistyped one is told which may have been meant. */
export function choice(flags: string, description: string, values: readonly string[]): Option {
  return new Option(flags, description).choices(values).argParser((text) => {
    if (values.includes(text)) return text;
    const [near] = nearNames(text, values, 1);
    throw new InvalidArgumentError(`${near ? `Did you mean ${near}? ` : ''}It must be ${values.join(', ')}.`);
  });
}

/** Lines of commands at the end of a command's help. */
export function addExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`);
}

/** What every command has: see `addOutputOptions`. */
export interface OutputOptions {
  json?: string | true;
  quiet?: boolean;
  verbose?: boolean;
}

/** For multi-label classification. */
export const thresholdOption = () =>
  new Option(
    '--threshold <p>',
    `multi-label: a label counts where its probability is above it (default: ${DEFAULT_THRESHOLD})`,
  ).argParser(number);

/** Element types that weights can be saved in. */
export const SAVE_DTYPES = ['F32', 'F16', 'BF16'] as const;
export type SaveDType = (typeof SAVE_DTYPES)[number];
