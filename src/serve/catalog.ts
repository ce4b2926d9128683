/**
 * What is served: a base model and its adapters by name, opened and put into lanes, and taken out
 * again. A lane computes (lane.ts); what a request asks of a model is in encode.ts and answers.ts.
 *
 * Adapters of all tasks share one lane, with the LoRA matrices of all of them on one encoder and
 * their heads beside each other. An adapter that changes the encoder in other ways (trained biases,
 * embeddings or norms) has a lane of its own.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { listNames } from '../base/near';
import { loadTokenizer, type Tokenizer } from '../data/tokenize/tokenizer';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import type { BackendName } from '../graph/parameter';
import type { Precision } from '../graph/precision';
import { findModel, isAdapter } from '../io/find_model';
import { type FetchOptions, hubModelOf } from '../io/hub';
import { ADAPTER_CONFIG } from '../io/model_files';
import { activeAdapters, adapterFacts, deleteAdapter } from '../lora';
import { applyPlan } from '../lora/inject';
import type { LoraLinear } from '../lora/lora_linear';
import { adapterEntry, loraLinears } from '../lora/registry';
import type { TaskModel } from '../models';
import { loadFitted } from '../models/auto';
import type { Linear } from '../nn';
import { type EmbeddingModel, openEmbeddingFolders } from '../task/embed/open_embedding_model';
import { embeddingOf, type PoolingMode } from '../task/embed/pooling';
import { isSentenceFolder, readSentenceFolder } from '../task/embed/sentence_folder';
import { baseFacts, factsOfAdapter } from '../task/meaning/facts';
import { hasTokenizer, sameTokenizer } from '../task/meaning/record';
import { locateModel, meaningOf, openFolders, requireTrained, type TextModel } from '../task/text_model';
import { changesEncoder } from './changes_encoder';
import { Lane, type LaneItem, type LaneMember } from './lane';
import { ServeError } from './serve_error';
import type { ServedClassifier, ServedModel } from './served_model';

/** Of {@link Catalog.open}. */
export interface CatalogOptions {
  /** Folder of the base model, or its name on the hub; undefined: what the first adapter names. */
  model: string | undefined;
  /** What clients call it. Default: the last part of `model`. */
  modelName: string | undefined;
  revision: string | undefined;
  /** Of a base that is no sentence-transformers folder, to serve embeddings of it. */
  pooling: PoolingMode | undefined;
  backend: BackendName;
  precision: Precision;
  baseWeights: BaseWeights;
  embeddingWeights: EmbeddingWeights;
  hub: FetchOptions;
  say: (line: string) => void;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)?$/;
const NAME_LENGTH = 96;

/** What is opened, before it is put into a lane. */
type Opened = { kind: 'classifier'; textModel: TextModel } | { kind: 'embedding'; embedding: EmbeddingModel };

export class Catalog {
  private readonly served = new Map<string, ServedModel>();
  /** Whose encoder the shared lane has. */
  private readonly host: TaskModel;
  private shared: Lane | undefined;
  /** Lanes of models that can share none, by key. */
  private readonly own = new Map<string, Lane>();
  private readonly members = new Map<string, LaneMember>();
  private numOpened = 0;
  private readonly baseTokenizer: Tokenizer;

  private constructor(
    private readonly options: CatalogOptions,
    /** Folder of the base model, and its name for adapters. */
    private readonly base: { folder: string; name: string },
  ) {
    const encoder = this.encoderFolder();
    this.host = loadFitted(encoder, { task: 'token-classification', numLabels: 2 }, { leavesHeadOut: true }).model;
    this.baseTokenizer = loadTokenizer(encoder);
    const rowless = this.baseTokenizer.checkRows(this.host.vocabSize, encoder);
    if (rowless !== undefined) options.say(rowless);
  }

