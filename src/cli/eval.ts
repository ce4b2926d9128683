/**
 * `fused-lora eval`: metrics of a model or adapter on data files.
 * The measuring is src/task/evaluate.ts; which model is meant is settled in model.ts.
 */
import { Command } from 'commander';
import { compact } from '../base/options';
import type { ColumnOptions } from '../data/read/columns';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { checkedThreshold } from '../metrics/probabilities';
import { evaluate } from '../task/evaluate';
import { meaningFigures } from '../task/meaning/describe';
import { showFigures } from './figures';
import { addModelOptions, checkThresholdUse, type ModelOptions, openModel } from './model';
import { addExamples, type OutputOptions, thresholdOption } from './options';
import { action } from './run';
import { addGroup, addOutputOptions, addRows, columnsOf, rowsOf, rowsOfGroup } from './table_options';

interface EvalOptions extends ModelOptions, ColumnOptions, OutputOptions {
  batchSize?: number;
  tokenBudget?: number;
  threshold?: number;
  device?: DeviceOption;
  precision?: PrecisionOption;
  baseWeights?: BaseWeights;
  embeddingWeights?: EmbeddingWeights;
}

export function evalCommand(): Command {
  const command = new Command('eval')
    .description('measure a model or adapter on labelled sentences')
    .argument(
      '<data...>',
      'labelled .csv, .tsv, .jsonl or .parquet (also .gz), folders, globs, hf://datasets/OWNER/NAME/PATH; for words also CoNLL',
    )
    .optionsGroup('Measuring:');
  addRows(command, rowsOf(['batchSize', 'tokenBudget'], { tokenBudget: { help: 'most tokens a batch' } })).addOption(
    thresholdOption(),
  );
  addModelOptions(addRows(command, [...rowsOfGroup('Device'), ...rowsOf(['baseWeights', 'embeddingWeights'])]));
  addGroup(command, 'Columns of the data');
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora eval dev.tsv --adapter my-adapter/',
    'fused-lora eval dev.jsonl --model merged-model/ --json',
  ]);
  return command.action(
    action(async (context, data: string[], options: EvalOptions) => {
      const { batchSize, tokenBudget, threshold, offline, device, precision, baseWeights, embeddingWeights } = options;
      // What the options alone show to be wrong is told before the model is read.
      checkedThreshold(threshold);
      chooseDevice(device);
      const textModel = await openModel(options, context);
      checkThresholdUse(threshold, textModel, undefined);
      const result = await evaluate(textModel, data, {
        ...columnsOf(options),
        ...compact({ batchSize, tokenBudget, threshold, offline, device, precision, baseWeights, embeddingWeights }),
        signal: context.signal,
        onNotice: context.say,
      });
      textModel.model.dispose();
      const cut = { train: undefined, dev: { texts: result.examples, cut: result.cut } };
      const meaning = meaningFigures(textModel.meaning, cut);
      const lines = Object.entries(result.metrics).map(([name, value]) => `${name} ${value.toFixed(4)}\n`);
      showFigures(
        options.json,
        { command: 'eval', data: data.length === 1 ? data[0] : data, ...result, meaning },
        lines.join(''),
      );
      context.say(`${result.examples} examples, ${result.samplesPerSecond.toFixed(0)} samples/s`);
    }),
  );
}
