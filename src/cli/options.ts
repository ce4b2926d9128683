/** Parsers of option values and options that several commands have. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ScheduleName } from '../train/schedule';

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

/** Leaves out what is undefined, so that defaults hold. */
export function compact<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

export function addColumnOptions(command: Command): Command {
  return command
    .option(
      '--text-column <name>',
      'column of the text or the words: a name, or a number from 0 (default: sentence or text; tokens or words)',
    )
    .option('--text-pair-column <name>', 'column of the second text of a pair')
    .option('--label-column <name>', 'column of the label, or the labels of words (default: label; labels or ner_tags)')
    .option('--no-header', 'the first line of a TSV file is a row, not names');
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

/** Options of everything that trains. */
export function addTrainingOptions(command: Command): Command {
  return command
    .option('--epochs <n>', 'passes over the data; may be a fraction', number)
    .option('--max-steps <n>', 'optimizer steps, in place of epochs', integer(1))
    .option('--batch-size <n>', 'sentences a batch', integer(1))
    .option('--token-budget <n>', 'most tokens a batch, in place of or beside --batch-size', integer(1))
    .option('--gradient-accumulation <n>', 'batches an optimizer step', integer(1))
    .option('--lr <rate>', 'peak learning rate', number)
    .addOption(new Option('--schedule <name>', 'course of the rate').choices(['linear', 'cosine', 'constant']))
    .option('--warmup-ratio <share>', 'share of the steps in which the rate rises', number)
    .option('--warmup-steps <n>', 'steps in which the rate rises', integer(0))
    .option('--weight-decay <x>', 'decoupled weight decay (none on biases and LayerNorm)', number)
    .option('--max-grad-norm <x>', 'global gradient norm to clip to; 0: no clipping', number)
    .option('--max-length <n>', 'most tokens of a sentence; longer ones are cut', integer(3))
    .option('--seed <n>', 'of initial values, data order and dropout', integer(0))
    .option('--checkpoint-every <n>', 'steps between checkpoints, or "epoch"', stepsOrEpoch)
    .option('--checkpoint-limit <n>', 'newest checkpoints kept', integer(1))
    .option('--resume', 'go on from the newest checkpoint in the output folder');
}

export interface OutputOptions {
  json?: string;
  quiet?: boolean;
}

export function addOutputOptions(command: Command): Command {
  return command
    .option('--json <file>', 'write the figures as JSON')
    .option('--quiet', 'no progress')
    .option('--verbose', 'errors with their stack');
}

/** For multi-label classification. */
export const thresholdOption = () =>
  new Option(
    '--threshold <p>',
    'multi-label: a label counts where its probability is above it (default: 0.5)',
  ).argParser(number);

export const deviceOption = () =>
  new Option('--device <name>', 'where to compute').choices(['auto', 'cpu', 'cuda']).default('auto');

/** Element types that weights can be saved in. */
export const SAVE_DTYPES = ['F32', 'F16', 'BF16'] as const;
export type SaveDType = (typeof SAVE_DTYPES)[number];
