/** Parsers of option values and options that several commands have. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { nearNames } from '../base/near';
import type { ColumnOptions } from '../data/read/columns';
import { PRECISIONS } from '../graph/precision';
import type { ScheduleName } from '../train/schedule';
import { addConfigOption } from './config_file';

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

/** Leaves out what is undefined, so that defaults hold. */
export function compact<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

export function addColumnOptions(command: Command): Command {
  return command
    .optionsGroup('Columns of the data:')
    .option(
      '--text-column <name>',
      'column of the text or the words: a name, or a number from 0 (default: sentence or text; tokens or words)',
    )
    .option('--text-pair-column <name>', 'column of the second text of a pair')
    .option(
      '--label-column <name>',
      'column of the label, or the labels of words (default: label or labels; labels or ner_tags)',
    )
    .option('--no-header', 'the first line of a CSV or TSV file is a row, not names')
    .option(
      '--delimiter <character>',
      'between the columns of CSV files (default: a comma, or the semicolon of a first line without one)',
    );
}

/** Which columns of data files are read, of all that was given. */
export function columnsOf(options: ColumnOptions): ColumnOptions {
  const { textColumn, textPairColumn, labelColumn, header, delimiter } = options;
  return compact({ textColumn, textPairColumn, labelColumn, header, delimiter });
}

export interface HubFlags {
  revision?: string;
  offline?: boolean;
}

/** For models and data of the Hugging Face hub; a token comes from HF_TOKEN, so that no list of processes shows it. */
export function addHubOptions(command: Command): Command {
  return command
    .option('--revision <name>', 'branch, tag or commit of a model of the Hugging Face hub (default: main)')
    .option('--offline', 'of the hub, use what was downloaded before (also: HF_HUB_OFFLINE=1)');
}

export interface TrainingOptions {
  epochs?: number;
  maxSteps?: number;
  batchSize?: number;
  tokenBudget?: number;
  gradientAccumulation?: number;
  lr?: number;
  schedule?: ScheduleName;
  warmupRatio?: number;
  warmupSteps?: number;
  weightDecay?: number;
  maxGradNorm?: number;
  maxLength?: number;
  seed?: number;
  checkpointEvery?: number | 'epoch';
  checkpointLimit?: number;
  resume?: boolean;
}

/** The same under the trainer's names, what was not given left out. */
export function trainerOptions(options: TrainingOptions) {
  return compact({
    epochs: options.epochs,
    maxSteps: options.maxSteps,
    batchSize: options.batchSize,
    tokenBudget: options.tokenBudget,
    gradientAccumulation: options.gradientAccumulation,
    learningRate: options.lr,
    schedule: options.schedule,
    warmupRatio: options.warmupRatio,
    warmupSteps: options.warmupSteps,
    weightDecay: options.weightDecay,
    maxGradNorm: options.maxGradNorm,
    maxLength: options.maxLength,
    seed: options.seed,
    checkpointEvery: options.checkpointEvery,
    checkpointLimit: options.checkpointLimit,
    resume: options.resume,
  });
}

/** What holds for training options that are not given, for the help. */
export interface TrainingDefaults {
  epochs: number;
  batchSize: string;
  tokenBudget: string;
  lr: string;
  checkpointEvery: string;
}

/** Options of everything that trains. */
export function addTrainingOptions(command: Command, defaults: TrainingDefaults): Command {
  return command
    .optionsGroup('Training:')
    .option('--epochs <n>', `passes over the data; may be a fraction (default: ${defaults.epochs})`, number)
    .option('--max-steps <n>', 'optimizer steps, in place of epochs', integer(1))
    .option('--batch-size <n>', `sentences a batch (default: ${defaults.batchSize})`, integer(1))
    .option(
      '--token-budget <n>',
      `most tokens a batch, in place of or beside --batch-size (default: ${defaults.tokenBudget})`,
      integer(1),
    )
    .option('--gradient-accumulation <n>', 'batches an optimizer step (default: 1)', integer(1))
    .option('--lr <rate>', `peak learning rate (default: ${defaults.lr})`, number)
    .addOption(choice('--schedule <name>', 'course of the rate (default: linear)', ['linear', 'cosine', 'constant']))
    .option('--warmup-ratio <share>', 'share of the steps in which the rate rises (default: 0.06)', number)
    .option('--warmup-steps <n>', 'steps in which the rate rises, in place of the ratio', integer(0))
    .option('--weight-decay <x>', 'decoupled weight decay, none on biases and LayerNorm (default: 0.01)', number)
    .option('--max-grad-norm <x>', 'global gradient norm to clip to; 0: no clipping (default: 1)', number)
    .option('--max-length <n>', 'most tokens of a sentence; longer ones are cut (default: 128)', integer(3))
    .option('--seed <n>', 'of initial values, data order and dropout (default: 0)', integer(0))
    .optionsGroup('Checkpoints:')
    .option(
      '--checkpoint-every <n>',
      `steps between checkpoints, or "epoch" (default: ${defaults.checkpointEvery})`,
      stepsOrEpoch,
    )
    .option('--checkpoint-limit <n>', 'newest checkpoints kept (default: 2)', integer(1))
    .option('--resume', 'go on from the newest checkpoint in the output folder')
    .option('--overwrite', 'remove checkpoints of an earlier run from the output folder');
}

export interface OutputOptions {
  json?: string | true;
  quiet?: boolean;
  verbose?: boolean;
}

/**
 * What a command shows and where its options come from: the last group of its help.
 *
 * @param figures whether it has figures to give as JSON.
 */
export function addOutputOptions(command: Command, { figures = true } = {}): Command {
  addConfigOption(command.optionsGroup('General:'));
  if (figures) command.option('--json [file]', 'figures as JSON: into the file, or in place of the text');
  return command
    .option('--quiet', 'no progress and notices')
    .option('--verbose', 'a line for every step; errors with their stack')
    .helpOption('-h, --help', 'show this help');
}

/** For multi-label classification. */
export const thresholdOption = () =>
  new Option(
    '--threshold <p>',
    'multi-label: a label counts where its probability is above it (default: 0.5)',
  ).argParser(number);

export const deviceOption = () =>
  choice('--device <name>', 'where to compute', ['auto', 'cpu', 'cuda']).default('auto');

export const precisionOption = () =>
  choice('--precision <name>', 'of products; auto: bf16 where the device has instructions for it', PRECISIONS).default(
    'auto',
  );

/** Element types that weights can be saved in. */
export const SAVE_DTYPES = ['F32', 'F16', 'BF16'] as const;
export type SaveDType = (typeof SAVE_DTYPES)[number];
