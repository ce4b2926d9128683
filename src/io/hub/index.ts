/**
 * Models and data sets by name: a folder or file on this machine, from the cache or downloaded
 * first.
 * Names are read by ids.ts, options and environment by settings.ts, downloads made by download.ts.
 */
import * as path from 'node:path';
import picomatch from 'picomatch';
import { FusedLoraError } from '../../base/errors';
import { listNames, nearNames } from '../../base/near';
import { shown } from '../../base/shown';
import { isJsonObject, readJsonObject } from '../json';
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  CONFIG,
  OTHER_WEIGHTS,
  otherFormatProblem,
  SETTINGS,
  TOKENIZER_FILES,
  WEIGHTS,
  WEIGHTS_INDEX,
} from '../model_files';
import { cachedCommit, cachedFiles, isCommit, rememberCommit, repositoryFolder, snapshotFolder } from './cache';
import { HubUnreachable, hubError, hubFetch } from './client';
import { fetchFile, isContentId, type RemoteFile } from './download';
import { nameOf, parseHubUrl, type Repository } from './ids';
import { type HubOptions, type HubSettings, hubSettings } from './settings';

export { hubModelOf, isHubUrl } from './ids';
export { HUB_KEYS, type HubOptions, hubSettings } from './settings';

/** Of downloads. */
export interface FetchOptions extends HubOptions {
  signal?: AbortSignal | undefined;
  /** Told what is downloaded. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Of {@link fetchModel}. */
export interface FetchModelOptions extends FetchOptions {
  /** A branch, tag or commit. Default: main. */
  revision?: string | undefined;
  /**
   * The file that names what is asked for, where it was not the user.
   * @internal
   */
  namedBy?: string | undefined;
  /** The files of the tokenizer alone. */
  tokenizerOnly?: boolean;
}

/** A repository at a commit, online or in the cache. */
interface Snapshot {
  repository: Repository;
  folder: string;
  commit: string;
  /** Paths of its files. */
  files: readonly string[];
  /** The file here. */
  fetch(name: string): Promise<string>;
}

/** A snapshot of what was downloaded before. */
function openCached(repository: Repository, revision: string, settings: HubSettings): Snapshot {
  const folder = repositoryFolder(settings.cacheDir, repository);
  const commit = cachedCommit(folder, revision);
  const snapshot = commit === undefined ? undefined : snapshotFolder(folder, commit);
  const files = snapshot === undefined ? [] : cachedFiles(snapshot);
  if (commit === undefined || snapshot === undefined || files.length === 0) {
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${nameOf(repository)}: its revision ${revision} is not in the cache ${settings.cacheDir}, and HF_HUB_OFFLINE (offline) keeps from downloading it. Go ` +
        'online once, or choose the cache that has it (HF_HUB_CACHE, cacheDir).',
    );
  }
  const fetch = async (name: string) => {
    if (files.includes(name)) return path.join(snapshot, name);
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${nameOf(repository)}: ${name} is not among what the cache has of its revision ${revision} (${listNames(files)}), and HF_HUB_OFFLINE (offline) keeps ` +
        'from downloading it. Go online once.',
    );
  };
  return { repository, folder, commit, files, fetch };
}

async function openOnline(repository: Repository, revision: string, settings: HubSettings): Promise<Snapshot> {
  const { datasetInfo, listFiles, modelInfo } = await import('@huggingface/hub');
  const folder = repositoryFolder(settings.cacheDir, repository);
  const where = { hubUrl: settings.endpoint, fetch: hubFetch(settings) };
  const files = new Map<string, RemoteFile>();
  let commit = revision;
  try {
    if (!isCommit(revision)) {
      const query = { ...where, name: repository.name, revision };
      commit =
        repository.type === 'model'
          ? (await modelInfo({ ...query, additionalFields: ['sha'] })).sha
          : (await datasetInfo({ ...query, additionalFields: ['sha'] })).sha;
      if (!isCommit(commit)) throw new Error(`the commit is ${JSON.stringify(commit)}`);
    }
    for await (const entry of listFiles({ ...where, repo: repository, revision: commit, recursive: true })) {
      if (entry.type !== 'file') continue;
      const { path: name, size, oid, lfs } = entry;
      const etag = lfs?.oid ?? oid;
      if (!isContentId(etag) || !Number.isSafeInteger(size) || size < 0) {
        throw new Error(`${name} has the size ${shown(size)} and the id ${shown(etag)}, which is no checksum`);
      }
      files.set(name, { name, size, etag });
    }
  } catch (error) {
    throw hubError(error, repository, `revision ${revision}`, settings);
  }
  rememberCommit(folder, revision, commit);
  const place = { repository, folder, commit };
  const fetch = async (name: string) => {
    const file = files.get(name);
    if (!file) throw hubError({ statusCode: 404 }, repository, name, settings);
    return fetchFile(place, file, settings);
  };
  return { ...place, files: [...files.keys()], fetch };
}

async function open(repository: Repository, revision: string, settings: HubSettings): Promise<Snapshot> {
  if (settings.offline) return openCached(repository, revision, settings);
  try {
    return await openOnline(repository, revision, settings);
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    let cached: Snapshot;
    try {
      cached = openCached(repository, revision, settings);
    } catch {
      throw error;
    }
    settings.onNotice(
      `${nameOf(repository)}: ${settings.endpoint} can not be reached; using what was downloaded before (${cached.commit})`,
    );
    return cached;
  }
}

