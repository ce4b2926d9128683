/** `fused-lora plan`: what a training run would train and cost, before anything is spent. */
import { Command } from 'commander';
import type { ColumnOptions } from '../data/read/columns';
import type { DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { formatTotals } from '../lora';
import { foldLayers } from '../nn/fold_layers';
import { type PlannedBatch, planTraining, type TrainingPlan } from '../task/plan_training';
import { requiredOption } from './config_file';
import { showFigures } from './figures';
import { addMethodOptions, addTaskOptions, loraOf, type MethodOptions, methodOf, type TaskOptions } from './method';
import {
  addColumnOptions,
  addExamples,
  addHubOptions,
  addOutputOptions,
  columnsOf,
  compact,
  deviceOption,
  type HubFlags,
  integer,
  list,
  number,
  type OutputOptions,
  precisionOption,
} from './options';
import { formatSeconds } from './progress';
import { action } from './run';
import { alignColumns, megabytes } from './text';

interface PlanOptions extends ColumnOptions, HubFlags, TaskOptions, MethodOptions, OutputOptions {
  model: string;
  train?: string[];
  tokenizer?: string;
  batchSize: number[];
  tokenBudget?: number;
  maxLength?: number;
  epochs?: number;
  maxSteps?: number;
  gradientAccumulation?: number;
  measure: number;
  device: DeviceOption;
  precision: PrecisionOption;
}

const sizes = (text: string) => list(text).map(integer(1));

export function planCommand(): Command {
  const command = new Command('plan')
    .description('show what a training run would train and cost (arithmetic, memory, time), before anything is spent')
    .optionsGroup('Input:');
  requiredOption(
    command,
    '--model <path|name>',
    'Hugging Face model folder or name on the hub, or a config.json (random weights)',
  );
  command
    .option('--train <files...>', 'training data, for lengths and the number of steps (default: texts of --max-length)')
    .option('--tokenizer <dir>', "folder of the tokenizer (default: the model's)");
  addHubOptions(addTaskOptions(command));
  addColumnOptions(command);
  addMethodOptions(command)
    .optionsGroup('Training:')
    .option('--batch-size <list>', 'sentences a batch: each is planned', sizes, [8, 16, 32])
    .option('--token-budget <n>', 'most tokens a batch (default: none)', integer(1))
    .option('--gradient-accumulation <n>', 'batches an optimizer step (default: 1)', integer(1))
    .option('--max-length <n>', 'most tokens of a sentence; longer ones are cut (default: 128)', integer(3))
    .option('--epochs <n>', 'passes over the data (default: 3)', number)
    .option('--max-steps <n>', 'optimizer steps, in place of epochs', integer(1))
    .optionsGroup('Measuring:')
    .option('--measure <seconds>', 'seconds of steps with each batch size; 0: none', number, 2)
    .addOption(deviceOption())
    .addOption(precisionOption());
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora plan --model roberta-base/',
    'fused-lora plan --model roberta-base/ --train train.tsv --batch-size 16,32 --r 4 --target-modules query,value',
    'fused-lora plan --model config.json --measure 0 --json plan.json',
  ]);
  return command.action(
    action(async (context, options: PlanOptions) => {
      const plan = await planTraining({
        model: options.model,
        method: methodOf(options),
        lora: loraOf(options),
        batchSizes: options.batchSize,
        measureSeconds: options.measure,
        device: options.device,
        precision: options.precision,
        signal: context.signal,
        ...columnsOf(options),
        ...compact({
          train: options.train,
          revision: options.revision,
          offline: options.offline,
          task: options.task,
          labelNames: options.labels,
          tokenizer: options.tokenizer,
          tokenBudget: options.tokenBudget,
          maxLength: options.maxLength,
          epochs: options.epochs,
          maxSteps: options.maxSteps,
          gradientAccumulation: options.gradientAccumulation,
          ignoreMismatchedSizes: options.ignoreMismatchedSizes,
        }),
      });
      const { instructions, ...figures } = plan;
      const program = options.verbose ? `\nProgram\n${instructions}\n` : '';
      showFigures(options.json, { command: 'plan', ...figures }, `${describe(plan)}${program}`);
    }),
  );
}

function describe(plan: TrainingPlan): string {
  return [
    `Modules (1: trained, 0: frozen)`,
    plan.tree,
    '',
    'Parameters (1: trained, 0: frozen)',
    alignColumns(
      foldLayers(plan.parameters.rows).map(({ name, learnable, times, count }) => [
        name,
        learnable ? '1' : '0',
        `${times > 1 ? `${times} × ` : ''}${count.toLocaleString('en-US')}`,
      ]),
    ),
    formatTotals(plan.parameters),
    `weights ${megabytes(plan.weightBytes)}, gradients and optimizer ${megabytes(plan.optimizerBytes)}`,
    '',
    `${plan.task}, ${plan.method}, ${plan.precision} on ${plan.device}`,
    batchTable(plan.batches),
    ...notes(plan),
    '',
  ].join('\n');
}

function batchTable(batches: readonly PlannedBatch[]): string {
  const gflop = (flops: number) => (flops / 1e9).toPrecision(4);
  const head = ['batch', 'tokens', 'largest', 'forward', 'backward', 'saved', 'peak memory'];
  const units = ['', 'mean', 'tokens', 'GFLOP', 'GFLOP', '', ''];
  const rows = batches.map(({ batchSize, mean, largest, flops, savedBytes, peakBytes }) => [
    ...[batchSize, mean.T, largest.T].map(String),
    gflop(flops.forward),
    gflop(flops.backward),
    megabytes(savedBytes),
    megabytes(peakBytes),
  ]);
  if (batches.some(({ measured }) => measured)) {
    head.push('step', 'speed', 'GFLOP/s');
    units.push('seconds', 'tokens/s', '');
    batches.forEach(({ measured }, i) => {
      rows[i]?.push(
        measured?.secondsPerStep.toPrecision(3) ?? '',
        Math.round(measured?.tokensPerSecond ?? 0).toLocaleString('en-US'),
        (measured?.gflops ?? 0).toFixed(0),
      );
    });
  }
  if (batches.some(({ steps }) => steps !== undefined)) {
    head.push('steps', 'in all');
    units.push('', 'h:min:s');
    batches.forEach(({ steps, measured }, i) => {
      const seconds = measured?.secondsInAll;
      rows[i]?.push(String(steps ?? ''), seconds === undefined ? '–' : formatSeconds(seconds));
    });
  }
  return alignColumns([head, units, ...rows]);
}

function notes({ batches, examples, epochs }: TrainingPlan): string[] {
  return [
    ...(examples === undefined
      ? ['Every text is as long as --max-length; with --train FILE lengths, steps and time are those of the data.']
      : [`${examples} examples${epochs === undefined ? '' : `, ${epochs} epoch${epochs === 1 ? '' : 's'}`}.`]),
    'Peak memory is weights, gradients, optimizer and the values of the largest batch; the process takes some more.',
    ...(batches.some(({ measured }) => measured)
      ? ['Times are medians of a few steps now, on this machine as busy as it is; evaluation is not counted.']
      : []),
  ];
}
