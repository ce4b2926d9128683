/**
 * Which model or adapter a command works with, for eval, predict and merge.
 * It is opened by src/task/text_model.ts; train and plan name theirs by the option table.
 */
import * as path from 'node:path';
import type { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import type { Task } from '../base/tasks';
import type { TruncationSide } from '../data/tokenize/truncate';
import { renameAdapter } from '../lora';
import { headSettings } from '../lora/registry';
import { addTextAdapter, nameOfFolder } from '../task/text_adapters';
import { HOW_TO_HAVE_A_HEAD, openTextModel, requireTrained, type TextModel, whoLacks } from '../task/text_model';
import { collect } from './options';
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

/** @param several whether more than one adapter may be given, each with its own labels. */
export function addModelOptions(command: Command, several = false): Command {
  command
    .optionsGroup('Model:')
    .option(
      '--model <dir|name>',
      "Hugging Face model folder, or a name on the hub (default: the adapter's base model)",
    );
  const help = 'PEFT adapter folder, or a name on the hub';
  if (several) {
    command.option('--adapter <dir|name>', `${help}; given several times, each text is answered by each`, collect);
  } else command.option('--adapter <dir|name>', help);
  command.option('--require-model', 'follow no base model that an adapter names: --model must be given');
  return addRows(command, ROWS);
}

/**
 * Names of folders; of those that share one, as many parts of the path as tell them apart.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for a folder that is given twice.
 */
export function namesOf(adapters: readonly string[]): string[] {
  const places = adapters.map((adapter) => path.resolve(adapter));
  const twice = places.find((place, i) => places.indexOf(place) < i);
  if (twice !== undefined) {
    throw new FusedLoraError('INVALID_ARGUMENT', `--adapter names ${twice} twice; leave one out`);
  }
  const parts = places.map((place) => place.split(path.sep));
  const longest = Math.max(...parts.map(({ length }) => length));
  const named = (i: number, depth: number) => nameOfFolder((parts[i] as string[]).slice(-depth).join('_'));
  return parts.map((_, i) => {
    for (let depth = 1; depth <= longest; depth++) {
      const name = named(i, depth);
      if (parts.every((__, j) => j === i || named(j, depth) !== name)) return name;
    }
    return `${named(i, 1)}_${i + 1}`;
  });
}

/**
 * @param names of adapters that answer; undefined: the one that is active.
 * @throws FusedLoraError INVALID_ARGUMENT for a threshold that no task here reads.
 */
export function checkThresholdUse(
  threshold: number | undefined,
  { model }: TextModel,
  names: readonly string[] | undefined,
): void {
  if (threshold === undefined) return;
  const tasks = names?.map((name) => headSettings(model, name)?.task ?? model.task) ?? [model.task];
  if (tasks.includes('multi-label-classification')) return;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `--threshold is for several labels a text (multi-label-classification), and this is ${tasks.join(', ')}. Leave it out; probabilities are in the output.`,
  );
}

/** Options that say what one adapter means, where several each say it themselves. */
const OF_ONE = { task: '--task', labels: '--labels', numLabels: '--num-labels' } as const;

/**
 * {@link openModel} with several adapters, which get the names of their folders.
 *
 * @returns those names; undefined where there is one adapter at most.
 */
export async function openModelWith(
  { adapter: adapters = [], ...options }: Omit<ModelOptions, 'adapter'> & { adapter?: string[] },
  context: CommandContext,
): Promise<{ textModel: TextModel; names: string[] | undefined }> {
  const [first, ...others] = adapters;
  if (others.length === 0)
    return { textModel: await openModel(compact({ ...options, adapter: first }), context), names: undefined };
  for (const [field, flag] of Object.entries(OF_ONE)) {
    if (options[field as keyof typeof OF_ONE] === undefined) continue;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${flag} is for one adapter, and ${adapters.length} are given, each with its own. Leave it out.`,
    );
  }
  const textModel = await openModel(compact({ ...options, adapter: first }), context);
  try {
    const [own, ...rest] = namesOf(adapters) as [string, ...string[]];
    renameAdapter(textModel.model, 'default', own);
    const names = [own];
    const { offline } = options;
    for (const [i, adapter] of others.entries()) {
      const more = compact({ name: rest[i], offline, signal: context.signal, onNotice: context.say });
      names.push(await addTextAdapter(textModel, adapter, more));
    }
    return { textModel, names };
  } catch (error) {
    textModel.model.dispose();
    throw error;
  }
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
