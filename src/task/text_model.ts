/**
 * A model or adapter with its tokenizer: what text goes into and what names come out.
 * Where their folders are is found in src/io/find_model.ts, and asked of the hub once.
 */
import { FusedLoraError } from '../base/errors';
import { checkKeys, compact } from '../base/options';
import { type Example, isTokenExample, type TextExample } from '../data/examples/example';
import { loadTokenizer, type Tokenizer } from '../data/tokenize/tokenizer';
import type { TruncationSide } from '../data/tokenize/truncate';
import { type FoundModel, findModel, isAdapter } from '../io/find_model';
import { type FetchOptions, HUB_KEYS, type HubOptions } from '../io/hub';
import { loadAdapter } from '../lora';
import { notReplaced } from '../lora/registry';
import type { LoadModelOptions, LoadReport, TaskModel } from '../models';
import { LOAD_KEYS, loadFitted } from '../models/auto';
import { hasInitialValues } from '../nn/init';
import { loadSubspace, readSubspace } from '../subspace/files';
import { checkKept, findOwnBase } from './adapter_store';
import { decide } from './meaning/decide';
import { describeMeaning } from './meaning/describe';
import { baseFacts, factsOfAdapter, tokenizerFacts } from './meaning/facts';
import { hasTokenizer, sameTokenizer } from './meaning/record';
import { resolveMeaning } from './meaning/resolve';
import type { AdapterFacts, BaseFacts, Decided, Meaning, ModelRecord, Purpose, Statement } from './meaning/types';

/** Of {@link openTextModel}. */
export interface OpenTextModelOptions extends LoadModelOptions, HubOptions {
  /**
   * A PEFT adapter to put on the model: a folder, or a name on the hub. Default: `model` itself
   * where it is one.
   */
  adapter?: string | undefined;
  /**
   * The base model of an adapter folder. Default: the base_model_name_or_path in its
   * adapter_config.json.
   */
  baseModel?: string | undefined;
  /**
   * Whether `baseModel` must be given with an adapter: a name that stands in a file is not followed
   * then, here or to the hub. Default false.
   */
  requireBaseModel?: boolean | undefined;
  /** Branch, tag or commit of `model` on the hub. Default: main. */
  revision?: string | undefined;
  /**
   * Folder of the tokenizer, or its name on the hub. Default: the one beside the adapter, else the
   * base model's.
   */
  tokenizer?: string | undefined;
  /**
   * Most tokens of a text, special tokens counted. Default: what the model was trained with, else
   * the tokenizer's `model_max_length`, at most the positions that the model has.
   */
  maxLength?: number | undefined;
  /** Where texts that are too long lose tokens. Default: as in training, else the tokenizer's. */
  truncationSide?: TruncationSide | undefined;
  /**
   * Of multi-label classification: what the probability of a label must be above. Default: as
   * recorded, else 0.5.
   */
  threshold?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told what is downloaded, and what weaker sources say otherwise of the model's meaning. */
  onNotice?: ((line: string) => void) | undefined;
}

export const OPEN_KEYS: Record<keyof OpenTextModelOptions, true> = {
  ...HUB_KEYS,
  adapter: true,
  baseModel: true,
  requireBaseModel: true,
  revision: true,
  tokenizer: true,
  maxLength: true,
  truncationSide: true,
  threshold: true,
  signal: true,
  onNotice: true,
  ...LOAD_KEYS,
};

/** A model with its tokenizer, and where both came from. */
export interface TextModel {
  model: TaskModel;
  tokenizer: Tokenizer;
  /** Most tokens of a text; longer ones are cut. */
  maxLength: number;
  /** Where they are cut. */
  truncationSide: TruncationSide;
  /** Of multi-label classification: what the probability of a label must be above. */
  threshold: number;
  /** Whether it was trained on pairs of texts; undefined where nobody says. */
  pairs: boolean | undefined;
  /** All of that, and who said so: see docs/meaning.md. */
  meaning: Meaning;
  /** What the checkpoint did not decide. */
  report: LoadReport;
  /** Folder of the (base) model. */
  baseModel: string;
  /**
   * What an adapter on it names as its base model, with the revision where it is of the hub: see
   * `saveAdapter`.
   */
  baseModelName: string;
  baseModelRevision: string | undefined;
  /** Folder of the adapter that is on it. */
  adapter: string | undefined;
  /** Folder of the tokenizer. */
  tokenizerDir: string;
}

