/** `fused-lora train`: fine-tuning on a data file. */
import { Command, Option } from 'commander';
import type { ColumnOptions } from '../data/columns';
import { FusedLoraError } from '../errors';
import { formatTotals, LORA_PRESETS, type LoraConfig } from '../lora';
import type { DeviceOption } from '../task/device';
import { readExamplesFor } from '../task/examples';
import { FINE_TUNE_TASKS, type FineTuneOptions, type FineTuneTask, fineTune } from '../task/fine_tune';
import type { Method } from '../task/method';
import { writeFigures } from './figures';
import {
  addColumnOptions,
  addOutputOptions,
  addTrainingOptions,
  compact,
  deviceOption,
  integer,
  list,
  number,
  type OutputOptions,
  stepsOrEpoch,
  type TrainingOptions,
  trainerOptions,
} from './options';
import { progress } from './progress';
import { action } from './run';

interface TrainOptions extends ColumnOptions, TrainingOptions, OutputOptions {
  model: string;
  train: string;
  dev?: string;
  output: string;
  tokenizer?: string;
  task?: FineTuneTask;
  labels?: string[];
  method: 'lora' | 'full' | 'head';
  trainable?: string;
  r?: number;
  alpha?: number;
  rslora?: boolean;
  loraDropout?: number;
  targetModules?: string;
  excludeModules?: string[];
  preset?: string;
  bias?: 'none' | 'all' | 'lora_only';
  lrPattern?: string[];
  dropout?: number;
  labelSmoothing?: number;
  classWeights?: string[];
  evalEvery?: number | 'epoch';
  metric?: string;
  patience?: number;
  overwrite?: boolean;
  ignoreMismatchedSizes?: boolean;
  device: DeviceOption;
}

export function trainCommand(): Command {
  const command = new Command('train')
    .description('fine-tune an encoder on labelled sentences or words: LoRA, everything, or the head alone')
    .requiredOption('--model <dir>', 'Hugging Face model folder to start from')
    .requiredOption('--train <file>', 'training data: .tsv or .jsonl; for token classification .jsonl or CoNLL')
    .option('--dev <file>', 'data that is measured on')
    .requiredOption('--output <dir>', 'gets the adapter or model, events.jsonl and checkpoints')
    .option('--tokenizer <dir>', "folder of the tokenizer (default: the model's)")
    .addOption(
      new Option('--task <name>', 'what a label is (default: sequence-classification)').choices(FINE_TUNE_TASKS),
    )
    .option('--labels <names>', 'class names by id, with commas (default: those of the data)', list)
    .addOption(new Option('--method <name>', 'what is trained').choices(['lora', 'full', 'head']).default('lora'))
    .option('--trainable <regex>', 'train just the parameters whose path it matches, in place of --method')
    .option('--r <rank>', 'LoRA rank (default: 8)', integer(0))
    .option('--alpha <x>', 'LoRA alpha; the scale is alpha / r (default: 16)', number)
    .option('--rslora', 'scale by alpha / √r')
    .option('--lora-dropout <p>', "dropout on the adapters' input (default: 0, the fast path)", number)
    .option('--target-modules <list|regex>', 'names with commas, a regex on the whole path, or all-linear (default)')
    .option('--exclude-modules <list>', 'names of modules that get no adapter', list)
    .option(
      '--preset <pattern>',
      `regexes with ranks, query(4)|value(8), or a preset: ${Object.keys(LORA_PRESETS).join(', ')}`,
    )
    .addOption(new Option('--bias <which>', 'biases that are trained').choices(['none', 'all', 'lora_only']));
  addColumnOptions(command);
  addTrainingOptions(command)
    .option('--lr-pattern <regex=rate...>', 'another rate for parameters whose path the regex matches')
    .option('--dropout <p>', "dropout of the encoder and head (default: config.json's)", number)
    .option('--label-smoothing <x>', 'share of the target spread over all classes', number)
    .option('--class-weights <list>', 'a weight a class, with commas', list)
    .option('--eval-every <n>', 'steps between evaluations, or "epoch" (default)', stepsOrEpoch)
    .option('--metric <name>', 'the metric that decides which state is best and kept: accuracy, f1, matthews, loss, …')
    .option('--patience <n>', 'stop after so many evaluations without a new best', integer(1))
    .option('--overwrite', 'remove checkpoints of an earlier run from the output folder')
    .option('--ignore-mismatched-sizes', 'start a head of another shape anew')
    .addOption(deviceOption());
  return addOutputOptions(command).action(
    action(async (context, options: TrainOptions) => {
      const shown = progress(options.quiet === true);
      const { task = 'sequence-classification' } = options;
      const train = readExamplesFor(task, options.train, options, true);
      const dev = options.dev === undefined ? undefined : readExamplesFor(task, options.dev, options, true);
      try {
        const result = await fineTune({
          ...settingsOf(options),
          train,
          ...(dev && { dev }),
          callbacks: [shown],
          signal: context.signal,
          onNotice: options.quiet ? () => {} : context.say,
        });
        shown.stop();
        const { textModel, ...figures } = result;
        textModel.model.dispose();
        writeFigures(options.json, { command: 'train', ...figures });
        const metrics = Object.entries(result.metrics ?? {}).map(([name, value]) => `${name} ${value.toFixed(4)}`);
        process.stdout.write(
          [
            formatTotals({ rows: [], ...result.parameters }),
            `${result.training.steps} steps, ${result.training.samplesPerSecond.toFixed(0)} samples/s`,
            ...(metrics.length > 0 ? [metrics.join(', ')] : []),
            `${result.output.kind} written to ${result.output.folder} (${(result.output.bytes / 1e6).toFixed(2)} MB)`,
            '',
          ].join('\n'),
        );
      } finally {
        shown.stop();
      }
    }),
  );
}