  /**
   * Opens a base model with its adapters.
   *
   * @param adapters folders or names on the hub by the name that clients call them.
   * @throws FusedLoraError what opening them throws; INVALID_ARGUMENT where nothing can be served.
   */
  static async open(options: CatalogOptions, adapters: ReadonlyMap<string, string>): Promise<Catalog> {
    const { model, hub, revision, modelName } = options;
    const [firstName = '', first] = [...adapters][0] ?? [];
    if (model === undefined && first === undefined) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        'give a model to serve (--model DIR), adapters (--adapter NAME=DIR), or both',
      );
    }
    // Asked of the hub, it tells by itself what is not there.
    if (model === undefined && !hubModelOf(first as string)) await adapterFolder(firstName, first as string, hub);
    const located = await locateModel(model ?? (first as string), { revision }, hub);
    const { folder, name } = located.base;
    const catalog = new Catalog(options, { folder, name: modelName ?? path.basename(path.resolve(name)) });
    if (modelName !== undefined || !NAME.test(catalog.base.name)) catalog.base.name = checkedName(catalog.base.name);
    // An adapter that was given as the model is served by its folder's name.
    if (model !== undefined && located.adapter !== undefined) {
      await catalog.prepare(path.basename(path.resolve(located.adapter)), located.adapter).then((put) => put());
    } else if (model !== undefined) catalog.addBase(adapters.size === 0);
    for (const [name, adapter] of adapters) (await catalog.prepare(name, adapter))();
    catalog.rebuild();
    return catalog;
  }

  /** Names in the order in which they were added. */
  get models(): readonly ServedModel[] {
    return [...this.served.values()];
  }

  get baseName(): string {
    return this.base.name;
  }

  get baseFolder(): string {
    return this.base.folder;
  }

  /**
   * A model by its name, or the first of a kind where no name is given.
   *
   * @throws ServeError 404 naming those that are there.
   */
  find(name: string | undefined, suits: (model: ServedModel) => boolean, what: string): ServedModel {
    if (name !== undefined) {
      const found = this.served.get(name);
      if (found && suits(found)) return found;
      const names = listNames(this.models.filter(suits).map((model) => model.name)) || 'none';
      const problem = found ? `the model "${name}" gives no ${what}` : `there is no model "${name}"`;
      throw new ServeError(
        found ? 424 : 404,
        found ? 'backend' : 'validation',
        `${problem}; of ${what} there are: ${names}`,
      );
    }
    const found = this.models.find(suits);
    if (found) return found;
    throw new ServeError(424, 'backend', `no model here gives ${what}`);
  }

  /** The lane of a key: models of one share batches. */
  laneOf(key: string): Lane | undefined {
    return this.own.get(key) ?? this.shared;
  }

  /**
   * Opens an adapter: files are found and read here, while batches go on.
   *
   * @returns what puts it among the others; to be called between two batches, then
   * {@link rebuild}.
   */
  async prepare(name: string, adapter: string): Promise<() => ServedModel> {
    checkedName(name);
    if (this.served.has(name)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `a model "${name}" is served already; unload it first, or give another name`,
      );
    }
    const opened = this.openAdapter(await adapterFolder(name, adapter, this.options.hub));
    return () => this.put(name, adapter, opened);
  }

  /**
   * Takes a model out of those that can be asked.
   *
   * @returns it, to be removed by {@link remove} when nothing that was accepted waits for it.
   * @throws ServeError 404, or 400 for the base model.
   */
  retire(name: string): ServedModel {
    const found = this.served.get(name);
    if (!found) throw new ServeError(404, 'validation', `there is no model "${name}"`);
    if (found.parent === undefined) throw new ServeError(400, 'validation', `"${name}" is the base model, which stays`);
    this.served.delete(name);
    return found;
  }

  /** Takes a retired model out of its lane; to be followed by {@link rebuild}. */
  remove(found: ServedModel): void {
    const member = this.members.get(found.key);
    this.members.delete(found.key);
    if (member?.adapter !== undefined) deleteAdapter(this.host, member.adapter);
    const lane = this.own.get(found.key);
    this.own.delete(found.key);
    lane?.dispose();
    this.gone.push(found.model);
  }

  /** Models that were taken out, whose memory is freed when no program reads them any more. */
  private gone: TaskModel[] = [];

  /**
   * Builds the program of the shared lane from what is there now. The packed weights of the old one
   * are taken over.
   */
  rebuild(): void {
    const members = [...this.members.values()].filter(({ key }) => !this.own.has(key));
    const old = this.shared;
    this.shared = members.length === 0 ? undefined : new Lane(this.host, members, this.options);
    old?.dispose();
    for (const model of this.gone.splice(0)) model.dispose();
  }

  /** All lanes that there are. */
  get lanes(): readonly Lane[] {
    return [...this.own.values(), ...(this.shared ? [this.shared] : [])];
  }

  dispose(): void {
    for (const lane of this.lanes) lane.dispose();
    this.own.clear();
    this.shared = undefined;
    for (const { model } of this.served.values()) model.dispose();
    this.host.dispose();
    this.served.clear();
    this.members.clear();
  }

  private encoderFolder(): string {
    const { folder } = this.base;
    return isSentenceFolder(folder) ? readSentenceFolder(folder).encoder : folder;
  }

  /**
   * The base by itself: embeddings of a folder of sentence-transformers, else its own head where it
   * has a trained one.
   *
   * @param alone whether there is nothing else to serve.
   */
  private addBase(alone: boolean): void {
    const { folder, name } = this.base;
    const { pooling, say } = this.options;
    if (isSentenceFolder(folder) || pooling !== undefined) {
      const embedding = openEmbeddingFolders({ base: folder, adapter: undefined }, { pooling }, say);
      this.put(name, folder, { kind: 'embedding', embedding });
      return;
    }
    try {
      const textModel = this.openClassifier(folder, undefined);
      requireTrained(textModel);
      this.put(name, folder, { kind: 'classifier', textModel });
    } catch (error) {
      if (!(error instanceof FusedLoraError && error.code === 'INVALID_ARGUMENT')) throw error;
      // A base without a head of its own is there for its adapters.
      if (!alone) return;
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${error.message.replace(/\.$/, '')}. Without adapters it answers nothing: give some (--adapter NAME=DIR), or serve its embeddings (--pooling mean).`,
        { cause: error },
      );
    }
  }

  private openAdapter(folder: string): Opened {
    const { say, pooling } = this.options;
    const { taskType, folder: place } = adapterFacts(folder);
    if (taskType === 'FEATURE_EXTRACTION') {
      const folders = { base: this.base.folder, adapter: place };
      return { kind: 'embedding', embedding: openEmbeddingFolders(folders, { pooling }, say) };
    }
    const textModel = this.openClassifier(this.encoderFolder(), place);
    requireTrained(textModel);
    return { kind: 'classifier', textModel };
  }

  private openClassifier(folder: string, adapter: string | undefined): TextModel {
    const { say } = this.options;
    const own = adapter !== undefined && ownTokenizer(adapter, folder) ? adapter : undefined;
    const tokenizer = own === undefined ? this.baseTokenizer : loadTokenizer(own);
    const chosen = { value: own ?? folder, source: 'base record' as const, place: 'of the base model', overridden: [] };
    const facts = {
      base: baseFacts(folder),
      adapter: adapter === undefined ? undefined : factsOfAdapter(adapter),
      tokenizer: chosen,
      textTokenizer: tokenizer,
    };
    const meaning = meaningOf(facts, undefined, {}, 'use');
    if (meaning.task.value === 'masked-lm') {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${adapter ?? folder}: is a masked language model without a head for texts`,
      );
    }
    const found = { folder, name: folder, revision: undefined };
    return openFolders({ base: found, adapter, tokenizer: chosen }, tokenizer, meaning, { onNotice: say });
  }

  private put(name: string, root: string, opened: Opened): ServedModel {
    const key = `m${this.numOpened++}`;
    const isBase =
      opened.kind === 'classifier' ? opened.textModel.adapter === undefined : opened.embedding.adapter === undefined;
    const { model, tokenizer, maxLength } = opened.kind === 'classifier' ? opened.textModel : opened.embedding;
    const common = {
      ...{ name, key, root, parent: isBase ? undefined : this.base.name, tokenizer, maxLength, model },
      created: Math.floor(Date.now() / 1000),
    };
    const alone = changesEncoder(model);
    const adapter = isBase || alone ? undefined : this.lend(model, key);
    const member: LaneMember = { key, adapter, ...headOf(opened) };
    if (alone) this.own.set(key, new Lane(model, [member], { ...this.options, alone }));
    this.members.set(key, member);
    const served: ServedModel =
      opened.kind === 'embedding'
        ? { ...common, kind: 'embedding', truncationSide: tokenizer.truncationSide, embedding: opened.embedding }
        : { ...common, kind: 'classifier', truncationSide: opened.textModel.truncationSide, ...labelsOf(model) };
    this.served.set(name, served);
    return served;
  }

  /**
   * Puts the LoRA matrices of a model's encoder on the shared one; its head stays where it is.
   *
   * @returns the name of the adapter there.
   */
  private lend(model: TaskModel, key: string): string {
    const [own] = activeAdapters(model) as [string];
    const { config, targets } = adapterEntry(model, own);
    const root = `${model.config.family}.encoder.`;
    const inEncoder = targets.filter(({ path: at }) => at.startsWith(root));
    const plan = {
      config: { ...config, modulesToSave: [] },
      targets: inEncoder.map((target) => ({
        ...target,
        module: this.host.getSubmodule(target.path) as Linear | LoraLinear,
      })),
      saved: [],
    };
    applyPlan(this.host, plan, key, { trainable: false });
    const layers = new Map(loraLinears(model));
    for (const [at, layer] of loraLinears(this.host)) {
      if (!layer.adapters.has(key)) continue;
      const [to, from] = [layer.adapter(key), (layers.get(at) as LoraLinear).adapter(own)];
      to.A.setData(from.A.data());
      to.B.setData(from.B.data());
    }
    return key;
  }
}

