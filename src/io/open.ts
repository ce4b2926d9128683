/**
 * The one way in for files: everything that reads a file of a user or of a folder opens it here.
 * Regular files alone, so that a pipe or device can not hold the process, and with `inFolder` none
 * that a link brings from elsewhere. JSON: json.ts; tensors: safetensors.ts; writing: atomic.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type ErrorCode, FusedLoraError } from '../base/errors';

/** Of {@link openToRead}. */
export interface OpenOptions {
  /**
   * Whether the folder vouches for the file: a link in it may lead to another file of the folder,
   * or to a blob of the hub's cache, and nowhere else. Default false: the user named the file.
   */
  inFolder?: boolean | undefined;
  /** What the user knows it as. Default: the path. */
  name?: string | undefined;
  /** The sentence at the end of the error. */
  remedy?: string | undefined;
  /** Default FILE_NOT_FOUND. */
  code?: ErrorCode | undefined;
  /** Most bytes that the file may have. Default: any number. */
  maxBytes?: number | undefined;
}

function kindOf(stat: fs.Stats): string {
  if (stat.isFIFO()) return 'a pipe';
  if (stat.isSocket()) return 'a socket';
  if (stat.isDirectory()) return 'a folder';
  return 'a device';
}

/** Whether `target` is content of the cache that the snapshot `folder` belongs to. */
function isBlob(folder: string, target: string): boolean {
  const repository = /^(.*)[\\/]snapshots[\\/][^\\/]+(?:[\\/].*)?$/.exec(folder)?.[1];
  if (repository === undefined || path.dirname(target) !== path.join(repository, 'blobs')) return false;
  return /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(path.basename(target));
}

/** Where a link leads that leaves the folder of a file; undefined where it stays. */
function leavingLink(file: string): string | undefined {
  const folder = fs.realpathSync(path.dirname(file));
  const target = fs.realpathSync(file);
  const inside = path.relative(folder, target);
  const stays = inside !== '' && inside.split(path.sep)[0] !== '..' && !path.isAbsolute(inside);
  return stays || isBlob(folder, target) ? undefined : target;
}

/**
 * Opens a file to be read.
 *
 * @returns a descriptor that the caller closes.
 * @throws FusedLoraError FILE_NOT_FOUND (or `code`) naming the file: it is missing, can not be
 * read, is no regular file, or is a link that leaves its folder. Nothing was read then.
 */
export function openToRead(file: string, options: OpenOptions = {}): number {
  const { inFolder = false, name = file, remedy, code = 'FILE_NOT_FOUND', maxBytes } = options;
  const fail = (problem: string, remedy: string, cause?: unknown) =>
    new FusedLoraError(code, `${name}: ${problem}. ${remedy}`, { cause });
  const special = (stat: fs.Stats) =>
    fail(`is ${kindOf(stat)}, not a file, and nothing was read from it`, remedy ?? 'Give a file.');
  let fd: number | undefined;
  try {
    // Asked before it is opened: to open a pipe or a device may already do something.
    const found = fs.statSync(file);
    if (!found.isFile()) throw special(found);
    const target = inFolder ? leavingLink(file) : undefined;
    if (target !== undefined) {
      throw fail(
        `is a link to ${target}, which is outside of its folder`,
        'Nothing was read from it. Put the file itself there if you trust it.',
      );
    }
    // Without waiting, should it have become a pipe since.
    fd = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw special(stat);
    if (maxBytes !== undefined && stat.size > maxBytes) {
      throw fail(`has ${stat.size} bytes; ${maxBytes} is the limit for such a file`, 'Is it the right one?');
    }
    return fd;
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd);
    if (error instanceof FusedLoraError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    const folder = path.dirname(file);
    const missing = reason === 'ENOENT' && !fs.existsSync(folder) ? `there is no folder ${folder}` : reason;
    throw fail(`can not be read (${missing})`, remedy ?? 'Check the path and permissions.', error);
  }
}

/** {@link openToRead} for streams and places that are read in any order. */
export async function openHandle(file: string, options: OpenOptions = {}): Promise<fs.promises.FileHandle> {
  // A handle can not be made of a descriptor, so the file is opened twice, and looked at again.
  fs.closeSync(openToRead(file, options));
  const handle = await fs.promises.open(file, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  const { name = file, code = 'FILE_NOT_FOUND' } = options;
  throw new FusedLoraError(code, `${name}: is no file any more. Give a file.`);
}

/** The bytes of a whole file: see {@link openToRead}. */
export function readWhole(file: string, options: OpenOptions = {}): Buffer {
  const fd = openToRead(file, options);
  try {
    return fs.readFileSync(fd);
  } catch (error) {
    const { name = file, code = 'FILE_NOT_FOUND', remedy = 'Check the path and permissions.' } = options;
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new FusedLoraError(code, `${name}: can not be read (${reason}). ${remedy}`, { cause: error });
  } finally {
    fs.closeSync(fd);
  }
}