/**
 * Opens a model, or a PEFT adapter with the base model that it names.
 *
 * @param model a Hugging Face model folder or PEFT adapter folder, or the name of one on the hub
 * (`roberta-base`, `owner/name`), which is downloaded once: see `fetchModel`.
 * @throws FusedLoraError what `fetchModel`, `loadModel`, `loadAdapter` and `loadTokenizer` throw.
 */
export async function openTextModel(model: string, options: OpenTextModelOptions = {}): Promise<TextModel> {
  checkKeys('openTextModel', options, OPEN_KEYS);
  const { adapter, baseModel, requireBaseModel, revision, ...more } = options;
  const { tokenizer, maxLength, truncationSide, threshold, ...others } = more;
  const { token, cacheDir, offline, signal, onNotice, ...modelOptions } = others;
  const hub = compact({ token, cacheDir, offline, signal, onNotice });
  const folders = await locateModel(model, { adapter, baseModel, requireBaseModel, revision, tokenizer }, hub);
  const facts = readFolders(folders, modelOptions.modelType);
  const { task, numLabels, labelNames, ignoreMismatchedSizes } = modelOptions;
  const said = { task, numLabels, labelNames, ignoreMismatchedSizes, maxLength, truncationSide, threshold };
  const meaning = meaningOf(facts, undefined, said, 'use');
  for (const line of describeMeaning(meaning)) onNotice?.(line);
  const note = noteOnBaseWeights(facts.adapter?.record);
  if (note) onNotice?.(note);
  const subspace = folders.adapter === undefined ? undefined : readSubspace(folders.adapter);
  const settings = { ...modelOptions, ...(subspace && { ignoreMismatchedSizes: true }), onNotice, inSubspace: true };
  const textModel = openFolders(folders, facts.textTokenizer as Tokenizer, meaning, settings);
  if (subspace) {
    await loadSubspace(textModel.model, folders.adapter as string, 'cpu');
    textModel.report.initialized = [];
  }
  return textModel;
}

/** Where an adapter was trained on weights of another form than those that it is now put on. */
export function noteOnBaseWeights(record: ModelRecord | undefined): string | undefined {
  const { baseWeights = 'fp32', embeddingWeights = 'fp32' } = record ?? {};
  const forms = [
    ...(baseWeights === 'fp32' ? [] : [[`${baseWeights} weights`, 'baseWeights (--base-weights)']]),
    ...(embeddingWeights === 'fp32'
      ? []
      : [[`${embeddingWeights} embeddings`, 'embeddingWeights (--embedding-weights)']]),
  ];
  if (forms.length === 0) return undefined;
  const [what, options] = [0, 1].map((i) => forms.map((form) => form[i]).join(' and '));
  return (
    `adapter: trained on the ${what} of its base; on the full ones, which are taken unless ${options} ` +
    `${forms.length > 1 ? 'say' : 'says'} otherwise, its answers differ a little`
  );
}

/** Where the parts of a text model are. */
export interface ModelFolders {
  /** The model, or the one that the adapter belongs on. */
  base: FoundModel;
  /** Folder of the adapter. */
  adapter: string | undefined;
  /** Folder of the tokenizer, and who chose it. */
  tokenizer: Decided<string>;
}

/**
 * Finds the folders of a model, each name asked of the hub once: what is read later is what was
 * found now.
 *
 * @throws FusedLoraError what `fetchModel` throws.
 */