/** @throws FusedLoraError FILE_NOT_FOUND for what is no adapter's folder; what the hub throws. */
async function adapterFolder(name: string, adapter: string, hub: FetchOptions): Promise<string> {
  const { folder } = await findModel(adapter, hub);
  if (isAdapter(folder)) return folder;
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `adapter "${name}": ${folder} ${fs.existsSync(folder) ? `has no ${ADAPTER_CONFIG}` : 'is not there'}. Give the folder of a PEFT adapter.`,
  );
}

function checkedName(name: string): string {
  if (NAME.test(name) && name.length <= NAME_LENGTH) return name;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `"${name}" can not name a model: it stands in requests and addresses. Take letters, digits, and . _ - (at most ${NAME_LENGTH}).`,
  );
}

/** Whether an adapter has a tokenizer that is not the base's. */
function ownTokenizer(adapter: string, base: string): boolean {
  return hasTokenizer(adapter) && !sameTokenizer(adapter, base);
}

/** What stands on the encoder for a model. */
function headOf(opened: Opened): Pick<LaneMember, 'head' | 'finish'> {
  if (opened.kind === 'classifier') {
    const { model } = opened.textModel;
    return { head: (hidden) => model.forward(hidden) };
  }
  const { settings } = opened.embedding;
  const finish = (rows: Float32Array, features: number, { promptTokens }: LaneItem) =>
    embeddingOf(rows, features, { ...settings, normalize: false }, promptTokens);
  return { head: (hidden) => hidden, finish };
}

function labelsOf({
  task,
  numLabels,
  labelNames,
}: TaskModel): Pick<ServedClassifier, 'task' | 'numLabels' | 'labelNames'> {
  const names =
    labelNames.length === numLabels ? labelNames : Array.from({ length: numLabels }, (_, i) => `LABEL_${i}`);
  return { task, numLabels, labelNames: names };
}
