/**
 * Files that are seen whole or not at all: written under a temporary name, synced, then renamed.
 * Folders that are missing are made by folders.ts; what systems do differently is in system.ts.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { makeFolder } from './folders';
import { rename, syncFile, syncFolder } from './system';

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

/** A name beside `target` that nobody can guess and put a link under. */
export function temporaryName(target: string): string {
  // Shortened: names may have 255 bytes.
  return path.join(path.dirname(target), `.${path.basename(target).slice(0, 40)}.tmp-${randomUUID()}`);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  // One write call takes less than 2 GiB.
  const most = 1 << 30;
  for (let done = 0; done < bytes.byteLength; ) {
    done += fs.writeSync(fd, bytes, done, Math.min(most, bytes.byteLength - done));
  }
}

/** Of writers. */
export interface WriteOptions {
  /**
   * Whether the file belongs to a folder of ours, such as that of a run: what lies there under its
   * name, a link too, is replaced. Default false: the user named the file, so a link is followed,
   * and a device or pipe written directly.
   */
  own?: boolean | undefined;
}

/**
 * A file that is written piece by piece and appears whole, or not at all: the bytes go to a new
 * file in the same folder, which takes the name at the end.
 */
export class AtomicFile {
  private readonly fd: number;
  /** Undefined where it is written directly. */
  private readonly temporary: string | undefined;
  private readonly real: string;
  private open = true;

  /** @throws FusedLoraError FILE_NOT_WRITABLE naming the path; nothing is left behind then. */
  constructor(
    private readonly target: string,
    { own = false }: WriteOptions = {},
  ) {
    try {
      const existing = own
        ? fs.lstatSync(target, { throwIfNoEntry: false })
        : fs.statSync(target, { throwIfNoEntry: false });
      if (existing?.isDirectory()) throw Object.assign(new Error('is a folder'), { code: 'EISDIR' });
      const direct = !own && existing !== undefined && !existing.isFile();
      this.real = existing && !own ? fs.realpathSync(target) : path.resolve(target);
      this.temporary = direct ? undefined : temporaryName(this.real);
      this.fd = fs.openSync(this.temporary ?? target, direct ? 'w' : 'wx');
    } catch (error) {
      throw notWritable(target, error);
    }
  }

  write(bytes: Uint8Array): void {
    this.guarded(() => writeAll(this.fd, bytes));
  }

  /** Gives the file its name. */
  finish(): void {
    this.guarded(() => {
      if (this.temporary === undefined) return this.close();
      fs.fsyncSync(this.fd);
      this.close();
      rename(this.temporary, this.real);
      syncFolder(path.dirname(this.real));
    });
  }

  /** Leaves nothing behind; nothing is done after {@link finish}. */
  discard(): void {
    this.close();
    if (this.temporary !== undefined) fs.rmSync(this.temporary, { force: true });
  }

  private close(): void {
    if (this.open) fs.closeSync(this.fd);
    this.open = false;
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      throw notWritable(this.target, error);
    }
  }
}

/**
 * Writes a file whose bytes come piece by piece. Readers see the old file or the whole new one,
 * never a part: see {@link AtomicFile}.
 *
 * @throws FusedLoraError FILE_NOT_WRITABLE naming the path.
 *   Whatever `fill` throws leaves no file behind.
 */
export function writeFileAtomicWith(target: string, fill: (sink: ByteSink) => void, options: WriteOptions = {}): void {
  const file = new AtomicFile(target, options);
  try {
    fill((bytes) => file.write(bytes));
    file.finish();
  } finally {
    file.discard();
  }
}

/** {@link writeFileAtomicWith} for bytes or text (UTF-8) that are at hand. */
export function writeFileAtomic(target: string, content: Uint8Array | string, options: WriteOptions = {}): void {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  writeFileAtomicWith(target, (sink) => sink(bytes), options);
}

/** Appends a line to a file that the user named. @throws FusedLoraError FILE_NOT_WRITABLE. */
export function appendLine(file: string, line: string): void {
  try {
    fs.appendFileSync(file, `${line}\n`);
  } catch (error) {
    throw notWritable(file, error);
  }
}

/**
 * Appends a line to a file of a folder of ours, such as a run's log. A link of that name is never
 * followed.
 *
 * @param first whether it is the first line of this process: what is no file there goes, and a line
 * that a killed process left half is ended.
 * @throws FusedLoraError FILE_NOT_WRITABLE.
 */
export function appendOwnLine(file: string, line: string, first = false): void {
  try {
    const found = fs.lstatSync(file, { throwIfNoEntry: false });
    if (first && found && !found.isFile()) fs.rmSync(file);
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW = 0 } = fs.constants;
    const fd = fs.openSync(file, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o666);
    try {
      const { size } = fs.fstatSync(fd);
      const last = Buffer.alloc(1);
      const isHalf = first && size > 0 && fs.readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 10;
      writeAll(fd, Buffer.from(`${isHalf ? '\n' : ''}${line}\n`));
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw notWritable(file, error);
  }
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
 * @param options `own: true` replaces a link of the folder's name in place of following it.
 * @throws FusedLoraError FILE_NOT_WRITABLE. Whatever `fill` throws leaves the folder as it was.
 */
export function writeFolderAtomic(
  target: string,
  fill: (folder: string) => void,
  obsolete: (name: string) => boolean = () => false,
  { own = false }: WriteOptions = {},
): void {
  // A symbolic link or `.` must lead to the folder itself, for renaming needs its parent.
  let folder = path.resolve(target);
  let temporary: string | undefined;
  try {
    makeFolder(path.dirname(folder));
    if (own && fs.lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) fs.unlinkSync(folder);
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
    for (const file of files) syncFile(path.join(temporary, file));
    if (exists) {
      for (const file of files) {
        const to = path.join(folder, file);
        makeFolder(path.dirname(to));
        rename(path.join(temporary, file), to);
      }
      for (const old of fs.readdirSync(folder)) {
        if (obsolete(old) && !files.includes(old)) fs.rmSync(path.join(folder, old), { force: true });
      }
    } else {
      syncFolder(temporary);
      rename(temporary, folder);
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