/**
 * Downloads a model, or a PEFT adapter, of the hub into the cache that Python shares: the
 * configuration, the tokenizer, and weights as safetensors.
 *
 * @param name `roberta-base`, `owner/name`.
 * @returns the folder.
 * @throws FusedLoraError FILE_NOT_FOUND for what the hub (offline: the cache) does not have;
 * DOWNLOAD_FAILED; INVALID_CHECKPOINT for a model without safetensors, with the way to convert it;
 * ABORTED, FILE_NOT_WRITABLE. What was downloaded stays for the next call.
 */
export async function fetchModel(name: string, options: FetchModelOptions = {}): Promise<string> {
  const settings = hubSettings(options);
  const repository: Repository = { type: 'model', name };
  const snapshot = await open(repository, options.revision ?? 'main', settings);
  const has = (file: string) => snapshot.files.includes(file);
  const isAdapter = has(ADAPTER_CONFIG) && !has(CONFIG);
  const tokenizer = TOKENIZER_FILES.filter(
    (file) => has(file) && !(has('tokenizer.json') && /^(vocab|merges)\./.test(file)),
  );
  const wanted: string[] = [...tokenizer];
  if (!options.tokenizerOnly) {
    wanted.push(isAdapter ? ADAPTER_CONFIG : CONFIG, ...(has(SETTINGS) ? [SETTINGS] : []));
    const weights = isAdapter ? [ADAPTER_WEIGHTS] : [WEIGHTS, WEIGHTS_INDEX];
    const found = weights.find(has);
    if (found === undefined) throw noWeights(snapshot, weights);
    wanted.push(found);
  }
  for (const file of wanted) await snapshot.fetch(file);
  const folder = snapshotFolder(snapshot.folder, snapshot.commit);
  if (wanted.includes(WEIGHTS_INDEX)) {
    for (const shard of shardsOf(path.join(folder, WEIGHTS_INDEX))) await snapshot.fetch(shard);
  }
  return folder;
}

function noWeights({ repository, files }: Snapshot, weights: readonly string[]): FusedLoraError {
  const other = OTHER_WEIGHTS.find((file) => files.includes(file));
  if (other) return new FusedLoraError('INVALID_CHECKPOINT', otherFormatProblem(repository.name, other));
  return new FusedLoraError(
    'INVALID_CHECKPOINT',
    `${repository.name}: holds no ${weights.join(' or ')}; it has ${listNames(files)}. Is it a model of transformers or PEFT?`,
  );
}

/** Shards that an index names. What is wrong with it is told when the folder is opened. */
function shardsOf(index: string): string[] {
  const { weight_map: map } = readJsonObject(index, 'to find the shards of the model', 'INVALID_CHECKPOINT', {
    inFolder: true,
  });
  const shards = isJsonObject(map) ? Object.values(map) : [];
  return [
    ...new Set(shards.filter((shard) => typeof shard === 'string' && /^[^/\\]+\.safetensors$/.test(shard))),
  ] as string[];
}

/**
 * Downloads data files of the hub into the cache that Python shares.
 *
 * @param url `hf://datasets/owner/name[@revision]/path` of a file, a folder or a glob.
 * @param isData tells data files of a folder by name.
 * @returns the files by name, with their addresses.
 * @throws FusedLoraError as {@link fetchModel}; FILE_NOT_FOUND for a path that is not there.
 */
export async function fetchDataFiles(
  url: string,
  isData: (name: string) => boolean,
  options: FetchOptions = {},
): Promise<{ path: string; name: string }[]> {
  const { repository, revision = 'main', path: wanted } = parseHubUrl(url);
  const snapshot = await open(repository, revision, hubSettings(options));
  const names = filesAt(snapshot.files, wanted, isData).sort();
  if (names.length === 0) {
    const data = snapshot.files.filter(isData);
    const [near] = nearNames(wanted, data, 1);
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${url}: there is no such data file, folder or glob${wanted !== '' && near !== undefined ? `; was "${near}" meant?` : '.'} The repository has ` +
        `${data.length > 0 ? listNames(data) : `no .csv, .tsv, .jsonl or .parquet (${listNames(snapshot.files)})`}.`,
    );
  }
  const prefix = `hf://${nameOf(repository)}${revision === 'main' ? '' : `@${encodeURIComponent(revision)}`}`;
  const files: { path: string; name: string }[] = [];
  for (const name of names) files.push({ path: await snapshot.fetch(name), name: `${prefix}/${name}` });
  return files;
}

/** What a path names: a file, data files below a folder (empty: all), or what a glob matches. */
function filesAt(files: readonly string[], wanted: string, isData: (name: string) => boolean): string[] {
  if (files.includes(wanted)) return [wanted];
  const inside = files.filter((name) => (wanted === '' || name.startsWith(`${wanted}/`)) && isData(name));
  if (inside.length > 0 || !/[*?[\]{}!]/.test(wanted)) return inside;
  const matches = picomatch(wanted);
  return files.filter((name) => matches(name));
}
