/** `fused-lora merge`: a base model and an adapter as one model folder. */
import { Command, Option } from 'commander';
import { FusedLoraError } from '../errors';
import { mergeAndUnload } from '../lora';
import { saveModel } from '../models';
import { copyTokenizer, writeSettings } from '../task/text_model';
import { addModelOptions, type ModelOptions, openModel } from './model';
import { SAVE_DTYPES, type SaveDType } from './options';
import { action } from './run';

interface MergeOptions extends ModelOptions {
  output: string;
  saveDtype: SaveDType;
}

export function mergeCommand(): Command {
  const command = new Command('merge')
    .description('merge an adapter into its base model and write a Hugging Face model folder')
    .requiredOption('--output <dir>', 'gets config.json, model.safetensors and the tokenizer')
    .addOption(new Option('--save-dtype <type>', 'of the weights').choices(SAVE_DTYPES).default('F32'))
    .option('--verbose', 'errors with their stack');
  return addModelOptions(command).action(
    action(async (context, options: MergeOptions) => {
      const { model, baseModel, maxLength, adapter } = await openModel(options);
      if (adapter === undefined) {
        throw new FusedLoraError('INVALID_ARGUMENT', 'there is no adapter to merge: give --adapter DIR');
      }
      mergeAndUnload(model);
      saveModel(model, options.output, {
        dtype: options.saveDtype,
        extra: (folder) => {
          writeSettings(folder, model, maxLength);
          copyTokenizer(options.tokenizer ?? baseModel, folder);
        },
      });
      context.say(`${adapter} merged into ${baseModel}: ${options.output}`);
    }),
  );
}
