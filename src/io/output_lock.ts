/**
 * One run a folder at a time: two would mix their logs and remove each other's checkpoints.
 * src/train/output.ts takes the lock; this file knows processes and files, and nothing of training.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { notWritable, temporaryName } from './atomic';
import { isJsonObject, type JsonObject } from './json';
import { readWhole } from './open';
import { rename } from './system';

const LOCK = '.lock';
/** Of a lock: far more than this version writes. */
const MOST_BYTES = 10_000;

/**
 * The system's number of this thread, which differs in each worker; undefined where /proc does not
 * tell.
 */
function ownThread(): number | undefined {
  try {
    const [pid, , tid] = fs.readlinkSync('/proc/thread-self').split('/');
    return Number(pid) === process.pid && Number(tid) > 0 ? Number(tid) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * When a thread began, in the system's own clock ticks; undefined where it is no more, or /proc
 * does not tell. With it a number that came round again is not taken for the run that had it
 * before. One that ended and that its parent did not ask about (a zombie, which a launcher that is
 * killed leaves, and in a container without an init for ever) is no more.
 */
function beginOf(pid: number, tid: number): string | undefined {
  try {
    // The command's name, in parentheses, may hold blanks.
    const stat = fs.readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : rest[18];
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

const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

/**
 * Whether the run that wrote a lock goes on: its thread, for a worker may be ended while its
 * process lives. Of another machine (a container that is gone, say) nobody can tell: its lock does
 * not count.
 */
function isHeld({ pid, tid, begin, host }: JsonObject): boolean {
  if (host !== os.hostname() || !isNumber(pid) || !isAlive(pid)) return false;
  // Locks of earlier versions name no thread: the first one has the number of its process.
  return begin === undefined || begin === beginOf(pid, isNumber(tid) ? tid : pid);
}

/** What a lock says of the thread that takes it, unlike every other. */
export function ownMark(): string {
  const { pid } = process;
  const tid = ownThread();
  const begin = beginOf(pid, tid ?? pid);
  const mark = { pid, tid, begin, host: os.hostname(), time: new Date().toISOString(), id: randomUUID() };
  return `${JSON.stringify(mark)}\n`;
}

/**
 * Whether the holder of a lock goes on; undefined where nobody can tell: it is of another machine,
 * or no lock of ours.
 */
export function isHolderAlive(file: string): { text: string | undefined; alive: boolean | undefined } {
  const { text, json } = read(file);
  return { text, alive: json?.['host'] === os.hostname() ? isHeld(json) : undefined };
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
    const content = ownMark();
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
    if (!giveBack(this.file, this.content) || !this.isNew) return;
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

/** Removes a lock, unless another took it over. */
export function giveBack(file: string, content: string): boolean {
  if (read(file).text !== content) return false;
  fs.rmSync(file, { force: true });
  return true;
}

/** Makes a file that is not there with its content at once: nobody finds it empty. */
export function writeNew(file: string, content: string): void {
  const whole = temporaryName(file);
  try {
    fs.writeFileSync(whole, content, { flag: 'wx' });
    fs.linkSync(whole, file);
  } catch (error) {
    // File systems without links; EISDIR is what Node says of FAT on Windows.
    if (!/^(EPERM|ENOSYS|ENOTSUP|EOPNOTSUPP|EMLINK|EISDIR)$/.test((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    fs.writeFileSync(file, content, { flag: 'wx' });
  } finally {
    fs.rmSync(whole, { force: true });
  }
}

function read(file: string): { text: string | undefined; json: JsonObject | undefined } {
  let text: string | undefined;
  try {
    text = readWhole(file, { inFolder: true, maxBytes: MOST_BYTES }).toString('utf8');
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
export function takeAway(file: string, text: string | undefined): void {
  const aside = temporaryName(file);
  try {
    rename(file, aside);
    if (read(aside).text !== text) fs.linkSync(aside, file);
  } catch {
    // It was taken away by another, or there is a newer one.
  } finally {
    fs.rmSync(aside, { force: true });
  }
}
