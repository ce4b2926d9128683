/**
 * `fused-lora merge`: a base model and an adapter as one model folder.
 * The arithmetic is src/lora/merge.ts, the folder src/models/auto.ts.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { checkOutput } from '../io/find_model';
import { adapterNames, mergeAndUnload } from '../lora';
import { saveModel } from '../models';
import { meaningFigures } from '../task/meaning/describe';
import { writeRecord, writeTokenizer } from '../task/meaning/record';
import { requiredOption } from './config_file';
import { showFigures } from './figures';
import { addModelOptions, type ModelOptions, openModel } from './model';
import { addExamples, choice, type OutputOptions, SAVE_DTYPES, type SaveDType } from './options';
import { action } from './run';
import { addOutputOptions } from './table_options';

interface MergeOptions extends ModelOptions, OutputOptions {
  output: string;
  saveDtype: SaveDType;
}

export function mergeCommand(): Command {
  const command = new Command('merge')
    .description('merge an adapter into its base model and write a Hugging Face model folder')
    .optionsGroup('Output:')
    .addOption(choice('--save-dtype <type>', 'of the weights', SAVE_DTYPES).default('F32'));
  requiredOption(command, '--output <dir>', 'gets config.json, model.safetensors and the tokenizer');
  addOutputOptions(addModelOptions(command));
  addExamples(command, ['fused-lora merge --adapter my-adapter/ --output merged-model/']);
  return command.action(
    action(async (context, options: MergeOptions) => {
      // Into a language model, for one that texts of a field were learnt with.
      const textModel = await openModel(options, context, true);
      const { model, baseModel, adapter, meaning } = textModel;
      if (adapter === undefined) {
        throw new FusedLoraError('INVALID_ARGUMENT', 'there is no adapter to merge: give --adapter DIR');
      }
      checkOutput(options.output, 'model', { baseModel, adapter });
      // A point in a subspace is in the weights already.
      if (adapterNames(model).length > 0) mergeAndUnload(model);
      saveModel(model, options.output, {
        dtype: options.saveDtype,
        extra: (folder) => {
          writeRecord(folder, textModel);
          writeTokenizer(folder, textModel);
        },
      });
      const line = `${adapter} merged into ${baseModel}: ${options.output}\n`;
      showFigures(
        options.json,
        { command: 'merge', adapter, baseModel, output: options.output, meaning: meaningFigures(meaning) },
        line,
      );
    }),
  );
}
