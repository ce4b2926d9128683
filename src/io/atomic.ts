/**
 * Files that are seen whole or not at all: written under a temporary name, synced, then renamed.
 * Folders that are missing are made by folders.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { makeFolder } from './folders';

/** Takes the bytes of a file piece by piece. */
export type ByteSink = (bytes: Uint8Array) => void;

const REMEDY: Record<string, string> = {
  EACCES: 'you have no permission to write there; choose another place or change the permissions',
  EPERM: 'you have no permission to write there; choose another place or change the permissions',
  EROFS: 'the file system is read-only; choose another place',
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'your disk quota is used up; free some space',
  ENOENT: 'its folder does not exist; create it first, or choose another place',
  ENOTDIR: 'a part of the path is a file, not a folder; choose another place',
  EEXIST: 'a part of the path is a file, not a folder; choose another place',
  EISDIR: 'it is a folder; give the path of a file',
  ENAMETOOLONG: 'the name is too long; choose a shorter one',
};

/** Turns a system error of a write into FILE_NOT_WRITABLE; other errors pass unchanged. */
export function notWritable(target: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (error instanceof FusedLoraError || typeof code !== 'string') return error;
  const remedy = REMEDY[code] ?? 'choose another place';
  return new FusedLoraError('FILE_NOT_WRITABLE', `${target}: can not be written (${code}): ${remedy}.`, {
    cause: error,
  });
}

/**
 * Makes the entries of a folder durable. Some systems can
 * not open folders; there the rename alone has to do.
 */
function syncFolder(folder: string): void {
  let fd: number;
  try {
    fd = fs.openSync(folder, 'r');
  } catch {
    return;
  }
  try {
    fs.fsyncSync(fd);
  } catch {
    // Network file systems may refuse fsync on a folder.
  } finally {
    fs.closeSync(fd);
  }
}

let counter = 0;

function temporaryName(target: string): string {
  counter += 1;
  return path.join(path.dirname(target), `.${path.basename(target)}.tmp-${process.pid}-${counter}`);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  // One write call takes less than 2 GiB.
  const most = 1 << 30;
  for (let done = 0; done < bytes.byteLength; ) {
    done += fs.writeSync(fd, bytes, done, Math.min(most, bytes.byteLength - done));
  }
}

function writeSynced(file: string, fill: (sink: ByteSink) => void): void {
  const fd = fs.openSync(file, 'wx');
  try {
    fill((bytes) => writeAll(fd, bytes));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Writes a file whose bytes come piece by piece. Readers see the old file or the whole new one,
 * never a part: the bytes go to a temporary name in the same folder, are synced, and the name is
 * changed at the end. A symbolic link is followed; a device or pipe is written directly.
 *
 * @throws FusedLoraError FILE_NOT_WRITABLE naming the path.
 *   Whatever `fill` throws leaves no file behind.
 */
export function writeFileAtomicWith(target: string, fill: (sink: ByteSink) => void): void {
  let temporary: string | undefined;
  try {
    const existing = fs.statSync(target, { throwIfNoEntry: false });
    if (existing?.isDirectory()) throw Object.assign(new Error('is a folder'), { code: 'EISDIR' });
    if (existing && !existing.isFile()) {
      const fd = fs.openSync(target, 'w');
      try {
        fill((bytes) => writeAll(fd, bytes));
      } finally {
        fs.closeSync(fd);
      }
      return;
    }
    const real = existing ? fs.realpathSync(target) : target;
    temporary = temporaryName(real);
    writeSynced(temporary, fill);
    fs.renameSync(temporary, real);
    temporary = undefined;
    syncFolder(path.dirname(real));
  } catch (error) {
    throw notWritable(target, error);
  } finally {
    if (temporary !== undefined) fs.rmSync(temporary, { force: true });
  }
}

/** {@link writeFileAtomicWith} for bytes or text (UTF-8) that are at hand. */
export function writeFileAtomic(target: string, content: Uint8Array | string): void {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  writeFileAtomicWith(target, (sink) => sink(bytes));
}

function listFiles(folder: string, prefix = ''): string[] {
  return fs.readdirSync(path.join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(prefix, entry.name);
    return entry.isDirectory() ? listFiles(folder, name) : [name];
  });
}

/**
 * Writes a folder so that nobody sees it half-written: `fill` writes
 * into a temporary folder, which then takes the folder's name.
 *
 * A folder that exists keeps the files that `fill` did not write: each new file replaces its
 * namesake by a rename of its own, in the order of their names. Missing parent folders are created.
 *
 * @param obsolete names of files (relative to the folder) that must not survive beside the new
 *   ones, e.g. shards of an older save.
 * @throws FusedLoraError FILE_NOT_WRITABLE. Whatever `fill` throws leaves the folder as it was.
 */
export function writeFolderAtomic(
  target: string,
  fill: (folder: string) => void,
  obsolete: (name: string) => boolean = () => false,
): void {
  // A symbolic link or `.` must lead to the folder itself, for renaming needs its parent.
  let folder = path.resolve(target);
  let temporary: string | undefined;
  try {
    makeFolder(path.dirname(folder));
    const exists = fs.statSync(folder, { throwIfNoEntry: false });
    if (exists && !exists.isDirectory()) throw Object.assign(new Error('is a file'), { code: 'ENOTDIR' });
    if (exists) folder = fs.realpathSync(folder);
    // A new folder is filled beside its place and takes its name. An existing
    // one (it may be somebody's working directory) is kept and filled from
    // inside, where the file system and the permissions are its own.
    temporary = temporaryName(exists ? path.join(folder, 'save') : folder);
    fs.mkdirSync(temporary);
    fill(temporary);
    const files = listFiles(temporary).sort();
    for (const file of files) {
      const fd = fs.openSync(path.join(temporary, file), 'r');
      fs.fsyncSync(fd);
      fs.closeSync(fd);
    }
    if (exists) {
      for (const file of files) {
        const to = path.join(folder, file);
        makeFolder(path.dirname(to));
        fs.renameSync(path.join(temporary, file), to);
      }
      for (const old of fs.readdirSync(folder)) {
        if (obsolete(old) && !files.includes(old)) fs.rmSync(path.join(folder, old), { force: true });
      }
    } else {
      syncFolder(temporary);
      fs.renameSync(temporary, folder);
      temporary = undefined;
      syncFolder(path.dirname(folder));
    }
    syncFolder(folder);
  } catch (error) {
    throw notWritable(target, error);
  } finally {
    if (temporary !== undefined) fs.rmSync(temporary, { recursive: true, force: true });
  }
}
