/**
 * Which model or adapter a command works with, for eval, predict and merge.
 * It is opened by src/task/text_model.ts; train and plan name theirs by the option table.
 */
import type { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import type { Task } from '../base/tasks';
import type { TruncationSide } from '../data/tokenize/truncate';
import { HOW_TO_HAVE_A_HEAD, openTextModel, requireTrained, type TextModel, whoLacks } from '../task/text_model';
import type { CommandContext } from './run';
import { addRows, rowsOf } from './table_options';

export interface ModelOptions {
  model?: string;
  adapter?: string;
  requireModel?: boolean;
  revision?: string;
  offline?: boolean;
  tokenizer?: string;
  maxLength?: number;
  truncationSide?: TruncationSide;
  task?: Task;
  labels?: string[];
  numLabels?: number;
  ignoreMismatchedSizes?: boolean;
  threshold?: number;
}

const ROWS = rowsOf(
  [
    ...['revision', 'offline', 'tokenizer', 'task', 'labelNames', 'numLabels', 'ignoreMismatchedSizes'],
    ...['maxLength', 'truncationSide'],
  ],
  {
    tokenizer: { says: "the adapter's, else the base model's" },
    task: { says: "the adapter's or model's" },
    labelNames: { says: "the adapter's or model's" },
    numLabels: { says: "the head's" },
    ignoreMismatchedSizes: { help: "take a base model whose own head has another shape than the adapter's" },
    maxLength: { says: "that of training, else the model's own" },
    truncationSide: { says: "that of training, else the tokenizer's" },
  },
);

export function addModelOptions(command: Command): Command {
  command
    .optionsGroup('Model:')
    .option('--model <dir|name>', "Hugging Face model folder, or a name on the hub (default: the adapter's base model)")
    .option('--adapter <dir|name>', 'PEFT adapter folder, or a name on the hub')
    .option('--require-model', 'follow no base model that an adapter names: --model must be given');
  return addRows(command, ROWS);
}

/**
 * Opens it, refuses a head that nobody trained, and says what it means.
 *
 * @param languageModel whether a masked language model will do.
 */
export async function openModel(
  options: ModelOptions,
  context?: CommandContext,
  languageModel = false,
): Promise<TextModel> {
  const { model, adapter, requireModel: requireBaseModel, labels: labelNames, ...others } = options;
  const dir = model ?? adapter;
  if (dir === undefined) {
    throw new FusedLoraError('INVALID_ARGUMENT', 'give --model DIR, --adapter DIR, or both');
  }
  const { tokenizer, maxLength, truncationSide, task, numLabels, ignoreMismatchedSizes, revision, offline } = others;
  const opened = await openTextModel(
    dir,
    compact({
      ...{
        adapter,
        requireBaseModel,
        tokenizer,
        maxLength,
        truncationSide,
        task,
        labelNames,
        numLabels,
        ignoreMismatchedSizes,
      },
      ...{ revision, offline, threshold: others.threshold, signal: context?.signal, onNotice: context?.say },
    }),
  );
  if (opened.model.task === 'masked-lm' && !languageModel) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${whoLacks(opened.adapter, opened.baseModel)} for texts or words: ${opened.baseModel} is a masked language model. ${HOW_TO_HAVE_A_HEAD}`,
    );
  }
  requireTrained(opened);
  return opened;
}
