/** One file of a repository into the cache: resumed where it was cut off, checked, and seen whole or not at all. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { FileDownloadInfoOutput } from '@huggingface/hub';
import { FusedLoraError } from '../../errors';
import { insideOf, linkBlob, snapshotFolder } from './cache';
import { checkSignal, HubUnreachable, hubError, hubFetch, reasonOf } from './client';
import { nameOf, type Repository } from './ids';
import type { HubSettings } from './settings';

/** Connections that are cut before a download is given up; each goes on where the last one ended. */
const CUTS = 5;

/**
 * @param folder of the repository in the cache.
 * @returns the file in the snapshot of the commit.
 * @throws FusedLoraError DOWNLOAD_FAILED, FILE_NOT_FOUND, FILE_NOT_WRITABLE, ABORTED; what was got so far stays for the next call.
 */
export async function fetchFile(
  repository: Repository,
  folder: string,
  commit: string,
  name: string,
  settings: HubSettings,
): Promise<string> {
  const pointer = insideOf(snapshotFolder(folder, commit), name);
  if (fs.existsSync(pointer)) return pointer;
  const { fileDownloadInfo } = await import('@huggingface/hub');
  const where = {
    repo: repository,
    path: name,
    revision: commit,
    hubUrl: settings.endpoint,
    fetch: hubFetch(settings),
  };
  const info = await fileDownloadInfo(where).catch((error: unknown) => {
    throw hubError(error, repository, name, settings);
  });
  if (!info) throw hubError({ statusCode: 404 }, repository, name, settings);
  const etag = info.etag.replace(/^W\//, '').replace(/"/g, '');
  const blob = insideOf(path.join(folder, 'blobs'), etag);
  try {
    if (!fs.existsSync(blob)) {
      fs.mkdirSync(path.dirname(blob), { recursive: true });
      await fetchBlob(blob, etag, info, { repository, name, commit }, settings);
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

interface Target {
  repository: Repository;
  name: string;
  commit: string;
}

async function fetchBlob(
  blob: string,
  etag: string,
  info: FileDownloadInfoOutput,
  target: Target,
  settings: HubSettings,
): Promise<void> {
  const { size } = info;
  const label = `${nameOf(target.repository)}/${target.name}`;
  const own = claimPartial(blob);
  settings.onNotice(`downloading ${label} (${(size / 1e6).toFixed(1)} MB)`);
  try {
    for (let restarted = false; ; restarted = true) {
      await fill(own, info, target, settings);
      const problem = await damageOf(own, size, etag);
      if (problem === undefined) break;
      fs.rmSync(own, { force: true });
      if (restarted) {
        throw new FusedLoraError(
          'DOWNLOAD_FAILED',
          `${label}: ${problem}, twice. The file on the hub or a proxy between is damaged.`,
        );
      }
    }
    fs.renameSync(own, blob);
  } finally {
    // What is left of a download that failed is what the next one goes on from.
    if (fs.existsSync(own)) fs.renameSync(own, `${blob}.incomplete`);
  }
}

let counter = 0;

/** A name for this process alone, with what an earlier download left; nobody else goes on writing to it then. */
function claimPartial(blob: string): string {
  const shared = `${blob}.incomplete`;
  const own = `${shared}.${process.pid}-${++counter}`;
  const left = fs.readdirSync(path.dirname(blob)).filter((name) => name.startsWith(`${path.basename(shared)}.`));
  const abandoned = left.find((name) => !isRunning(Number(/\.(\d+)-\d+$/.exec(name)?.[1])));
  for (const partial of [shared, ...(abandoned === undefined ? [] : [path.join(path.dirname(blob), abandoned)])]) {
    try {
      fs.renameSync(partial, own);
      return own;
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
async function fill(file: string, info: FileDownloadInfoOutput, target: Target, settings: HubSettings): Promise<void> {
  const { downloadFile } = await import('@huggingface/hub');
  const { repository, name, commit } = target;
  const have = () => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (have() > info.size) fs.rmSync(file);
  let failure: unknown;
  const request: typeof fetch = async (input, init) => {
    try {
      const response = await hubFetch(settings)(input, init);
      if (new Headers(init?.headers).has('Range') && response.status === 200) {
        // All of the file in place of the rest: begin anew rather than append it.
        fs.rmSync(file, { force: true });
        throw new Error('the server does not give parts of files');
      }
      return response;
    } catch (error) {
      // The library hands on messages alone.
      failure = error;
      throw error;
    }
  };
  for (let cuts = 0, before = have(); before < info.size; before = have()) {
    checkSignal(settings.signal);
    failure = undefined;
    try {
      // Without xet, a file comes by plain requests for ranges: what can be resumed.
      const where = { repo: repository, path: name, revision: commit, hubUrl: settings.endpoint };
      const blob = await downloadFile({ ...where, fetch: request, downloadInfo: info, xet: false });
      await pipeline((blob as Blob).slice(before, info.size).stream(), fs.createWriteStream(file, { flags: 'a' }));
      if (have() <= before) throw new Error('the connection ended without data');
    } catch (error) {
      checkSignal(settings.signal);
      const cause = failure ?? error;
      if (cause instanceof FusedLoraError || typeof (cause as { statusCode?: unknown }).statusCode === 'number') {
        throw hubError(cause, repository, name, settings);
      }
      if (/^(ENOSPC|EDQUOT|EACCES|EROFS|EIO)$/.test((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
      // A connection that brought something may be tried for ever.
      cuts = have() > before ? 0 : cuts + 1;
      if (cuts < CUTS) continue;
      throw new HubUnreachable(
        `${nameOf(repository)}/${name}: the download was cut off ${CUTS} times at ${have()} of ${info.size} bytes (${reasonOf(typeof cause === 'string' ? new Error(cause) : cause)}). ` +
          'Try again: it goes on from there.',
        cause,
      );
    }
  }
}

/** What is wrong with a whole file: the names of contents are their checksums, SHA-256 of large files, git's of small ones. */
async function damageOf(file: string, size: number, etag: string): Promise<string | undefined> {
  const got = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (got === 0 && size === 0) fs.writeFileSync(file, '');
  if (got !== size) return `has ${got} of ${size} bytes`;
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return undefined;
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  await pipeline(fs.createReadStream(file), hash);
  const digest = hash.digest('hex');
  return digest === etag ? undefined : `has the checksum ${digest}, not ${etag}`;
}
