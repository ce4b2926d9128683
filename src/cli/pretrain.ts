/** `fused-lora pretrain`: masked-LM pretraining on plain text. */
import { Command } from 'commander';
import type { DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { PRETRAIN_DEFAULTS, pretrain } from '../task/pretrain';
import { requiredOption } from './config_file';
import { showFigures } from './figures';
import {
  addExamples,
  addOutputOptions,
  addTrainingOptions,
  choice,
  compact,
  deviceOption,
  integer,
  number,
  type OutputOptions,
  precisionOption,
  SAVE_DTYPES,
  type SaveDType,
  type TrainingOptions,
  trainerOptions,
} from './options';
import { progress } from './progress';
import { action } from './run';
import { followRun, trainingDefaults } from './run_files';

interface PretrainCommandOptions extends TrainingOptions, OutputOptions {
  model: string;
  tokenizer?: string;
  text: string[];
  output: string;
  maxDocuments?: number;
  maskProbability?: number;
  dropout?: number;
  saveDtype: SaveDType;
  overwrite?: boolean;
  report: boolean;
  device: DeviceOption;
  precision: PrecisionOption;
}

export function pretrainCommand(): Command {
  const command = new Command('pretrain')
    .description('pretrain an encoder on plain text as a masked language model, anew or on from a model')
    .optionsGroup('Input and output:');
  requiredOption(
    command,
    '--model <path|name>',
    'config.json to start anew, or a Hugging Face model folder or name on the hub to go on from',
  );
  requiredOption(command, '--text <files...>', 'text files, one document a line; .gz too');
  requiredOption(command, '--output <dir>', 'gets the model, events.jsonl, checkpoints and report.html');
  command
    .option('--tokenizer <dir>', "folder of the tokenizer (default: the model's)")
    .option('--max-documents <n>', 'read no more documents than this (default: all)', integer(1))
    .addOption(choice('--save-dtype <type>', 'of the saved weights', SAVE_DTYPES).default('F32'))
    .option('--no-report', 'write no report.html');
  addTrainingOptions(command, {
    epochs: PRETRAIN_DEFAULTS.epochs,
    batchSize: 'as many as the budget holds',
    tokenBudget: '4096',
    lr: String(PRETRAIN_DEFAULTS.learningRate),
    checkpointEvery: String(PRETRAIN_DEFAULTS.checkpointEvery),
  })
    .optionsGroup('Masking and dropout:')
    .option('--mask-probability <p>', 'share of tokens to be predicted (default: 0.15)', number)
    .option('--dropout <p>', "dropout while pretraining (default: config.json's)", number)
    .optionsGroup('Device:')
    .addOption(deviceOption())
    .addOption(precisionOption());
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora pretrain --model config.json --tokenizer tokenizer/ --text reviews.txt.gz --output my-encoder/',
    'fused-lora pretrain --model roberta-base/ --text notes.txt --lr 1e-4 --output my-domain-encoder/',
  ]);
  return command.action(
    action(async (context, options: PretrainCommandOptions) => {
      const shown = followRun(context, options.output, progress(options), defaults(options));
      try {
        const result = await pretrain({
          model: options.model,
          text: options.text,
          outputDir: options.output,
          device: options.device,
          precision: options.precision,
          saveDtype: options.saveDtype,
          ...trainerOptions(options),
          ...compact({
            tokenizer: options.tokenizer,
            maxDocuments: options.maxDocuments,
            maskProbability: options.maskProbability,
            dropout: options.dropout,
            overwrite: options.overwrite,
          }),
          report: options.report,
          callbacks: [shown],
          signal: context.signal,
          onNotice: context.say,
        });
        shown.stop();
        const last = result.lossCurve.at(-1);
        showFigures(
          options.json,
          { command: 'pretrain', ...result },
          `${result.training.steps} steps, loss ${last?.loss.toFixed(3)}, ${result.training.tokensPerSecond.toFixed(0)} tokens/s\n` +
            `model written to ${result.output}\n` +
            (result.report === undefined ? '' : `report: ${result.report}\n`),
        );
      } finally {
        shown.stop();
      }
    }),
  );
}

/** Of options that were not given, for the file that repeats the run. */
function defaults(options: PretrainCommandOptions): Record<string, unknown> {
  return { ...trainingDefaults(options, PRETRAIN_DEFAULTS), lr: PRETRAIN_DEFAULTS.learningRate };
}
