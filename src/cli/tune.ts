/**
 * `fused-lora tune`: a study of settings, with baselines, seeds and a held-out test.
 * The job itself is src/study/tune.ts; what single runs take comes from the option table.
 */
import * as path from 'node:path';
import { type Command, InvalidArgumentError, Command as MakeCommand } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { readJsonObject } from '../io/json';
import { type ArmResult, type Spread, STUDY_FILES, type StudyResults, type TuneOptions, tune } from '../study';
import { DEFAULT_DEV_SPLIT } from '../study/options';
import { SAMPLERS } from '../study/search/sampler';
import { SPACE_PRESETS } from '../study/space/presets';
import { OPTION_ROWS, type OptionGroup, type OptionRow } from '../task/options/option_table';
import { showFigures } from './figures';
import { addExamples, choice, integer, list, number, type OutputOptions } from './options';
import { action } from './run';
import { addOutputOptions, addRows, libraryOptions, rowsOfGroup } from './table_options';
import { alignColumns } from './text';

/** Options of a run that a study decides by itself. */
const NOT_OURS = ['stream', 'shuffleWindow', 'seed', 'adapter', 'method', 'method.trainable', 'resume', 'overwrite'];
const NOT_GROUPS: readonly OptionGroup[] = ['Checkpoints', 'Several ranks', 'General'];

interface TuneFlags extends OutputOptions {
  join?: string;
  output?: string;
  asha?: boolean;
  baselines?: boolean;
}

const isOurs = ({ name }: OptionRow) =>
  !NOT_OURS.includes(name) && !name.startsWith('lora.') && name !== 'outputDir' && name !== 'report';

export function tuneCommand(): Command {
  const command = new MakeCommand('tune')
    .description('search settings: baselines first, the best again with other seeds, differences tested')
    .optionsGroup('Study:')
    .option('--output <dir>', 'folder of the study; one that is there goes on (required, or --join)')
    .option('--join <dir>', 'work on a study that another process has begun, with its options')
    .option(
      '--space <name|file>',
      `what is searched: ${Object.keys(SPACE_PRESETS).join(', ')}, or a .yaml or .json file (default: rates and ranks)`,
    )
    .option('--trials <n>', 'trials of each method (default: 12)', integer(1))
    .option('--repeats <n>', "runs of each method's best setting with other seeds (default: 3)", integer(1))
    .option('--no-baselines', 'leave full fine-tuning and the head alone out')
    .addOption(choice('--sampler <name>', 'how values are found (default: tpe)', SAMPLERS))
    .option('--no-asha', 'run every trial to its end')
    .option('--folds <k>', 'in place of dev: measure each trial on k parts of the training data in turn', integer(2))
    .option('--train-sizes <list>', 'a learning curve at the end: numbers of examples, with commas', sizes)
    .option('--test <files...>', 'labelled examples that are read once, when everything is chosen')
    .option('--test-split <share>', 'without --test: set this share of the training data aside for it', number)
    .option('--seed <n>', 'of splits, initial values, order and dropout (default: 0)', integer(0));
  const rows = OPTION_ROWS.filter((row) => isOurs(row) && !NOT_GROUPS.includes(row.group));
  for (const group of new Set(rows.map((row) => row.group))) {
    // What a study joins has its own model and data.
    const own = rowsOfGroup(group).filter(isOurs);
    addRows(
      command.optionsGroup(`${group}:`),
      own.map(({ required, help, ...row }) => ({
        ...row,
        help: required ? `${help} (required, or --join)` : help,
        ...(row.name === 'devSplit' && { says: `${DEFAULT_DEV_SPLIT} without --dev and --folds` }),
      })),
    );
  }
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora tune --model roberta-base --train train.tsv --dev dev.tsv --test test.tsv --output study/',
    'fused-lora tune --model roberta-base --train own.csv --folds 5 --space small-data --output study/',
    'fused-lora tune --join study/',
  ]);
  return command.action(
    action(async (context, flags: TuneFlags) => {
      const options = { ...optionsOf(flags, rows, context.command), signal: context.signal, onNotice: context.say };
      context.onStopped = () => `go on with: fused-lora tune --join ${options.outputDir}`;
      const results = await tune(options);
      showFigures(flags.json, { command: 'tune', ...results }, `${tableOf(results)}\n`);
    }),
  );
}

