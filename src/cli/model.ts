/**
 * Which model or adapter a command works with, for eval, predict and merge.
 * It is opened by src/task/text_model.ts; train and plan name theirs by the option table.
 */
import type { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { openTextModel, type TextModel } from '../task/text_model';

import type { CommandContext } from './run';
import { addRows, rowsOf } from './table_options';

export interface ModelOptions {
  model?: string;
  adapter?: string;
  revision?: string;
  offline?: boolean;
  tokenizer?: string;
  maxLength?: number;
}

const ROWS = rowsOf(['revision', 'offline', 'tokenizer', 'maxLength'], { maxLength: { says: "the model's" } });

export function addModelOptions(command: Command): Command {
  command
    .optionsGroup('Model:')
    .option('--model <dir|name>', "Hugging Face model folder, or a name on the hub (default: the adapter's base model)")
    .option('--adapter <dir|name>', 'PEFT adapter folder, or a name on the hub');
  return addRows(command, ROWS);
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
  // A pooler that neither file has is told, and computed as it was: with the values of its seed.
  const ofEncoder = `${opened.model.config.family}.`;
  const untrained = opened.report.initialized.filter(
    (name) => opened.adapter === undefined || !name.startsWith(ofEncoder),
  );
  if (untrained.length > 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${dir}: has no trained head (it lacks ${untrained.join(', ')}). Give --adapter DIR with one, or train it first.`,
    );
  }
  return opened;
}
