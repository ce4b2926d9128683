/** `fused-lora pretrain`: masked-LM pretraining on plain text. */
import { Command, Option } from 'commander';
import type { DeviceOption } from '../task/device';
import { pretrain } from '../task/pretrain';
import { writeFigures } from './figures';
import {
  addOutputOptions,
  addTrainingOptions,
  compact,
  deviceOption,
  integer,
  number,
  type OutputOptions,
  SAVE_DTYPES,
  type SaveDType,
  type TrainingOptions,
  trainerOptions,
} from './options';
import { progress } from './progress';
import { action } from './run';

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
  device: DeviceOption;
}

export function pretrainCommand(): Command {
  const command = new Command('pretrain')
    .description('pretrain an encoder on plain text as a masked language model, anew or on from a model')
    .requiredOption('--model <path>', 'config.json to start anew, or a Hugging Face model folder to go on from')
    .requiredOption('--text <files...>', 'text files, one document a line; .gz too')
    .requiredOption('--output <dir>', 'gets the model, events.jsonl and checkpoints')
    .option('--tokenizer <dir>', "folder of the tokenizer (default: the model's)")
    .option('--max-documents <n>', 'read no more documents than this (default: all)', integer(1))
    .option('--mask-probability <p>', 'share of tokens to be predicted (default: 0.15)', number)
    .option('--dropout <p>', "dropout while pretraining (default: config.json's)", number)
    .addOption(new Option('--save-dtype <type>', 'of the saved weights').choices(SAVE_DTYPES).default('F32'))
    .option('--overwrite', 'remove checkpoints of an earlier run from the output folder')
    .addOption(deviceOption());
  addTrainingOptions(command);
  return addOutputOptions(command).action(
    action(async (context, options: PretrainCommandOptions) => {
      const shown = progress(options.quiet === true);
      try {
        const result = await pretrain({
          model: options.model,
          text: options.text,
          outputDir: options.output,
          device: options.device,
          saveDtype: options.saveDtype,
          ...trainerOptions(options),
          ...compact({
            tokenizer: options.tokenizer,
            maxDocuments: options.maxDocuments,
            maskProbability: options.maskProbability,
            dropout: options.dropout,
            overwrite: options.overwrite,
          }),
          callbacks: [shown],
          signal: context.signal,
          onNotice: options.quiet ? () => {} : context.say,
        });
        shown.stop();
        writeFigures(options.json, { command: 'pretrain', ...result });
        const last = result.lossCurve.at(-1);
        process.stdout.write(
          `${result.training.steps} steps, loss ${last?.loss.toFixed(3)}, ${result.training.tokensPerSecond.toFixed(0)} tokens/s\n` +
            `model written to ${result.output}\n`,
        );
      } finally {
        shown.stop();
      }
    }),
  );
}