const sizes = (text: string) =>
  list(text).map((item) => {
    if (!/^\d+$/.test(item)) throw new InvalidArgumentError('It must be whole numbers with commas.');
    return Number(item);
  });

const OWN = ['space', 'trials', 'repeats', 'sampler', 'folds', 'trainSizes', 'test', 'testSplit', 'seed'] as const;

/** @throws FusedLoraError INVALID_ARGUMENT for what is missing, or given beside --join. */
function optionsOf(flags: TuneFlags, rows: readonly OptionRow[], command: Command): TuneOptions {
  const { join, output } = flags;
  const given = flags as Record<string, unknown>;
  const run = libraryOptions(rows, given);
  const own = {
    ...run,
    ...compact(Object.fromEntries(OWN.map((name) => [name, given[name]]))),
    ...(flags.asha === false && { asha: false }),
    ...(flags.baselines === false && { baselines: false }),
  };
  if (join !== undefined) {
    // Of a machine's own there are these; all else is the study's, defaults of flags too.
    const isOwn = (name: string) => ['join', 'device', 'offline', 'json', 'quiet', 'verbose'].includes(name);
    const extra = command.options.find((option) => {
      const name = option.attributeName();
      return !isOwn(name) && ['cli', 'config'].includes(command.getOptionValueSource(name) ?? '');
    });
    if (extra !== undefined) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${extra.long} is given beside --join, where the study has its options already. Leave it out.`,
      );
    }
    const file = path.join(join, STUDY_FILES.options);
    const { options } = readJsonObject(file, 'to join a study', 'INVALID_DATA');
    const { device, offline } = run as Partial<TuneOptions>;
    return { ...(options as unknown as TuneOptions), ...compact({ device, offline }), outputDir: join } as TuneOptions;
  }
  const missing = [
    ['--output', output],
    ['--model', run['model']],
    ['--train', run['train']],
  ].find(([, value]) => value === undefined);
  if (missing) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${String(missing[0])} is missing. Give it, or --join STUDY; fused-lora tune --help has examples.`,
    );
  }
  return { ...own, outputDir: output } as unknown as TuneOptions;
}

const spread = (given: Spread | undefined) =>
  given === undefined ? '–' : `${given.mean.toFixed(4)} ± ${given.deviation.toFixed(4)} (${given.count})`;

const settings = ({ params }: ArmResult) =>
  Object.entries(params)
    .filter(([name]) => name !== 'method')
    .map(([name, value]) => `${name} ${typeof value === 'number' ? Number(value.toPrecision(3)) : String(value)}`)
    .join(', ');

/** The table of methods, and what the differences mean. */
export function tableOf({ metric, methods, comparisons, best }: StudyResults): string {
  const withTest = methods.some(({ test }) => test !== undefined);
  const head = ['method', 'trained', `${metric} on dev`, ...(withTest ? ['on test'] : []), 'search', 'trials'];
  const rows = methods.map((one) => [
    one.method,
    one.parameters?.learnable.toLocaleString('en-US') ?? '–',
    spread(one.dev),
    ...(withTest ? [spread(one.test)] : []),
    one.search.toFixed(4),
    `${one.trials.complete} + ${one.trials.stopped} stopped${one.trials.failed > 0 ? ` + ${one.trials.failed} failed` : ''}`,
  ]);
  const differences = comparisons.map(({ first, second, bootstrap, mcNemar }) => {
    const { difference, low, high, p } = bootstrap;
    const test = mcNemar === undefined ? '' : `; McNemar p ${mcNemar.p.toFixed(3)}`;
    const range = `95 % ${low.toFixed(4)} to ${high.toFixed(4)}`;
    return `${first} − ${second}: ${difference >= 0 ? '+' : ''}${difference.toFixed(4)} (${range}, bootstrap p ${p.toFixed(3)}${test})`;
  });
  const sizesOf = methods.flatMap(({ method, trainSizes }) =>
    trainSizes.map(({ size, dev }) => `${method}, ${size} examples: ${spread(dev)}`),
  );
  return [
    `Mean ± deviation (number of seeds) of each method's best setting:`,
    alignColumns([head, ...rows]),
    ...differences,
    ...sizesOf,
    ...methods.map((one) => `${one.method}: ${settings(one)}${one.method === best ? ' (best on dev)' : ''}`),
  ].join('\n');
}
