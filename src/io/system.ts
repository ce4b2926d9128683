/**
 * What systems do in ways of their own with files: making them durable, renaming them. Windows
 * syncs only what is open to be written, and renames no file that another program has open, if only
 * for the moment of a virus scan. On macOS, Node's fsync asks the disk too (F_FULLFSYNC).
 * Files that appear whole or not at all: atomic.ts.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';

/** How long a rename may wait for another program, in milliseconds. */
const PATIENCE = 500;

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Makes the bytes of a file durable. */
export function syncFile(file: string): void {
  const fd = fs.openSync(file, 'r+');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Makes the entries of a folder durable. Windows syncs no folder, and some systems can not open
 * one; there the rename alone has to do.
 */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
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

/** Gives a file or folder another name, which another file may have had. */
export function rename(from: string, to: string): void {
  if (process.platform === 'win32') renameOnWindows(from, to);
  else fs.renameSync(from, to);
}

function renameOnWindows(from: string, to: string): void {
  const began = Date.now();
  for (let wait = 5; ; wait *= 2) {
    try {
      fs.renameSync(from, to);
      return;
    } catch (error) {
      if (!/^(EPERM|EACCES|EBUSY)$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error;
      if (Date.now() - began > PATIENCE) {
        if (replaceOpen(from, to)) return;
        throw error;
      }
      pause(wait);
    }
  }
}

/**
 * A file that this process has open, such as the weights of a model that is saved over itself, can
 * not be replaced, but it can go aside: it is gone when it is closed.
 */
function replaceOpen(from: string, to: string): boolean {
  const aside = `${to}.replaced-${randomUUID()}`;
  try {
    if (!fs.statSync(to).isFile()) return false;
    fs.renameSync(to, aside);
  } catch {
    return false;
  }
  try {
    fs.renameSync(from, to);
  } catch {
    fs.renameSync(aside, to);
    return false;
  }
  try {
    fs.rmSync(aside, { force: true });
  } catch {
    // Another program holds it. The new file has its name all the same.
  }
  return true;
}
