/**
 * Options of a server and their defaults. What is served is opened by catalog.ts; the command line
 * is src/cli/serve.ts.
 */
import * as fs from 'node:fs';
import { FusedLoraError } from '../base/errors';
import { checkKeys, positiveInteger } from '../base/options';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import type { DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { HUB_KEYS, type HubOptions } from '../io/hub';
import type { PoolingMode } from '../task/embed/pooling';

/** What a server takes; every option has a default but for what is served. */
export interface ServeOptions extends HubOptions {
  /**
   * The base model: a folder, or its name on the hub. It is served by itself where it has a trained
   * head, or is a folder of sentence-transformers. Default: what the first adapter names.
   */
  model?: string | undefined;
  /** What clients call the base model. Default: the last part of its name. */
  modelName?: string | undefined;
  /** Adapters by the name that clients call them: PEFT folders, or names on the hub. */
  adapters?: Readonly<Record<string, string>> | undefined;
  /** Branch, tag or commit of `model` on the hub. Default: main. */
  revision?: string | undefined;
  /** Serves embeddings of a base that is no folder of sentence-transformers, pooled like this. */
  pooling?: PoolingMode | undefined;
  /** Default auto. */
  device?: DeviceOption | undefined;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption | undefined;
  /** Of the frozen weights of layers: fp32, or int8 codes. On the CPU. Default fp32. */
  baseWeights?: BaseWeights | undefined;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights | undefined;
  /** Most tokens of a batch. Default 4096. */
  maxBatchTokens?: number | undefined;
  /** Most texts of a request. Default 128. */
  maxTexts?: number | undefined;
  /** Most bytes of a request's body. Default 2,000,000. */
  maxBytes?: number | undefined;
  /** Most characters of a text. Default 50,000. */
  maxCharacters?: number | undefined;
  /** Most texts that wait; beyond them answers are 429. Default 2048. */
  maxWaiting?: number | undefined;
  /** After so many milliseconds a request that was not answered is given up. Default 30,000. */
  timeoutMs?: number | undefined;
  /** Whether texts that are too long are cut where a request does not say. Default true. */
  truncate?: boolean | undefined;
  /** What clients must send as `Authorization: Bearer KEY`. Default: nothing. */
  apiKey?: string | undefined;
  /** The same of the routes that load and unload adapters, which are off without it. */
  adminToken?: string | undefined;
  /** Folders that adapters may be loaded from while the server runs. Default: none. */
  adapterFolders?: readonly string[] | undefined;
  /**
   * Names by which clients may address the server (`Host`). Default: of a connection to this
   * machine's own address its own names, else all.
   */
  allowedHosts?: readonly string[] | undefined;
  /** Whether there is a page to try models at /ui. Default true. */
  page?: boolean | undefined;
  /** Told what is opened. */
  onNotice?: ((line: string) => void) | undefined;
}

/** All options, with the defaults of those that have one. */
export type ResolvedOptions = ServeOptions & {
  [K in keyof typeof DEFAULTS]: (typeof DEFAULTS)[K];
} & { adapters: Readonly<Record<string, string>>; adapterFolders: readonly string[] };

/** In the help of the command line too. */
export const DEFAULTS = {
  maxBatchTokens: 4096,
  maxTexts: 128,
  maxBytes: 2_000_000,
  maxCharacters: 50_000,
  maxWaiting: 2048,
  timeoutMs: 30_000,
  truncate: true as boolean,
  page: true as boolean,
};

export const SERVE_KEYS: Record<keyof ServeOptions, true> = {
  ...HUB_KEYS,
  ...{ model: true, modelName: true, adapters: true, revision: true, pooling: true, device: true, precision: true },
  ...{ maxBatchTokens: true, maxTexts: true, maxBytes: true, maxCharacters: true, maxWaiting: true, timeoutMs: true },
  ...{ truncate: true, apiKey: true, adminToken: true, adapterFolders: true, allowedHosts: true, page: true },
  ...{ baseWeights: true, embeddingWeights: true, onNotice: true },
};

const MOST_MS = 2 ** 31 - 1;

/** @throws FusedLoraError INVALID_ARGUMENT; FILE_NOT_FOUND. */
export function resolveOptions(options: ServeOptions): ResolvedOptions {
  checkKeys('createServer', options, SERVE_KEYS);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const resolved = { ...DEFAULTS, adapters: {}, adapterFolders: [], ...given } as ResolvedOptions;
  const { maxBatchTokens, maxTexts, maxBytes, maxCharacters, maxWaiting, timeoutMs } = resolved;
  positiveInteger('createServer', { maxBatchTokens, maxTexts, maxBytes, maxCharacters, maxWaiting, timeoutMs });
  // A timer of more would end at once.
  if (timeoutMs > MOST_MS) {
    throw new FusedLoraError('INVALID_ARGUMENT', `createServer: timeoutMs is ${timeoutMs}; at most ${MOST_MS}`);
  }
  for (const folder of resolved.adapterFolders) {
    if (fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) continue;
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `createServer: ${folder} in adapterFolders (--adapter-folder) is no folder, so no adapter could be loaded from it`,
    );
  }
  for (const name of ['apiKey', 'adminToken'] as const) {
    const secret: unknown = resolved[name];
    if (secret === undefined) continue;
    if (typeof secret === 'string' && secret.trim() === '') {
      throw new FusedLoraError('INVALID_ARGUMENT', `createServer: ${name} is empty; leave it out, or give a secret`);
    }
    // A header carries no others, and drops blanks at its ends.
    if (typeof secret !== 'string' || !/^[!-~]([ -~]*[!-~])?$/.test(secret)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `createServer: ${name} is nothing that clients can send in a header; give a text of printable ASCII without a blank at an end`,
      );
    }
  }
  return resolved;
}
