/** `fused-lora train`: fine-tuning on a data file. */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import type { ColumnOptions } from '../data/read/columns';
import type { DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { formatTotals, type LoraConfig } from '../lora';
import { DEFAULT_BATCH_SIZE, FINE_TUNE_DEFAULTS, type FineTuneOptions, fineTune } from '../task/fine_tune';
import { defaultLearningRate } from '../task/method';
import { requiredOption } from './config_file';
import { showFigures } from './figures';
import { addMethodOptions, addTaskOptions, loraOf, type MethodOptions, methodOf, type TaskOptions } from './method';
import {
  addColumnOptions,
  addExamples,
  addHubOptions,
  addOutputOptions,
  addTrainingOptions,
  columnsOf,
  compact,
  deviceOption,
  type HubFlags,
  integer,
  list,
  number,
  type OutputOptions,
  precisionOption,
  stepsOrEpoch,
  type TrainingOptions,
  trainerOptions,
} from './options';
import { progress } from './progress';
import { action } from './run';
import { followRun, trainingDefaults } from './run_files';

interface TrainOptions extends ColumnOptions, HubFlags, TaskOptions, MethodOptions, TrainingOptions, OutputOptions {
  model: string;
  train: string[];
  dev?: string[];
  devSplit?: number;
  stream?: boolean;
  shuffleWindow?: number;
  output: string;
  tokenizer?: string;
  report: boolean;
  lrPattern?: string[];
  dropout?: number;
  labelSmoothing?: number;
  classWeights?: string[];
  evalEvery?: number | 'epoch';
  metric?: string;
  patience?: number;
  overwrite?: boolean;
  device: DeviceOption;
  precision: PrecisionOption;
}

/** For the help. */
const TRAINING_DEFAULTS = {
  epochs: FINE_TUNE_DEFAULTS.epochs,
  batchSize: String(DEFAULT_BATCH_SIZE),
  tokenBudget: 'none',
  lr: (['lora', 'head', 'full'] as const).map((method) => `${method} ${defaultLearningRate(method)}`).join(', '),
  checkpointEvery: FINE_TUNE_DEFAULTS.checkpointEvery,
};

export function trainCommand(): Command {
  const command = new Command('train')
    .description('fine-tune an encoder on labelled sentences or words: LoRA, everything, or the head alone')
    .optionsGroup('Input and output:');
  requiredOption(command, '--model <dir|name>', 'Hugging Face model folder to start from, or a name on the hub');
  requiredOption(
    command,
    '--train <files...>',
    'training data: .csv, .tsv, .jsonl or .parquet (also .gz), folders, globs, hf://datasets/OWNER/NAME/PATH; for words also CoNLL',
  );
  command
    .option('--dev <files...>', 'data that is measured on')
    .option(
      '--dev-split <share>',
      'without --dev: set this share of the training data aside, with the same share of each class (default: none)',
      number,
    )
    .option('--stream', 'keep a window of the training data in memory, for what does not fit')
    .option('--shuffle-window <n>', 'with --stream: examples in memory (default: 16384)', integer(1));
  requiredOption(command, '--output <dir>', 'gets the adapter or model, events.jsonl, checkpoints and report.html');
  command.option('--tokenizer <dir>', "folder of the tokenizer (default: the model's)");
  addHubOptions(addTaskOptions(command)).option('--no-report', 'write no report.html');
  addColumnOptions(command);
  addMethodOptions(command);
  addTrainingOptions(command, TRAINING_DEFAULTS)
    .optionsGroup('Training, further options:')
    .option('--lr-pattern <regex=rate...>', 'another rate for parameters whose path the regex matches')
    .option('--dropout <p>', "dropout of the encoder and head (default: config.json's)", number)
    .option('--label-smoothing <x>', 'share of the target spread over all classes (default: 0)', number)
    .option('--class-weights <list>', 'a weight a class, with commas (default: 1 each)', list)
    .optionsGroup('Measuring:')
    .option('--eval-every <n>', 'steps between evaluations, or "epoch" (default: epoch)', stepsOrEpoch)
    .option(
      '--metric <name>',
      'the metric that decides which state is best and kept: accuracy, f1, matthews, loss, … (default: the last is kept)',
    )
    .option('--patience <n>', 'stop after so many evaluations without a new best (default: never)', integer(1))
    .optionsGroup('Device:')
    .addOption(deviceOption())
    .addOption(precisionOption());
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora train --model roberta-base/ --train train.tsv --dev dev.tsv --output my-adapter/',
    'fused-lora train --config train.jsonc --lr 3e-4 --output second-try/',
    'fused-lora train --config my-adapter/run_config.json --resume',
    'fused-lora train --model roberta-base/ --train ner.conll --task token-classification --metric f1 --dev dev.conll --output ner/',
  ]);
  return command.action(
    action(async (context, options: TrainOptions) => {
      const settings = settingsOf(options);
      const shown = followRun(context, options.output, progress(options), defaultsOf(options));
      try {
        const result = await fineTune({
          ...settings,
          ...columnsOf(options),
          train: options.train,
          ...compact({
            dev: options.dev,
            devSplit: options.devSplit,
            stream: options.stream,
            shuffleWindow: options.shuffleWindow,
            revision: options.revision,
            offline: options.offline,
          }),
          report: options.report,
          callbacks: [shown],
          signal: context.signal,
          onNotice: context.say,
        });
        shown.stop();
        const { textModel, ...figures } = result;
        textModel.model.dispose();
        const metrics = Object.entries(result.metrics ?? {}).map(([name, value]) => `${name} ${value.toFixed(4)}`);
        const lines = [
          formatTotals({ rows: [], ...result.parameters }),
          `${result.training.steps} steps, ${result.training.samplesPerSecond.toFixed(0)} samples/s`,
          ...(metrics.length > 0 ? [metrics.join(', ')] : []),
          `${result.output.kind} written to ${result.output.folder} (${(result.output.bytes / 1e6).toFixed(2)} MB)`,
          ...(result.report === undefined ? [] : [`report: ${result.report}`]),
        ];
        showFigures(options.json, { command: 'train', ...figures }, `${lines.join('\n')}\n`);
      } finally {
        shown.stop();
      }
    }),
  );
}

/** Of options that were not given, for the file that repeats the run. */
function defaultsOf(options: TrainOptions): Record<string, unknown> {
  const method = methodOf(options);
  const { r, loraAlpha, targetModules } = method === 'lora' ? loraOf(options) : ({} as LoraConfig);
  return {
    ...trainingDefaults(options, FINE_TUNE_DEFAULTS),
    task: 'sequence-classification',
    lr: defaultLearningRate(method),
    'eval-every': FINE_TUNE_DEFAULTS.evaluateEvery,
    ...compact({ r, alpha: loraAlpha, 'target-modules': targetModules }),
  };
}

/** What fineTune takes, under its own names. */
function settingsOf(options: TrainOptions): Omit<FineTuneOptions, 'train'> {
  return {
    model: options.model,
    outputDir: options.output,
    method: methodOf(options),
    lora: loraOf(options),
    device: options.device,
    precision: options.precision,
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
