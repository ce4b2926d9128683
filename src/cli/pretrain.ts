/**
 * `fused-lora pretrain`: masked-LM pretraining on plain text. Options of training are rows of the
 * option table with other defaults; the job is src/task/pretrain.ts.
 */
import { Command } from 'commander';
import { compact } from '../base/options';
import { distributedByLauncher } from '../distributed/join';
import { RUN_DEFAULTS } from '../task/options/defaults';
import { PRETRAIN_DEFAULTS, type PretrainOptions, pretrain } from '../task/pretrain';
import { requiredOption } from './config_file';
import { showFigures } from './figures';
import { addExamples, choice, integer, number, type OutputOptions, SAVE_DTYPES, type SaveDType } from './options';
import { progress } from './progress';
import { action } from './run';
import { followRun } from './run_files';
import { addOutputOptions, addRows, libraryOptions, recordedDefaults, rowsOf, rowsOfGroup } from './table_options';

interface PretrainFlags extends OutputOptions {
  text: string[];
  maxDocuments?: number;
  maskProbability?: number;
  dropout?: number;
  saveDtype: SaveDType;
}

const defaultOf = (name: keyof typeof PRETRAIN_DEFAULTS) => ({ default: PRETRAIN_DEFAULTS[name] });
const CHANGES = {
  epochs: defaultOf('epochs'),
  batchSize: { says: 'as many as the budget holds' },
  tokenBudget: { says: String(PRETRAIN_DEFAULTS.tokenBudget) },
  learningRate: { says: String(PRETRAIN_DEFAULTS.learningRate) },
  gradientAccumulation: defaultOf('gradientAccumulation'),
  schedule: defaultOf('schedule'),
  warmupRatio: defaultOf('warmupRatio'),
  weightDecay: defaultOf('weightDecay'),
  maxGradNorm: defaultOf('maxGradNorm'),
  seed: defaultOf('seed'),
  checkpointEvery: defaultOf('checkpointEvery'),
  checkpointLimit: defaultOf('checkpointLimit'),
};
const INPUT_ROWS = rowsOf(['model', 'outputDir'], {
  model: {
    flags: '--model <path|name>',
    help: 'config.json to start anew, or a Hugging Face model folder or name on the hub to go on from',
  },
  outputDir: { help: 'gets the model, events.jsonl, checkpoints and report.html' },
});
const FURTHER_ROWS = rowsOf(['tokenizer', 'report', 'tensorboard']);
const TRAINING_ROWS = rowsOfGroup('Training', CHANGES);
const CHECKPOINT_ROWS = rowsOfGroup('Checkpoints', CHANGES);
const DEVICE_ROWS = rowsOfGroup('Device');
const RANK_ROWS = rowsOfGroup('Several ranks');
const ROWS = [...INPUT_ROWS, ...FURTHER_ROWS, ...TRAINING_ROWS, ...CHECKPOINT_ROWS, ...DEVICE_ROWS, ...RANK_ROWS];

export function pretrainCommand(): Command {
  const command = new Command('pretrain')
    .description('pretrain an encoder on plain text as a masked language model, anew or on from a model')
    .optionsGroup('Input and output:');
  addRows(command, INPUT_ROWS);
  requiredOption(command, '--text <files...>', 'text files, one document a line; .gz too');
  addRows(command, FURTHER_ROWS)
    .option('--max-documents <n>', 'read no more documents than this (default: all)', integer(1))
    .addOption(choice('--save-dtype <type>', 'of the saved weights', SAVE_DTYPES).default('F32'));
  addRows(command.optionsGroup('Training:'), TRAINING_ROWS);
  addRows(command.optionsGroup('Checkpoints:'), CHECKPOINT_ROWS)
    .optionsGroup('Masking and dropout:')
    .option(
      '--mask-probability <p>',
      `share of tokens to be predicted (default: ${PRETRAIN_DEFAULTS.maskProbability})`,
      number,
    )
    .option('--dropout <p>', "dropout while pretraining (default: config.json's)", number)
    .optionsGroup('Device:');
  addRows(command, DEVICE_ROWS);
  addOutputOptions(addRows(command.optionsGroup('Several ranks:'), RANK_ROWS));
  addExamples(command, [
    'fused-lora pretrain --model config.json --tokenizer tokenizer/ --text reviews.txt.gz --output my-encoder/',
    'fused-lora pretrain --model roberta-base/ --text notes.txt --lr 1e-4 --output my-domain-encoder/',
  ]);
  return command.action(
    action(async (context, flags: PretrainFlags) => {
      const { text, saveDtype, maxDocuments, maskProbability, dropout } = flags;
      const settings = libraryOptions(ROWS, { ...flags }) as unknown as Omit<PretrainOptions, 'text'>;
      const distributed = settings.distributed ?? distributedByLauncher();
      const group = await context.join(distributed);
      const quiet = flags.quiet === true || group.rank > 0;
      const shown = followRun(context, settings.outputDir, progress({ ...flags, quiet }), defaultsOf(settings));
      try {
        const result = await pretrain({
          ...settings,
          distributed,
          ...compact({ maxDocuments, maskProbability, dropout }),
          text,
          saveDtype,
          callbacks: [shown],
          signal: context.signal,
          onNotice: context.say,
        });
        shown.stop();
        if (group.rank > 0) return;
        const last = result.lossCurve.at(-1);
        showFigures(
          flags.json,
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
function defaultsOf(settings: Omit<PretrainOptions, 'text'>): Record<string, unknown> {
  const { device, precision } = RUN_DEFAULTS;
  // A checkpoint tells a budget that was given from one that was not.
  const { tokenBudget: _, epochs, warmupRatio, ...defaults } = PRETRAIN_DEFAULTS;
  return recordedDefaults(ROWS, {
    device,
    precision,
    ...defaults,
    ...(settings.maxSteps === undefined && { epochs }),
    ...(settings.warmupSteps === undefined && { warmupRatio }),
    ...settings,
  });
}
