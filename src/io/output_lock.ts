/**
 * One run a folder at a time: two would mix their logs and remove each other's checkpoints.
 * src/train/output.ts takes the lock; this file knows processes and files, and nothing of training.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { notWritable } from './atomic';
import { isJsonObject, type JsonObject } from './json';

const LOCK = '.lock';

/**
 * When a process began, in the system's own clock ticks; undefined where /proc does not tell. With
 * it a process number that came round again is not taken for the run that had it before.
 */
function beginOf(pid: number): string | undefined {
  try {
    // The command's name, in parentheses, may hold blanks.
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Whether the run that wrote a lock goes on. Of another machine (a container that is gone, say)
 * nobody can tell: its lock does not count.
 */
function isHeld({ pid, begin, host }: JsonObject): boolean {
  if (host !== os.hostname() || typeof pid !== 'number' || !isAlive(pid)) return false;
  return begin === undefined || begin === beginOf(pid);
}

export class OutputLock {
  private constructor(
    private readonly file: string,
    private readonly content: string,
    private readonly isNew: boolean,
  ) {}

  /**
   * Takes the folder for this run; the lock of a run that was killed is taken over.
   *
   * @param isNew whether the folder was made for this run:
   *   when nothing is in it at the end, it goes.
   * @throws FusedLoraError BUSY when another run of this machine writes there; FILE_NOT_WRITABLE.
   */
  static take(dir: string, isNew = false): OutputLock {
    const file = path.join(dir, LOCK);
    const { pid } = process;
    const content = `${JSON.stringify({ pid, begin: beginOf(pid), host: os.hostname(), time: new Date().toISOString() })}\n`;
    for (let tries = 0; ; tries++) {
      try {
        writeNew(file, content);
        return new OutputLock(file, content, isNew);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw notWritable(dir, cause);
        const found = read(file);
        if (tries === 3 || (found.json && isHeld(found.json))) {
          throw new FusedLoraError(
            'BUSY',
            `another run (process ${String(found.json?.['pid'])}) writes to ${dir}. Wait for it, or choose another folder. If there is no such run, ` +
              `remove ${file}.`,
          );
        }
        takeAway(file, found.text);
      }
    }
  }

  /** Lets other runs into the folder. */
  release(): void {
    if (read(this.file).text !== this.content) return;
    fs.rmSync(this.file, { force: true });
    if (!this.isNew) return;
    try {
      fs.rmdirSync(path.dirname(this.file));
    } catch {
      // It holds the run.
    }
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Makes a file that is not there with its content at once: nobody finds it empty. */
function writeNew(file: string, content: string): void {
  const whole = `${file}.${process.pid}.new`;
  try {
    fs.writeFileSync(whole, content);
    fs.linkSync(whole, file);
  } catch (error) {
    // File systems without links.
    if (!/^(EPERM|ENOSYS|ENOTSUP|EOPNOTSUPP|EMLINK)$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error;
    fs.writeFileSync(file, content, { flag: 'wx' });
  } finally {
    fs.rmSync(whole, { force: true });
  }
}

function read(file: string): { text: string | undefined; json: JsonObject | undefined } {
  let text: string | undefined;
  try {
    text = fs.readFileSync(file, 'utf8');
    const json: unknown = JSON.parse(text);
    return { text, json: isJsonObject(json) ? json : undefined };
  } catch {
    return { text, json: undefined };
  }
}

/**
 * Removes the lock of a dead run. Of two runs that do so at once,
 * one finds the other's new lock in its hand, and puts it back.
 */
function takeAway(file: string, text: string | undefined): void {
  const aside = `${file}.${process.pid}`;
  try {
    fs.renameSync(file, aside);
    if (read(aside).text !== text) fs.linkSync(aside, file);
  } catch {
    // It was taken away by another, or there is a newer one.
  } finally {
    fs.rmSync(aside, { force: true });
  }
}
