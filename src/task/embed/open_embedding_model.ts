/**
 * An encoder opened for embeddings: of a sentence-transformers folder, or any other model folder,
 * with an adapter or without. What the folder says is read by sentence_folder.ts; embedder.ts runs
 * it. Classifiers are opened by src/task/text_model.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { checkKeys } from '../../base/options';
import { loadTokenizer, type Tokenizer } from '../../data/tokenize/tokenizer';
import { findModel, isAdapter } from '../../io/find_model';
import { HUB_KEYS, type HubOptions } from '../../io/hub';
import { loadAdapter } from '../../lora';
import type { TaskModel } from '../../models';
import { loadFitted } from '../../models/auto';
import { checkKept, findOwnBase } from '../adapter_store';
import { factsOfAdapter } from '../meaning/facts';
import { hasTokenizer, readRecord } from '../meaning/record';
import { POOLING_MODES, type PoolingMode } from './pooling';
import { isSentenceFolder, plainSettings, readSentenceFolder, type SentenceSettings } from './sentence_folder';

/** Of {@link openEmbeddingModel}. */
export interface OpenEmbeddingModelOptions extends HubOptions {
  /**
   * A PEFT adapter to put on the encoder: a folder, or a name on the hub. Default: `model` itself
   * where it is one.
   */
  adapter?: string | undefined;
  /** Folder of the tokenizer, or its name on the hub. Default: the adapter's, else the model's. */
  tokenizer?: string | undefined;
  /** Branch, tag or commit of `model` on the hub. Default: main. */
  revision?: string | undefined;
  /**
   * Most tokens of a text, special tokens counted. Default: max_seq_length of
   * sentence_bert_config.json, else what the tokenizer says; at most the positions that the model
   * has.
   */
  maxLength?: number | undefined;
  /** In place of the folder's; for folders without modules.json, where mean is the default. */
  pooling?: PoolingMode | undefined;
  signal?: AbortSignal | undefined;
  /** Told what is downloaded. */
  onNotice?: ((line: string) => void) | undefined;
}

const KEYS: Record<keyof OpenEmbeddingModelOptions, true> = {
  ...HUB_KEYS,
  ...{ adapter: true, tokenizer: true, revision: true, maxLength: true, pooling: true, signal: true, onNotice: true },
};

/** An encoder with its tokenizer, and how its hidden states become an embedding. */
export interface EmbeddingModel {
  /** Its head is not used. */
  model: TaskModel;
  tokenizer: Tokenizer;
  /** Most tokens of a text; longer ones are cut. */
  maxLength: number;
  settings: SentenceSettings;
  /** Folder of the (base) model. */
  baseModel: string;
  /** Folder of the adapter that is on it. */
  adapter: string | undefined;
}

/**
 * Opens an encoder for embeddings.
 *
 * @param model a folder of sentence-transformers or any encoder of a known family, an adapter with
 * the base model that it names, or the name of one on the hub.
 * @throws FusedLoraError INVALID_CONFIG for modules that are not computed here; what `loadModel`,
 * `loadAdapter` and `loadTokenizer` throw.
 */
export async function openEmbeddingModel(
  model: string,
  options: OpenEmbeddingModelOptions = {},
): Promise<EmbeddingModel> {
  checkKeys('openEmbeddingModel', options, KEYS);
  const { adapter, tokenizer, revision, maxLength, pooling, ...hub } = options;
  if (pooling !== undefined && !POOLING_MODES.includes(pooling)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `pooling is "${pooling}"; it must be ${POOLING_MODES.join(', ')}`);
  }
  const given = await findModel(model, { ...hub, revision });
  const ownAdapter = adapter === undefined && isAdapter(given.folder) ? given.folder : undefined;
  const adapterDir = adapter === undefined ? ownAdapter : (await findModel(adapter, hub)).folder;
  const base = ownAdapter === undefined ? given : await findOwnBase(ownAdapter, hub);
  const chosen =
    tokenizer === undefined ? undefined : (await findModel(tokenizer, { ...hub, tokenizerOnly: true })).folder;
  return openEmbeddingFolders(
    { base: base.folder, adapter: adapterDir, tokenizer: chosen },
    { maxLength, pooling },
    options.onNotice,
  );
}

/** {@link openEmbeddingModel} for folders that are there. */
export function openEmbeddingFolders(
  folders: { base: string; adapter: string | undefined; tokenizer?: string | undefined },
  { maxLength, pooling }: Pick<OpenEmbeddingModelOptions, 'maxLength' | 'pooling'>,
  onNotice?: (line: string) => void,
): EmbeddingModel {
  const { base, adapter } = folders;
  const read = isSentenceFolder(base) ? readSentenceFolder(base) : plainSettings(base);
  const settings = pooling === undefined ? read : { ...read, pooling: [pooling] };
  const { encoder } = settings;
  // An adapter's head has a place, and is not used; without one any class will do.
  const head = adapter === undefined ? undefined : factsOfAdapter(adapter);
  const task = head?.task ?? 'token-classification';
  const { model } = loadFitted(encoder, { task, numLabels: head?.numLabels ?? 2 }, { leavesHeadOut: true });
  if (adapter !== undefined) {
    checkKept(adapter, base);
    loadAdapter(model, adapter, { onNotice });
  }
  const own = adapter !== undefined && hasTokenizer(adapter) ? adapter : encoder;
  const tokenizer = loadTokenizer(folders.tokenizer ?? own);
  const rowless = tokenizer.checkRows(model.vocabSize, encoder);
  if (rowless !== undefined) onNotice?.(rowless);
  const recorded = adapter === undefined ? undefined : readRecord(adapter)?.maxLength;
  const wanted = maxLength ?? recorded ?? settings.maxLength ?? tokenizer.modelMaxLength ?? model.maxLength;
  const most = Math.min(wanted, model.maxLength);
  return { model, tokenizer, maxLength: most, settings, baseModel: base, adapter };
}