export async function locateModel(
  model: string,
  parts: Pick<OpenTextModelOptions, 'adapter' | 'baseModel' | 'requireBaseModel' | 'revision' | 'tokenizer'>,
  hub: FetchOptions,
): Promise<ModelFolders> {
  const { adapter, baseModel, requireBaseModel, revision, tokenizer } = parts;
  const given = await findModel(model, { ...hub, revision });
  const adapterDir =
    adapter !== undefined ? (await findModel(adapter, hub)).folder : isAdapter(given.folder) ? given.folder : undefined;
  const base =
    baseModel !== undefined
      ? await findModel(baseModel, hub)
      : adapterDir === given.folder
        ? await findOwnBase(given.folder, { ...hub, requireBaseModel })
        : given;
  const chosen =
    tokenizer === undefined ? undefined : (await findModel(tokenizer, { ...hub, tokenizerOnly: true })).folder;
  return { base, adapter: adapterDir, tokenizer: chooseTokenizer(chosen, adapterDir, base.folder) };
}

/** Which folder's tokenizer it is: the one that was given, the adapter's own, or the base's. */
function chooseTokenizer(given: string | undefined, adapter: string | undefined, base: string): Decided<string> {
  const statements: (Statement<string> | undefined)[] = [
    given === undefined ? undefined : { value: given, source: 'option', place: '--tokenizer' },
    adapter !== undefined && hasTokenizer(adapter)
      ? { value: adapter, source: 'adapter record', place: 'beside the adapter' }
      : undefined,
    { value: base, source: 'base record', place: 'of the base model' },
  ];
  const decided = decide(...statements);
  // The adapter's tokenizer is a choice against the base's; only another one than that is told.
  const told = decided.overridden.filter(
    ({ value, source }) => source === 'adapter record' && !sameTokenizer(value, decided.value),
  );
  return { ...decided, overridden: told };
}

/** What the folders say, read once. */
export interface FolderFacts {
  base: BaseFacts;
  adapter: AdapterFacts | undefined;
  /** Its folder; undefined where a plan needs none. */
  tokenizer: Decided<string> | undefined;
  textTokenizer: Tokenizer | undefined;
}

/** @throws FusedLoraError what reading config.json, adapter_config.json and headers throws. */
export function readFolders({ base, adapter, tokenizer }: ModelFolders, modelType?: string): FolderFacts {
  return {
    base: baseFacts(base.folder, modelType),
    adapter: adapter === undefined ? undefined : factsOfAdapter(adapter),
    tokenizer,
    textTokenizer: loadTokenizer(tokenizer.value),
  };
}

type Resolve = typeof resolveMeaning;

/** {@link resolveMeaning} on what {@link readFolders} read. */
export function meaningOf(
  { base, adapter, tokenizer, textTokenizer }: FolderFacts,
  data: Parameters<Resolve>[3],
  options: Parameters<Resolve>[4],
  purpose: Purpose,
  task?: Parameters<Resolve>[6],
): Meaning {
  const ofTokenizer = tokenizer &&
    textTokenizer && { ...tokenizer, value: tokenizerFacts(tokenizer.value, textTokenizer) };
  return resolveMeaning(base, adapter, ofTokenizer, data, options, purpose, task);
}

/**
 * Opens what {@link locateModel} found as what it means.
 *
 * @param options.trainable whether the adapter is trained on.
 * @param options.inSubspace whether the caller gives the model the weights of a point in a
 * subspace, where the adapter is one.
 * @throws FusedLoraError what `loadModel`, `loadAdapter` and `loadTokenizer` throw;
 * INVALID_TOKENIZER for one with more ids than the word embedding has rows.
 */
