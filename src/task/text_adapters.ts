/**
 * More adapters on an open text model, each with its own labels, head and task of the same kind:
 * one base that answers for many. What one folder means is decided in src/task/meaning; who answers
 * with several of them is classify.ts.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { checkKeys, compact } from '../base/options';
import type { Task, TaskSettings } from '../base/tasks';
import { findModel, isAdapter } from '../io/find_model';
import { HUB_KEYS, type HubOptions } from '../io/hub';
import { ADAPTER_CONFIG } from '../io/model_files';
import { deleteAdapter, disableAdapters, loadAdapter, setActiveAdapters } from '../lora';
import { findAdapterFolder } from '../lora/peft_files';
import { adaptersOf, savedModules, withAdaptersFor } from '../lora/registry';
import { hasInitialValues } from '../nn/init';
import { checkKept } from './adapter_store';
import { baseFacts, factsOfAdapter } from './meaning/facts';
import { hasTokenizer, sameTokenizer } from './meaning/record';
import { resolveMeaning } from './meaning/resolve';
import type { Meaning } from './meaning/types';
import type { TextModel } from './text_model';

/** Of {@link addTextAdapter}. */
export interface AddTextAdapterOptions extends HubOptions {
  /** The name that it gets in the model. Default: that of its folder. */
  name?: string | undefined;
  /** Default: what the adapter's files say. */
  task?: Task | undefined;
  /** Names of its labels by id. Default: what the adapter's files say. */
  labelNames?: readonly string[] | undefined;
  /** Of multi-label classification. Default: as recorded, else 0.5. */
  threshold?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told where it was trained on texts that were cut in another way. */
  onNotice?: ((line: string) => void) | undefined;
}

const KEYS: Record<keyof AddTextAdapterOptions, true> = {
  ...HUB_KEYS,
  name: true,
  task: true,
  labelNames: true,
  threshold: true,
  signal: true,
  onNotice: true,
};

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', problem);

/**
 * Puts one more adapter on an open model, with the labels and the task that its own files say. The
 * adapter that was active stays so.
 *
 * @param adapter a PEFT adapter folder, or the name of one on the hub.
 * @returns the name that it has in the model: for `classify(model, [{ text, adapter: name }])`,
 * `classify(model, texts, { adapters: [name, …] })` and `setActiveAdapters`.
 * @throws FusedLoraError what `loadAdapter` throws; INVALID_ARGUMENT for an adapter of words on a
 * model of texts or the reverse, one with another tokenizer, and one without a trained head;
 * STATE_MISMATCH for an adapter of a store that belongs on another base. The model is unchanged
 * then.
 */
export async function addTextAdapter(
  textModel: TextModel,
  adapter: string,
  options: AddTextAdapterOptions = {},
): Promise<string> {
  checkKeys('addTextAdapter', options, KEYS);
  const { name: given, task, labelNames, threshold, token, cacheDir, offline, signal, onNotice } = options;
  const place = (await findModel(adapter, compact({ token, cacheDir, offline, signal, onNotice }))).folder;
  if (!isAdapter(place) && !isAdapter(path.join(place, 'default'))) {
    throw refuse(`${adapter}: has no ${ADAPTER_CONFIG}; give the folder of a PEFT adapter`);
  }
  const folder = findAdapterFolder(place, 'default');
  const name = given ?? nameOfFolder(adapter);
  const { model, baseModel, tokenizerDir } = textModel;
  const facts = factsOfAdapter(folder);
  const said = { task, labelNames, threshold };
  const meaning = resolveMeaning(baseFacts(baseModel), facts, undefined, undefined, said, 'use');
  checkKind(adapter, meaning.task.value, textModel);
  if (hasTokenizer(folder) && !sameTokenizer(folder, tokenizerDir)) {
    throw refuse(
      `${adapter}: has another tokenizer than the model (${tokenizerDir}), so texts would be cut into other tokens than it was trained on. ` +
        'Open it by itself (openTextModel).',
    );
  }
  checkKept(folder, baseModel);
  const { active, disabled } = adaptersOf(model);
  loadAdapter(model, folder, { name, onNotice, head: facts.head.size > 0 ? headOf(meaning) : undefined });
  setActiveAdapters(model, active);
  if (disabled) disableAdapters(model);
  const untrained = withAdaptersFor(model, [name], () =>
    savedModules(model).find(([, { current }]) => current.parameters().some(hasInitialValues)),
  );
  if (untrained) {
    deleteAdapter(model, name);
    throw refuse(
      `${adapter}: holds no trained ${untrained[0]}, nor does the base model. Train it again with its head.`,
    );
  }
  tellLengths(adapter, meaning, textModel, onNotice);
  return name;
}

/** `out/intent/` → intent; what can be no name of an adapter is written with underscores. */
export function nameOfFolder(adapter: string): string {
  const base = path.basename(path.resolve(adapter)).replace(/[^A-Za-z0-9_-]/g, '_');
  return /^[A-Za-z_]/.test(base) ? base : `_${base}`;
}

const ofWords = (task: Task) => task === 'token-classification';

function checkKind(adapter: string, task: Task, { model, adapter: first, baseModel }: TextModel): void {
  if (task !== 'masked-lm' && model.task !== 'masked-lm' && ofWords(task) === ofWords(model.task)) return;
  throw refuse(
    `${adapter}: is for ${task}, and ${first ?? baseModel} was opened for ${model.task}; one labels texts, the other words. Open it by itself (openTextModel).`,
  );
}

/** What the adapter's head is for. */
function headOf({ task, numLabels, labelNames, threshold }: Meaning): TaskSettings {
  return {
    task: task.value,
    numLabels: numLabels.value,
    labelNames: [...labelNames.value],
    threshold: threshold.value,
  };
}

/** Texts are cut once for all adapters, as the model that is open says. */
function tellLengths(
  adapter: string,
  { maxLength, truncationSide }: Meaning,
  textModel: TextModel,
  onNotice: ((line: string) => void) | undefined,
): void {
  if (maxLength.source === 'adapter record' && maxLength.value !== textModel.maxLength) {
    onNotice?.(
      `${adapter}: was trained on texts of at most ${maxLength.value} tokens; here ${textModel.maxLength} hold for all adapters (maxLength, --max-length)`,
    );
  }
  if (truncationSide.source === 'adapter record' && truncationSide.value !== textModel.truncationSide) {
    onNotice?.(
      `${adapter}: was trained on texts that are cut on the ${truncationSide.value}; here they are on the ${textModel.truncationSide} (truncationSide, --truncation-side)`,
    );
  }
}
