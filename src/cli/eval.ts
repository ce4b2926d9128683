/** `fused-lora eval`: metrics of a model or adapter on a data file. */
import { Command } from 'commander';
import type { ColumnOptions } from '../data/read/columns';
import type { DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { evaluate } from '../task/evaluate';
import { showFigures } from './figures';
import { addModelOptions, type ModelOptions, openModel } from './model';
import {
  addColumnOptions,
  addExamples,
  addOutputOptions,
  columnsOf,
  compact,
  deviceOption,
  integer,
  type OutputOptions,
  precisionOption,
  thresholdOption,
} from './options';
import { action } from './run';

interface EvalOptions extends ModelOptions, ColumnOptions, OutputOptions {
  batchSize?: number;
  tokenBudget?: number;
  threshold?: number;
  device: DeviceOption;
  precision: PrecisionOption;
}

export function evalCommand(): Command {
  const command = new Command('eval')
    .description('measure a model or adapter on labelled sentences')
    .argument(
      '<data...>',
      'labelled .csv, .tsv, .jsonl or .parquet (also .gz), folders, globs, hf://datasets/OWNER/NAME/PATH; for words also CoNLL',
    )
    .optionsGroup('Measuring:')
    .option('--batch-size <n>', 'sentences a batch (default: 32)', integer(1))
    .option('--token-budget <n>', 'most tokens a batch (default: none)', integer(1))
    .addOption(thresholdOption())
    .addOption(deviceOption())
    .addOption(precisionOption());
  addModelOptions(command);
  addColumnOptions(command);
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora eval dev.tsv --adapter my-adapter/',
    'fused-lora eval dev.jsonl --model merged-model/ --json',
  ]);
  return command.action(
    action(async (context, data: string[], options: EvalOptions) => {
      const textModel = await openModel(options, context);
      const { batchSize, tokenBudget, threshold, offline, device, precision } = options;
      const result = await evaluate(textModel, data, {
        ...columnsOf(options),
        ...compact({ batchSize, tokenBudget, threshold, offline }),
        device,
        precision,
        signal: context.signal,
        onNotice: context.say,
      });
      textModel.model.dispose();
      const lines = Object.entries(result.metrics).map(([name, value]) => `${name} ${value.toFixed(4)}\n`);
      showFigures(
        options.json,
        { command: 'eval', data: data.length === 1 ? data[0] : data, ...result },
        lines.join(''),
      );
      context.say(`${result.examples} examples, ${result.samplesPerSecond.toFixed(0)} samples/s`);
    }),
  );
}
