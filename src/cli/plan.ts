/**
 * `fused-lora plan`: what a training run would train and cost, before anything is spent.
 * What is computed is in src/task/plan_training.ts; this makes the tables.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { describeHeldWeights } from '../graph/base_weights';
import { formatTotals } from '../lora';
import { foldLayers } from '../nn/fold_layers';
import { DEFAULT_BATCH_SIZE } from '../task/options/defaults';
import {
  PLAN_DEFAULTS,
  type PlannedBatch,
  type PlanTrainingOptions,
  planTraining,
  type TrainingPlan,
} from '../task/plan_training';
import { sharedCost } from '../task/shared_evaluator';
import { showFigures } from './figures';
import { type MethodFlags, withLora } from './method';
import { type ModelOptions, openModelWith } from './model';
import { addExamples, collect, integer, list, number, type OutputOptions } from './options';
import { formatSeconds } from './progress';
import { action, type CommandContext } from './run';
import { addOutputOptions, addRows, COLUMN_ROWS, libraryOptions, rowsOf, rowsOfGroup } from './table_options';
import { alignColumns, megabytes } from './text';

interface PlanFlags extends MethodFlags, OutputOptions, Omit<ModelOptions, 'adapter'> {
  batchSize: number[];
  measure: number;
  ranks?: number;
  shares?: number;
  network?: number;
  /** Of several that answer the same texts: nothing is trained then. */
  adapter?: string[];
}

const INPUT_ROWS = rowsOf(
  ['model', 'adapter', 'train', 'tokenizer', 'task', 'labelNames', 'ignoreMismatchedSizes', 'revision', 'offline'],
  {
    model: {
      flags: '--model <path|name>',
      unless: ['--init-adapter', '--adapter'],
      help: 'Hugging Face model folder or name on the hub, or a config.json (random weights)',
    },
    train: {
      required: false,
      help: 'training data, for lengths and the number of steps',
      says: 'texts of --max-length',
    },
  },
);
const METHOD_ROWS = rowsOfGroup('What is trained');
const TRAINING_ROWS = rowsOf(['tokenBudget', 'gradientAccumulation', 'maxLength', 'epochs', 'maxSteps']);
const DEVICE_ROWS = rowsOfGroup('Device');
const ROWS = [...INPUT_ROWS, ...COLUMN_ROWS, ...METHOD_ROWS, ...TRAINING_ROWS, ...DEVICE_ROWS];

const sizes = (text: string) => list(text).map(integer(1));

export function planCommand(): Command {
  const command = new Command('plan').description(
    'show what a training run would train and cost (arithmetic, memory, time), before anything is spent',
  );
  command
    .optionsGroup('Input:')
    .option(
      '--adapter <dir|name>',
      'in place of a run: an adapter that answers texts; given several times, what one pass for all of them saves',
      collect,
    );
  addRows(command, INPUT_ROWS);
  addRows(command.optionsGroup('Columns of the data:'), COLUMN_ROWS);
  addRows(command.optionsGroup('What is trained:'), METHOD_ROWS)
    .optionsGroup('Training:')
    .option('--batch-size <list>', 'sentences a batch: each is planned', sizes, [...PLAN_DEFAULTS.batchSizes]);
  addRows(command, TRAINING_ROWS)
    .optionsGroup('Measuring:')
    .option(
      '--measure <seconds>',
      'seconds of steps with each batch size; 0: none',
      number,
      PLAN_DEFAULTS.measureSeconds,
    );
  addRows(command, DEVICE_ROWS)
    .optionsGroup('Several ranks:')
    .option(
      '--ranks <n>',
      'plan each batch divided among so many ranks too: docs/distributed.md (default: none)',
      integer(1),
    )
    .option('--shares <n>', 'parts of each batch, where a rank has several (default: the number of ranks)', integer(1))
    .option('--network <gbits>', 'Gbit/s between machines, in each direction (default: 10)', number);
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora plan --model roberta-base/',
    'fused-lora plan --model roberta-base/ --train train.tsv --batch-size 16,32 --r 4 --target-modules query,value',
    'fused-lora plan --model config.json --measure 0 --json plan.json',
    'fused-lora plan --adapter intent/ --adapter toxic/ --adapter pii/',
  ]);
  return command.action(
    action(async (context, flags: PlanFlags) => {
      if (flags.adapter !== undefined) {
        refuseOthers(command);
        return await planSharing(context, flags, flags.adapter);
      }
      const options = withLora(flags, libraryOptions(ROWS, { ...flags })) as unknown as PlanTrainingOptions;
      const { batchSize: batchSizes, measure: measureSeconds, ranks, shares, network: networkGbits } = flags;
      const plan = await planTraining({
        ...options,
        ...compact({ ranks, shares, networkGbits }),
        batchSizes,
        measureSeconds,
        signal: context.signal,
        onNotice: context.say,
      });
      const { instructions, ...figures } = plan;
      const program = flags.verbose ? `\nProgram\n${instructions}\n` : '';
      showFigures(flags.json, { command: 'plan', ...figures }, `${describe(plan)}${program}`);
    }),
  );
}

