/** Which model or adapter a command works with. */
import type { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { openTextModel, type TextModel } from '../task/text_model';
import { addHubOptions, compact, type HubFlags, integer } from './options';
import type { CommandContext } from './run';

export interface ModelOptions extends HubFlags {
  model?: string;
  adapter?: string;
  tokenizer?: string;
  maxLength?: number;
}

export function addModelOptions(command: Command): Command {
  return addHubOptions(
    command
      .optionsGroup('Model:')
      .option(
        '--model <dir|name>',
        "Hugging Face model folder, or a name on the hub (default: the adapter's base model)",
      )
      .option('--adapter <dir|name>', 'PEFT adapter folder, or a name on the hub'),
  )
    .option('--tokenizer <dir>', "folder of the tokenizer (default: the model's)")
    .option('--max-length <n>', "most tokens of a sentence; longer ones are cut (default: the model's)", integer(3));
}

/** Opens it and refuses a head that nobody trained. */
export async function openModel(
  { model, adapter, tokenizer, maxLength, revision, offline }: ModelOptions,
  context?: CommandContext,
): Promise<TextModel> {
  const dir = model ?? adapter;
  if (dir === undefined) {
    throw new FusedLoraError('INVALID_ARGUMENT', 'give --model DIR, --adapter DIR, or both');
  }
  const opened = await openTextModel(
    dir,
    compact({ adapter, tokenizer, maxLength, revision, offline, signal: context?.signal, onNotice: context?.say }),
  );
  if (opened.model.task === 'masked-lm') {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${dir}: is a masked language model, which has no trained head for sentences. Give --adapter DIR with one, or train it first.`,
    );
  }
  const untrained = opened.adapter === undefined ? opened.report.initialized : [];
  if (untrained.length > 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${dir}: has no trained head (it lacks ${untrained.join(', ')}). Give --adapter DIR with one, or train it first.`,
    );
  }
  return opened;
}
