/**
 * A journal that several processes, of several machines, append to: every change is read, decided
 * and written under one lock, and synced. A last line that was cut off is removed before anything
 * is written after it. What lines mean is records.ts; the lock itself is journal_lock.ts.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { FusedLoraError } from '../../base/errors';
import { notWritable } from '../../io/atomic';
import type { JsonObject } from '../../io/json';
import { openToRead } from '../../io/open';
import { withJournalLock } from './journal_lock';
import { JournalState } from './records';

/** More than any study by hand; a file that is larger was not written here. */
const MOST_BYTES = 1 << 30;

const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants;
/** No link is followed, and what is no file does not hold it up. */
const OPEN = O_RDWR | O_NOFOLLOW | O_NONBLOCK;

/** Optuna writes NaN and Infinity bare. */
const BARE = /(?<=[:[,]\s*)(?:NaN|-?Infinity)(?=\s*[,\]}])/g;

export class Journal {
  private readonly state = new JournalState();
  private readonly worker = `${randomUUID()}-${process.pid}`;
  /** Bytes that are replayed: whole lines. */
  private offset = 0;
  private lines = 0;

  /** @param file is made with the first line. */
  constructor(readonly file: string) {}

  /** What the journal says now. */
  read(): JournalState {
    if (!fs.existsSync(this.file)) return this.state;
    const fd = openToRead(this.file);
    try {
      this.replay(fd);
    } finally {
      fs.closeSync(fd);
    }
    return this.state;
  }

  /**
   * Reads, decides and writes as one step.
   *
   * @param change gets what the journal says, and gives the lines to append.
   * @returns what the journal says after them.
   * @throws FusedLoraError FILE_NOT_WRITABLE; INVALID_DATA naming a line that is none of a journal.
   */
  async change(change: (state: JournalState) => readonly JsonObject[]): Promise<JournalState> {
    return withJournalLock(this.file, () => {
      let fd: number;
      try {
        fd = fs.openSync(this.file, OPEN | O_CREAT | O_APPEND, 0o666);
      } catch (cause) {
        throw notWritable(this.file, cause);
      }
      try {
        this.replay(fd);
        // Whole lines end here; what follows was cut off, and nobody has read it.
        if (fs.fstatSync(fd).size > this.offset) cut(this.file, this.offset);
        const records = change(this.state);
        if (records.length === 0) return this.state;
        const text = records.map((record) => `${JSON.stringify({ ...record, worker_id: this.worker })}\n`).join('');
        writeWhole(fd, Buffer.from(text));
        fs.fsyncSync(fd);
        this.replay(fd);
        return this.state;
      } catch (cause) {
        throw cause instanceof FusedLoraError ? cause : notWritable(this.file, cause);
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  /** Applies the whole lines after those that are known. */
  private replay(fd: number): void {
    const { size } = fs.fstatSync(fd);
    if (size > MOST_BYTES)
      throw new FusedLoraError('INVALID_DATA', `${this.file}: is larger than 1 GiB; it is no journal of a study`);
    if (size < this.offset) {
      throw new FusedLoraError(
        'INVALID_DATA',
        `${this.file}: became shorter while it was in use; bring it back from a copy`,
      );
    }
    const bytes = Buffer.alloc(size - this.offset);
    for (let done = 0; done < bytes.length; ) {
      const count = fs.readSync(fd, bytes, done, bytes.length - done, this.offset + done);
      if (count === 0) break;
      done += count;
    }
    const end = bytes.lastIndexOf(0x0a) + 1;
    for (const line of bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1)) {
      this.state.apply(this.parse(line), `${this.file}:${this.lines + 1}`);
      this.lines++;
    }
    this.offset += end;
  }

  private parse(line: string): unknown {
    for (const text of [line, line.replace(BARE, 'null')]) {
      try {
        return JSON.parse(text);
      } catch {
        // Tried without NaN.
      }
    }
    throw new FusedLoraError(
      'INVALID_DATA',
      `${this.file}:${this.lines + 1}: is not JSON. A writer that did not remove a line that was cut off has joined two; divide or remove them by hand.`,
    );
  }
}

/** Not by a descriptor that appends: Windows cuts no file that was opened so. */
function cut(file: string, size: number): void {
  const fd = fs.openSync(file, OPEN);
  try {
    fs.ftruncateSync(fd, size);
  } finally {
    fs.closeSync(fd);
  }
}

function writeWhole(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done);
}