const OF_SHARING = ['adapter', 'model', 'offline', 'revision', 'maxLength', 'tokenizer', 'batchSize'];
const OF_ALL = ['json', 'quiet', 'verbose', 'config'];

/** Options of a run say nothing of adapters that are there already. */
function refuseOthers(command: Command): void {
  const idle = command.options.find((option) => {
    const name = option.attributeName();
    const source = command.getOptionValueSource(name);
    return source !== undefined && source !== 'default' && ![...OF_SHARING, ...OF_ALL].includes(name);
  });
  if (!idle) return;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${idle.long} is of a run, and --adapter asks what trained adapters share. Leave one out.`,
  );
}

/** What several adapters share, on texts of the largest length. */
async function planSharing(context: CommandContext, flags: PlanFlags, adapter: string[]): Promise<void> {
  const { model, offline, revision, maxLength, tokenizer, json } = flags;
  if (adapter.length < 2) {
    throw new FusedLoraError('INVALID_ARGUMENT', '--adapter: one adapter shares with no other; give it twice or more');
  }
  const chosen = compact({ model, offline, revision, maxLength, tokenizer });
  const { textModel, names } = await openModelWith({ ...chosen, adapter }, context);
  const [S = DEFAULT_BATCH_SIZE] = flags.batchSize;
  const cost = sharedCost(textModel.model, names as string[], { T: S * textModel.maxLength, S, M: 0 });
  textModel.model.dispose();
  const gflop = (flops: number) => `${(flops / S / 1e9).toPrecision(4)} GFLOP`;
  const text = [
    `${cost.adapters.join(', ')}: ${cost.sharedLayers} of ${cost.layers} layers are shared by all`,
    `a text of ${textModel.maxLength} tokens: ${gflop(cost.flops.each)} with a pass for each, ${gflop(cost.flops.shared)} with one for all (ratio ${cost.ratio.toFixed(2)})`,
    '',
  ];
  showFigures(json, { command: 'plan', maxLength: textModel.maxLength, ...cost }, text.join('\n'));
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
    ...heldLine(plan),
    '',
    `${plan.task}, ${plan.method}, ${plan.precision}${describeHeldWeights(plan)} on ${plan.device}`,
    batchTable(plan.batches),
    ...rankTable(plan.batches),
    ...notes(plan),
    '',
  ].join('\n');
}

/** What the other forms of frozen weights would take; when each pays was measured. */
function heldLine({ weightBytesHeld: held, device }: TrainingPlan): string[] {
  if (held === undefined) return [];
  const time = device.startsWith('cpu') ? ': int8 saves time too, nf4 takes more' : '';
  return [
    `weights with --base-weights int8 ${megabytes(held.int8)}, nf4 ${megabytes(held.nf4)}${time} (docs/quantised-weights.md)`,
  ];
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

function sharesEach(ranks: number, shares: number): string {
  const [least, most] = [Math.floor(shares / ranks), Math.ceil(shares / ranks)];
  if (most === 1) return least === 1 ? 'a share' : 'a share, or none,';
  return `${least === most ? most : `${least} or ${most}`} shares`;
}

/** Each batch divided among ranks, where that is asked for. */
function rankTable(batches: readonly PlannedBatch[]): string[] {
  const rows = batches.flatMap(({ batchSize, distributed: planned }) => {
    if (!planned) return [];
    const { largest, sentBytes, wireBytes, heldBytes, peakBytes, secondsPerStep, secondsInAll } = planned;
    const row = [String(batchSize), String(largest.T), ...[sentBytes, wireBytes, heldBytes, peakBytes].map(megabytes)];
    if (secondsPerStep !== undefined) row.push(secondsPerStep.toPrecision(3));
    if (secondsInAll !== undefined) row.push(formatSeconds(secondsInAll));
    return [row];
  });
  const division = batches[0]?.distributed;
  if (division === undefined) return [];
  const { ranks, shares } = division;
  const head = ['batch', 'largest', 'a rank sends', 'all send', 'gradients held', 'peak memory', 'step', 'in all'];
  const units = ['', 'share, tokens', 'a step', 'a step', 'of other shares', 'of a rank', 'seconds', 'h:min:s'];
  const width = rows[0]?.length ?? 0;
  return [
    '',
    `On ${ranks} ranks of as many threads each, every one with ${sharesEach(ranks, shares)} of each batch`,
    alignColumns([head.slice(0, width), units.slice(0, width), ...rows]),
  ];
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