/** What fineTune takes, under its own names. */
function settingsOf(options: TrainOptions): Omit<FineTuneOptions, 'train'> {
  const method: Method = options.trainable === undefined ? options.method : { trainable: options.trainable };
  return {
    model: options.model,
    outputDir: options.output,
    method,
    lora: loraOf(options),
    device: options.device,
    ...trainerOptions(options),
    ...compact({
      task: options.task,
      labelNames: options.labels,
      ratePatterns: options.lrPattern?.map(ratePattern),
      hiddenDropout: options.dropout,
      attentionDropout: options.dropout,
      classifierDropout: options.dropout,
      labelSmoothing: options.labelSmoothing,
      classWeights: options.classWeights?.map(number),
      evaluateEvery: options.evalEvery,
      metricForBest: options.metric,
      earlyStoppingPatience: options.patience,
      tokenizer: options.tokenizer,
      overwrite: options.overwrite,
      ignoreMismatchedSizes: options.ignoreMismatchedSizes,
    }),
  };
}

const LORA_FLAGS = [
  'r',
  'alpha',
  'rslora',
  'loraDropout',
  'targetModules',
  'excludeModules',
  'preset',
  'bias',
] as const;

function loraOf(options: TrainOptions): LoraConfig {
  const given = LORA_FLAGS.find((name) => options[name] !== undefined);
  if (given && (options.method !== 'lora' || options.trainable !== undefined)) {
    const flag = given.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `--${flag} belongs to --method lora, but ${options.trainable === undefined ? `--method ${options.method}` : '--trainable'} is given. Leave one out.`,
    );
  }
  const { targetModules, preset } = options;
  return compact({
    r: options.r ?? 8,
    loraAlpha: options.alpha ?? (preset === undefined ? 16 : undefined),
    useRslora: options.rslora,
    loraDropout: options.loraDropout,
    targetModules:
      targetModules === undefined ? (preset === undefined ? 'all-linear' : undefined) : targetsOf(targetModules),
    excludeModules: options.excludeModules,
    pattern: preset,
    bias: options.bias,
  });
}

/** `query,value` is a list of names; whatever has a sign of regular expressions, or is all-linear, stays a string. */
function targetsOf(text: string): string | string[] {
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
