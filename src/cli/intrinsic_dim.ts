/**
 * `fused-lora intrinsic-dim`: how many numbers a task needs of each model. The search is
 * src/study/intrinsic; what single runs take comes from the option table.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { INTRINSIC_DEFAULTS, type IntrinsicOptions, type IntrinsicResults, intrinsicDimension } from '../study';
import { DEFAULT_DEV_SPLIT } from '../study/options';
import { SUBSPACE_STRUCTURES } from '../subspace/config';
import { OPTION_ROWS, type OptionGroup, type OptionRow } from '../task/options/option_table';
import { requiredOption } from './config_file';
import { showFigures } from './figures';
import { addExamples, choice, integer, list, number, type OutputOptions } from './options';
import { action } from './run';
import { addOutputOptions, addRows, libraryOptions, rowsOfGroup } from './table_options';
import { alignColumns } from './text';

/** Decided for each run, or of methods that are not run here. */
const NOT_OURS = ['model', 'outputDir', 'adapter', 'stream', 'shuffleWindow', 'seed', 'learningRate', 'report'];
const NOT_GROUPS: readonly OptionGroup[] = ['What is trained', 'Checkpoints', 'Several ranks', 'General'];

interface IntrinsicFlags extends OutputOptions {
  model: string[];
  output: string;
  structure?: (typeof SUBSPACE_STRUCTURES)[number];
  rates?: number[];
}

const isOurs = ({ name }: OptionRow) => !NOT_OURS.includes(name);
const numbers = (text: string) => list(text).map(number);
const told = (values: readonly number[]) => values.map(String).join(',');

export function intrinsicDimCommand(): Command {
  const command = new Command('intrinsic-dim')
    .description(
      'the least dimension of a random subspace in which a task is learnt almost as well as with all weights',
    )
    .optionsGroup('Search:');
  const { share, seeds, rates, fullRates, from, to, refine } = INTRINSIC_DEFAULTS;
  requiredOption(command, '--model <dirs...>', 'model folders, or names on the hub: each is measured');
  requiredOption(command, '--output <dir>', 'gets results.json, report.html and the points; one that is there goes on');
  command
    .addOption(
      choice('--structure <name>', 'a factor a layer (said) or none (did) (default: both)', SUBSPACE_STRUCTURES),
    )
    .option('--share <x>', `of full fine-tuning's metric: what is enough (default: ${share})`, number)
    .option('--seeds <n>', `runs of each setting (default: ${seeds})`, integer(1))
    .option('--rates <list>', `learning rates in a subspace, with commas (default: ${told(rates)})`, numbers)
    .option('--full-rates <list>', `learning rates of full fine-tuning (default: ${told(fullRates)})`, numbers)
    .option('--from <d>', `lowest dimension (default: ${from})`, integer(1))
    .option('--to <d>', `highest dimension (default: ${to})`, integer(1))
    .option('--refine <n>', `times that the last interval is halved (default: ${refine})`, integer(0));
  const rows = OPTION_ROWS.filter((row) => isOurs(row) && !NOT_GROUPS.includes(row.group));
  for (const group of new Set(rows.map((row) => row.group))) {
    const own = rowsOfGroup(group, { devSplit: { says: `${DEFAULT_DEV_SPLIT} without --dev` } });
    addRows(command.optionsGroup(`${group}:`), own.filter(isOurs));
  }
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora intrinsic-dim --model roberta-base --train train.tsv --dev dev.tsv --output dimension/',
    'fused-lora intrinsic-dim --model step-100/ step-1000/ --train train.tsv --dev dev.tsv --structure did --output dimension/',
  ]);
  return command.action(
    action(async (context, flags: IntrinsicFlags) => {
      const { model, output, structure, rates: given } = flags;
      if (given?.length === 0) throw new FusedLoraError('INVALID_ARGUMENT', '--rates is empty');
      const own = Object.fromEntries(
        ['share', 'seeds', 'rates', 'fullRates', 'from', 'to', 'refine'].map((name) => [
          name,
          (flags as unknown as Record<string, unknown>)[name],
        ]),
      );
      context.onStopped = () => 'the same command goes on';
      const results = await intrinsicDimension({
        ...libraryOptions(rows, { ...flags }),
        ...compact(own),
        ...(structure && { structures: [structure] }),
        models: model,
        outputDir: output,
        signal: context.signal,
        onNotice: context.say,
      } as unknown as IntrinsicOptions);
      showFigures(flags.json, { command: 'intrinsic-dim', ...results }, `${tableOf(results)}\n`);
    }),
  );
}

/** A row a model and kind of subspace. */
export function tableOf({ metric, share, models, seconds }: IntrinsicResults): string {
  const rows = models.flatMap(({ model, weights, pretrainingSteps, full, searches }) =>
    searches.map(({ structure, least, tried }) => [
      model,
      weights.toLocaleString('en-US'),
      pretrainingSteps?.toLocaleString('en-US') ?? '–',
      `${full.value.mean.toFixed(4)} ± ${full.value.deviation.toFixed(4)}`,
      structure.toUpperCase(),
      least?.toLocaleString('en-US') ?? `above ${Math.max(...tried.map(({ dimension }) => dimension))}`,
    ]),
  );
  const head = ['model', 'weights', 'pretraining steps', `full ${metric}`, '', `d${(100 * share).toFixed(0)}`];
  return `${alignColumns([head, ...rows])}\n${(seconds / 60).toFixed(1)} minutes of runs`;
}