export function openFolders(
  { base, adapter, tokenizer }: ModelFolders,
  textTokenizer: Tokenizer,
  meaning: Meaning,
  options: Omit<LoadModelOptions, 'task' | 'numLabels' | 'labelNames'> &
    Pick<OpenTextModelOptions, 'onNotice'> & { trainable?: boolean; inSubspace?: boolean },
): TextModel {
  const { onNotice, trainable, inSubspace = false, ...modelOptions } = options;
  const brought = adapter === undefined ? undefined : factsOfAdapter(adapter).head;
  const { model, report } = loadFitted(
    base.folder,
    { ...modelOptions, ...headOf(meaning) },
    { leavesHeadOut: meaning.leavesHeadOut, replaced: (at) => brought?.has(at) === true },
  );
  if (adapter !== undefined && readSubspace(adapter)) {
    checkKept(adapter, base.folder);
    if (!inSubspace) throw notAlone(adapter);
  } else if (adapter !== undefined) {
    checkKept(adapter, base.folder);
    loadAdapter(model, adapter, { onNotice, trainable: trainable === true });
    report.initialized = notReplaced(model, report.initialized);
    const lacking = report.initialized.join(', ');
    if (lacking !== '' && !trainable)
      onNotice?.(`new and untrained, in neither the base model nor the adapter: ${lacking}`);
  }
  const rowless = textTokenizer.checkRows(model.vocabSize, base.folder);
  if (rowless !== undefined) onNotice?.(rowless);
  return {
    model,
    tokenizer: textTokenizer,
    maxLength: meaning.maxLength.value,
    truncationSide: meaning.truncationSide.value,
    threshold: meaning.threshold.value,
    pairs: meaning.pairs?.value,
    meaning,
    report,
    baseModel: base.folder,
    baseModelName: base.name,
    baseModelRevision: base.revision,
    adapter,
    tokenizerDir: tokenizer.value,
  };
}

function notAlone(adapter: string): FusedLoraError {
  return new FusedLoraError(
    'INVALID_ARGUMENT',
    `${adapter}: is a point in a subspace of all weights, which can be used by itself alone (openTextModel, fused-lora predict). ` +
      'To train on from it or to serve it, merge it first (fused-lora merge).',
  );
}

/** What of a meaning decides the head that is built. */
export function headOf({
  task,
  numLabels,
  labelNames,
}: Meaning): Pick<LoadModelOptions, 'task' | 'numLabels' | 'labelNames'> {
  if (task.value === 'masked-lm') return { task: task.value };
  const names = labelNames.value.length > 0 ? { labelNames: labelNames.value } : {};
  return { task: task.value, numLabels: numLabels.value, ...names };
}

/**
 * Refuses a head that no file has values for and that nothing trained since: what it says is
 * chance. A pooler that an adapter of an older version left out was told when it was opened.
 *
 * @param what is asked of the model, for the message. Default: nothing is named.
 * @throws FusedLoraError INVALID_ARGUMENT.
 */
export function requireTrained({ model, report, adapter, baseModel }: TextModel, what?: string): void {
  if (report.initialized.length === 0) return;
  const ofEncoder = `${model.config.family}.`;
  const untrained = model
    .namedParameters()
    .filter(([, parameter]) => hasInitialValues(parameter))
    .map(([at]) => at.replace(/\.modules_to_save\.[^.]+\./, '.').replace('.base_layer.', '.'))
    .filter((at) => report.initialized.includes(at) && (adapter === undefined || !at.startsWith(ofEncoder)));
  if (untrained.length === 0) return;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${what === undefined ? '' : `${what}: `}${whoLacks(adapter, baseModel)} (no file has values for ${untrained.join(', ')}). ${HOW_TO_HAVE_A_HEAD}`,
  );
}

/** `base has no trained head`, `neither adapter nor its base model base has a trained head` */
export const whoLacks = (adapter: string | undefined, baseModel: string) =>
  adapter === undefined
    ? `${baseModel} has no trained head`
    : `neither ${adapter} nor its base model ${baseModel} has a trained head`;

export const HOW_TO_HAVE_A_HEAD = 'Give an adapter with one (--adapter DIR, adapter), or train one first.';

/** Pairs of texts where the model was trained on single ones, and the reverse. */
export function notesOnPairs(trained: boolean | undefined, examples: readonly Example[]): string[] {
  if (trained === undefined) return [];
  const texts = examples.filter((example) => !isTokenExample(example));
  const pairs = texts.filter((example) => (example as TextExample).textPair !== undefined).length;
  if (trained && pairs < texts.length) {
    return ['the model was trained on pairs of texts, and there is one text alone (textPair, --text-pair-column)'];
  }
  return !trained && pairs > 0 ? ['the model was trained on single texts, and there are pairs'] : [];
}
