/**
 * One file of a repository into the cache: resumed where it
 * was cut off, checked, and seen whole or not at all.
 * Requests are made by client.ts; the folder's layout is that of cache.ts.
 */
import { createHash, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FusedLoraError } from '../../base/errors';
import { makeFolder } from '../folders';
import { openToRead } from '../open';
import { rename } from '../system';
import { insideOf, linkBlob, snapshotFolder } from './cache';
import { checkSignal, HubUnreachable, hubError, hubFetch, reasonOf } from './client';
import { nameOf, type Repository } from './ids';
import type { HubSettings } from './settings';

/**
 * Connections that are cut before a download is given up; each goes on where the last one ended.
 */
const CUTS = 5;

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW = 0 } = fs.constants;
/** Never through a link. */
const APPEND = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW;

/** A file as the hub's listing has it. */
export interface RemoteFile {
  name: string;
  size: number;
  /**
   * SHA-256 of a large file (LFS), git's blob id of a small
   * one: what Python names its content in the cache by.
   */
  etag: string;
}

/**
 * Whether an id is the checksum of a content: what can not be checked is not taken, whoever gives
 * it.
 */
export const isContentId = (etag: unknown): etag is string =>
  typeof etag === 'string' && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(etag);

/** A repository at a commit. */
export interface Place {
  repository: Repository;
  commit: string;
  /** Of the repository in the cache. */
  folder: string;
}

/**
 * @returns the file in the snapshot of the commit.
 * @throws FusedLoraError DOWNLOAD_FAILED, FILE_NOT_FOUND, FILE_NOT_WRITABLE, ABORTED; what was got
 *   so far stays for the next call.
 */
export async function fetchFile(place: Place, file: RemoteFile, settings: HubSettings): Promise<string> {
  const pointer = insideOf(snapshotFolder(place.folder, place.commit), file.name);
  if (fs.existsSync(pointer)) return pointer;
  const blob = insideOf(path.join(place.folder, 'blobs'), file.etag);
  try {
    if (!fs.existsSync(blob)) {
      makeFolder(path.dirname(blob));
      await fetchBlob(blob, place, file, settings);
    }
    linkBlob(blob, pointer);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof FusedLoraError || !/^E[A-Z]+$/.test(code ?? '')) throw error;
    throw new FusedLoraError(
      'FILE_NOT_WRITABLE',
      `${pointer}: can not be written (${code}: ${message}); free some space, or choose another cache (HF_HUB_CACHE, cacheDir)`,
      { cause: error },
    );
  }
  return pointer;
}

async function fetchBlob(blob: string, place: Place, file: RemoteFile, settings: HubSettings): Promise<void> {
  const label = `${nameOf(place.repository)}/${file.name}`;
  const own = claimPartial(blob);
  settings.onNotice(`downloading ${label} (${(file.size / 1e6).toFixed(1)} MB)`);
  try {
    for (let restarted = false; ; restarted = true) {
      await fill(own, place, file, settings);
      const problem = await damageOf(own, file);
      if (problem === undefined) break;
      fs.rmSync(own, { force: true });
      if (restarted) {
        throw new FusedLoraError(
          'DOWNLOAD_FAILED',
          `${label}: ${problem}, twice. The file on the hub, or what a proxy between makes of it, is damaged; try another network or revision.`,
        );
      }
    }
    rename(own, blob);
  } finally {
    // What is left of a download that failed is what the next one goes on from.
    if (fs.existsSync(own)) rename(own, `${blob}.incomplete`);
  }
}

/**
 * A name for this process alone, with what an earlier
 * download left; nobody else goes on writing to it then.
 */
