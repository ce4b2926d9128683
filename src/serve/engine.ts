/**
 * What answers requests, whatever their protocol: texts go in by the name of a model, outputs come
 * out, in batches of all models together. Batches are formed by batcher.ts and run by lane.ts;
 * models come and go in catalog.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { compact } from '../base/options';
import { checkedHeldWeights } from '../graph/base_weights';
import { chooseDevice } from '../graph/device';
import { choosePrecision } from '../graph/precision';
import { hubModelOf } from '../io/hub';
import { Batcher } from './batcher';
import { Catalog } from './catalog';
import { checkLimits, type EncodedInput, type EncodeForm, encodeInputs, type Input } from './encode';
import type { LaneItem } from './lane';
import type { Metrics } from './metrics';
import type { ResolvedOptions } from './options';
import { ServeError } from './serve_error';
import type { ServedModel } from './served_model';

/** A text with what a model's head gave for it. */
export interface Output {
  encoded: EncodedInput;
  /** [numLabels], [tokens * numLabels] or an embedding. */
  values: Float32Array;
}

/** Of one request to {@link Engine.run}. */
export interface RunOptions extends EncodeForm {
  signal?: AbortSignal | undefined;
  /** In place of the server's. */
  timeoutMs?: number | undefined;
}

export class Engine {
  private readonly batcher: Batcher<LaneItem, Float32Array>;
  private ready = false;
  private draining = false;
  /** Loads and unloads, one after the other. */
  private changes: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly catalog: Catalog,
    readonly options: ResolvedOptions,
    readonly metrics: Metrics,
  ) {
    this.batcher = new Batcher({
      run: (items) => this.runBatch(items),
      groupOf: (key) => catalog.laneOf(key),
      tokenBudget: options.maxBatchTokens,
      maxWaiting: options.maxWaiting,
      onBatch: (batch) => metrics.batch(batch),
    });
    metrics.watch(() => this.batcher.waiting);
  }

  /**
   * Opens the models and runs a batch of each: ready when this is fulfilled.
   *
   * @throws FusedLoraError what opening them throws.
   */
  static async open(options: ResolvedOptions, metrics: Metrics): Promise<Engine> {
    const { model, modelName, revision, pooling, adapters, token, cacheDir, offline, onNotice } = options;
    const { backend } = chooseDevice(options.device);
    const say = onNotice ?? (() => {});
    const { adminToken, adapterFolders } = options;
    if (adapterFolders.length > 0 && adminToken === undefined)
      say('adapters are loaded by whoever has the admin token, and there is none (--admin-token, adminToken)');
    if (adapterFolders.length === 0 && adminToken !== undefined)
      say('adapters can be unloaded, and loaded from no folder (--adapter-folder, adapterFolders)');
    const catalog = await Catalog.open(
      {
        ...{ model, modelName, revision, pooling, backend, say },
        precision: choosePrecision(options.precision, backend),
        ...checkedHeldWeights(options),
        hub: { ...compact({ token, cacheDir, offline }), onNotice: say },
      },
      new Map(Object.entries(adapters)),
    );
    const engine = new Engine(catalog, options, metrics);
    try {
      await engine.warmUp();
    } catch (error) {
      catalog.dispose();
      throw error;
    }
    return engine;
  }

  /** Whether requests are answered: not while it stops. */
  get isReady(): boolean {
    return this.ready && !this.draining;
  }

  /**
   * Runs texts through a model.
   *
   * @returns what each text gave, in their order. A text's values do not depend on what else is in
   * its batch.
   * @throws ServeError
   */
  async run(model: ServedModel, inputs: readonly Input[], options: RunOptions): Promise<Output[]> {
    checkLimits(inputs, this.options);
    const encoded = await encodeInputs(model, inputs, options);
    // It may have been unloaded while long texts were encoded.
    if (!this.catalog.models.includes(model)) throw new ServeError(404, 'validation', `"${model.name}" was unloaded`);
    this.metrics.texts(model.name, encoded);
    const works = encoded.map(({ item, tokens }) => ({ item, key: model.key, tokens }));
    const patience = { signal: options.signal, timeoutMs: options.timeoutMs ?? this.options.timeoutMs };
    const values = await this.batcher.submit(works, patience);
    return encoded.map((one, i) => ({ encoded: one, values: values[i] as Float32Array }));
  }

  /**
   * Opens an adapter while batches go on, and puts it beside the others between two of them.
   *
   * @throws ServeError 400 where it can not be; FusedLoraError.
   */
  load(name: string, adapter: string): Promise<ServedModel> {
    return this.change(async () => {
      const put = await this.catalog.prepare(name, this.allowedFolder(adapter));
      const model = await this.batcher.exclusive(() => {
        const added = put();
        this.catalog.rebuild();
        return added;
      });
      return model;
    });
  }

  /** Takes an adapter out when everything that was accepted for it is answered. */
  unload(name: string): Promise<void> {
    return this.change(async () => {
      const model = this.catalog.retire(name);
      const remove = () => {
        if (this.batcher.isWaitedFor(model.key)) return false;
        this.catalog.remove(model);
        this.catalog.rebuild();
        return true;
      };
      while (!(await this.batcher.exclusive(remove)));
    });
  }

  /** Whether the server stops. */
  get isDraining(): boolean {
    return this.draining;
  }

  /** Answers what was accepted, refuses what comes, and frees the models. */
  async close(): Promise<void> {
    this.draining = true;
    await this.changes;
    await this.batcher.close();
    this.catalog.dispose();
  }

  /** From now on {@link isReady} is false: balancers send their requests elsewhere. */
  drain(): void {
    this.draining = true;
  }

  private change<V>(act: () => Promise<V>): Promise<V> {
    const done = this.changes.then(act);
    this.changes = done.catch(() => {});
    return done;
  }

  /** A folder inside those that adapters may be loaded from, links followed; no name on the hub. */
  private allowedFolder(adapter: string): string {
    const refuse = () =>
      new ServeError(
        400,
        'validation',
        `${adapter} is not in a folder that adapters may be loaded from (adapterFolders)`,
      );
    if (!path.isAbsolute(adapter) && hubModelOf(adapter)) throw refuse();
    const real = (folder: string) => (fs.existsSync(folder) ? fs.realpathSync(folder) : undefined);
    const folder = real(adapter);
    const allowed = this.options.adapterFolders.map(real).filter((one) => one !== undefined);
    const inside = allowed.some((one) => folder === one || folder?.startsWith(one + path.sep));
    if (folder === undefined || !inside) throw refuse();
    return folder;
  }

  private async warmUp(): Promise<void> {
    const { maxBatchTokens } = this.options;
    for (const lane of this.catalog.lanes) await lane.reserve(maxBatchTokens, Math.ceil(maxBatchTokens / 8));
    for (const model of this.catalog.models) {
      await this.run(model, [{ text: 'A first text, before anybody asks.' }], { truncate: true, timeoutMs: 600_000 });
    }
    this.ready = true;
  }

  /** All of one lane. */
  private async runBatch(items: readonly LaneItem[]): Promise<readonly (Float32Array | Error)[]> {
    const lane = this.catalog.laneOf((items[0] as LaneItem).key);
    if (!lane) throw new ServeError(404, 'validation', 'the model was unloaded');
    return await lane.run(items);
  }
}
