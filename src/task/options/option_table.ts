/**
 * The one table of what `train` takes: name, flag, kind, default, help, and what a change of it
 * changes. Read by the command line (src/cli/table_options.ts), by checks of names, and by
 * docs/options.md.
 */
import type { LoraConfig } from '../../lora';
import type { FineTuneOptions } from './fine_tune_options';
import { INPUT_ROWS } from './input_rows';
import { METHOD_ROWS } from './method_rows';
import type { OptionRow } from './option_row';
import { TRAINING_ROWS } from './training_rows';

export type { OptionKind, OptionRow } from './option_row';

/** Groups of options, in the order of the help. */
export const OPTION_TABLE = { ...INPUT_ROWS, ...METHOD_ROWS, ...TRAINING_ROWS } as const;

/** A heading of the help. */
export type OptionGroup = keyof typeof OPTION_TABLE;

/** All rows with their groups, in the order of the help. */
export const OPTION_ROWS: readonly (OptionRow & { group: OptionGroup })[] = Object.entries(OPTION_TABLE).flatMap(
  ([group, rows]) => rows.map((row: OptionRow) => ({ ...row, group: group as OptionGroup })),
);

type Named = (typeof OPTION_TABLE)[OptionGroup][number]['name'];
type Wanted =
  | Exclude<keyof FineTuneOptions, 'lora'>
  | `lora.${keyof LoraConfig}`
  | 'method.trainable'
  | 'method.subspace'
  | 'method.structure'
  | '';
/** Errors of the compiler where an option has no row, or a row no option. */
const complete: [Exclude<Wanted, Named>, Exclude<Named, Wanted>] extends [never, never] ? true : never = true;
void complete;

/** The names of all options of fineTune, for a caller without types who mistypes one. */
export const FINE_TUNE_KEYS: Readonly<Record<string, true>> = Object.fromEntries(
  OPTION_ROWS.filter(({ name }) => name !== '').map(({ name }) => [name.split('.')[0], true as const]),
);
