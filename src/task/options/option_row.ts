/**
 * The form of a line of the option table: what is told about one option.
 * The lines are in input_rows.ts, method_rows.ts and training_rows.ts; option_table.ts joins them.
 */

/**
 * How a value is written on a command line: a whole number from a bound, a list with commas,
 * several arguments, one of few words, a flag without a value (`off`: one that takes something
 * away), and so on. `code`: a function or an object, which no command line has.
 */
export type OptionKind =
  | { whole: number }
  | { oneOf: readonly string[] }
  | 'number'
  | 'numbers'
  | 'text'
  | 'texts'
  | 'names'
  | 'targets'
  | 'rates'
  | 'steps'
  | 'flag'
  | 'off'
  | 'code';

/**
 * What can be seen from outside to change with an option: values and tensors of the file of
 * weights, other files, lines of events.jsonl, the figures of the result, what is refused, and what
 * goes over the network or to standard output and error. `no bits`: the weights are the same.
 */
export type Change =
  | 'bits'
  | 'no bits'
  | 'tensors'
  | 'adapter_config.json'
  | 'fused_lora.json'
  | 'files'
  | 'output folder'
  | 'start event'
  | 'step events'
  | 'evaluate events'
  | 'checkpoint events'
  | 'metrics'
  | 'program'
  | 'refusal'
  | 'calls'
  | 'requests to the hub'
  | 'downloads'
  | 'output of the command';

/** A line of the table. */
export interface OptionRow {
  /**
   * In the library; `lora.r` is a field of the option lora. Empty: the command line alone has it.
   */
  name: string;
  /** On the command line, with the name of its value. Absent: the library alone has it. */
  flags?: string;
  kind: OptionKind;
  /** The value that holds where it is not given. */
  default?: string | number | boolean;
  /** The default in words, where it is no fixed value. */
  says?: string;
  help: string;
  /** What is seen to change with it, for people. */
  effect: string;
  /** The same for test/task/option_effects.test.ts, which tries each of them. */
  changes: readonly Change[];
  required?: true;
  /** The flags of other options that make a required one needless. */
  unless?: readonly string[];
  /** Further options of the library that the flag sets. */
  also?: readonly string[];
  /** Not written to run_config.json where it was not given, though it has a default. */
  unrecorded?: true;
}

/** Rows by the heading under which the help has them. */
export type OptionGroups = Readonly<Record<string, readonly OptionRow[]>>;

/** What most options change in the end. */
export const BITS = 'bits of the adapter or model';
