/**
 * `fused-lora calibrate`: temperature and thresholds of a trained model, kept beside its weights.
 * They are fitted by src/task/calibrate.ts, and used by `predict --calibrated`.
 */
import { Command } from 'commander';
import { compact } from '../base/options';
import type { ColumnOptions } from '../data/read/columns';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { calibrate } from '../task/calibrate';
import { showFigures } from './figures';
import { addModelOptions, type ModelOptions, openModel } from './model';
import { addExamples, type OutputOptions } from './options';
import { action } from './run';
import { addGroup, addOutputOptions, addRows, columnsOf, rowsOf } from './table_options';

interface CalibrateFlags extends ModelOptions, ColumnOptions, OutputOptions {
  device?: DeviceOption;
  precision?: PrecisionOption;
  baseWeights?: BaseWeights;
  embeddingWeights?: EmbeddingWeights;
}

export function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .description('fit a temperature, and thresholds of labels, on dev; predict --calibrated uses them')
    .argument('<data...>', 'labelled examples that the model was not trained on, as for eval');
  addRows(addGroup(addModelOptions(command), 'Device'), rowsOf(['baseWeights', 'embeddingWeights']));
  addGroup(command, 'Columns of the data');
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora calibrate dev.tsv --adapter my-adapter/',
    'fused-lora calibrate dev.csv --adapter my-adapter/ --json',
  ]);
  return command.action(
    action(async (context, data: string[], options: CalibrateFlags) => {
      const { offline, device, precision, baseWeights, embeddingWeights } = options;
      chooseDevice(device);
      const textModel = await openModel(options, context);
      const result = await calibrate(textModel, data, {
        ...columnsOf(options),
        ...compact({ offline, device, precision, baseWeights, embeddingWeights }),
        signal: context.signal,
        onNotice: context.say,
      });
      const { labelNames } = textModel.model;
      textModel.model.dispose();
      const { before, after, temperature, thresholds, file } = result;
      const lines = [
        `temperature ${temperature.toFixed(4)}`,
        ...(thresholds ?? []).map((threshold, i) => `threshold of ${labelNames[i]} ${threshold.toFixed(4)}`),
        `expected calibration error ${before.ece.toFixed(4)} before, ${after.ece.toFixed(4)} after`,
        `log-likelihood loss ${before.loss.toFixed(4)} before, ${after.loss.toFixed(4)} after`,
        `written to ${file}`,
      ];
      showFigures(options.json, { command: 'calibrate', ...result }, `${lines.join('\n')}\n`);
    }),
  );
}