function claimPartial(blob: string): string {
  const shared = `${blob}.incomplete`;
  const own = `${shared}.${process.pid}-${randomUUID()}`;
  const left = fs.readdirSync(path.dirname(blob)).filter((name) => name.startsWith(`${path.basename(shared)}.`));
  const abandoned = left.find((name) => !isRunning(Number(/\.(\d+)-[\w-]+$/.exec(name)?.[1])));
  for (const partial of [shared, ...(abandoned === undefined ? [] : [path.join(path.dirname(blob), abandoned)])]) {
    try {
      rename(partial, own);
      // What is appended to must be a file of this cache.
      if (fs.lstatSync(own).isFile()) return own;
      fs.rmSync(own);
    } catch {
      // Not there, or another process was faster.
    }
  }
  return own;
}

function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid)) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Appends what is missing. */
async function fill(own: string, place: Place, file: RemoteFile, settings: HubSettings): Promise<void> {
  const { downloadFile } = await import('@huggingface/hub');
  const { repository, commit } = place;
  const label = `${nameOf(repository)}/${file.name}`;
  const have = () => fs.statSync(own, { throwIfNoEntry: false })?.size ?? 0;
  if (have() > file.size) fs.rmSync(own);
  if (file.size === 0) fs.closeSync(fs.openSync(own, APPEND));
  let failure: unknown;
  const request = answered(settings, (error) => {
    // The library hands on messages alone.
    failure = error;
  });
  const url = `${settings.endpoint}/${nameOf(repository)}/resolve/${commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;
  let cuts = 0;
  for (let before = have(); before < file.size; before = have()) {
    checkSignal(settings.signal);
    failure = undefined;
    try {
      // Without xet, a file comes by plain requests for ranges: what can be resumed.
      const blob = await downloadFile({
        repo: repository,
        path: file.name,
        fetch: request,
        downloadInfo: { url, size: file.size, etag: file.etag },
        xet: false,
      });
      await pipeline(
        (blob as Blob).slice(before, file.size).stream(),
        fs.createWriteStream(own, { fd: fs.openSync(own, APPEND) }),
      );
      if (have() <= before) throw new Error('the connection ended without data');
    } catch (error) {
      checkSignal(settings.signal);
      const cause = failure ?? error;
      if (cause instanceof FusedLoraError) throw cause;
      if (typeof (cause as { statusCode?: unknown }).statusCode === 'number') {
        throw hubError(cause, repository, file.name, settings);
      }
      if (/^(ENOSPC|EDQUOT|EACCES|EROFS|EIO)$/.test((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
      if (cause instanceof NoRanges) fs.rmSync(own, { force: true });
      // A connection that brought something may be tried for ever.
      cuts = have() > before ? 0 : cuts + 1;
      if (cuts < CUTS) continue;
      throw new HubUnreachable(
        `${label}: the download was cut off ${CUTS} times at ${have()} of ${file.size} bytes (${reasonOf(cause)}). Try again: it goes on from there.`,
        cause,
      );
    }
  }
}

/** The server gives the whole file where a part was asked for. */
class NoRanges extends Error {}

/** {@link hubFetch} that tells of failures, answers of 4xx too. */
function answered(settings: HubSettings, onFailure: (error: unknown) => void): typeof fetch {
  const send = hubFetch(settings);
  return async (input, init) => {
    try {
      const response = await send(input, init);
      if (!response.ok) throw Object.assign(new Error(`answered ${response.status}`), { statusCode: response.status });
      if (response.status === 200 && new Headers(init?.headers).has('Range')) {
        await response.body?.cancel();
        throw new NoRanges('the server gives no parts of files');
      }
      return response;
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
}

/** What is wrong with a whole file: the names of contents are their checksums. */
async function damageOf(own: string, { size, etag }: RemoteFile): Promise<string | undefined> {
  const got = fs.statSync(own, { throwIfNoEntry: false })?.size ?? 0;
  if (got !== size) return `has ${got} of ${size} bytes`;
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  await pipeline(fs.createReadStream(own, { fd: openToRead(own) }), hash);
  const digest = hash.digest('hex');
  return digest === etag ? undefined : `has the checksum ${digest}, not ${etag}`;
}
