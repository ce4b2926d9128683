/**
 * Who works on which trial: a file a trial in the study's folder, with the process that has it and
 * a sign of life every few seconds. Claims are made under the journal's lock (worker.ts), so that
 * no two have one trial.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { makeFolder } from '../io/folders';
import { giveBack, isHolderAlive, ownMark, takeAway, writeNew } from '../io/output_lock';

const BEAT_MS = 10_000;
/** A claim of another machine without a sign of life for so long is nobody's. */
const SILENT_MS = 90_000;

export class Claims {
  /** Of claims of other machines: what was seen of each, and when it last changed. */
  private readonly seen = new Map<string, { state: string; since: number }>();

  constructor(private readonly dir: string) {}

  /** Whether nobody works on it, or whoever did is gone. */
  isFree(name: string): boolean {
    const file = this.fileOf(name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return true;
    const { text, alive } = isHolderAlive(file);
    if (alive !== undefined) return !alive;
    const state = `${text}:${stat.mtimeMs}`;
    const before = this.seen.get(name);
    if (before?.state !== state) {
      this.seen.set(name, { state, since: performance.now() });
      return false;
    }
    return performance.now() - before.since > SILENT_MS;
  }

  /** Takes what {@link isFree} said is free, under the lock of the journal. */
  take(name: string): Claim {
    const file = this.fileOf(name);
    makeFolder(path.dirname(file));
    if (fs.existsSync(file)) takeAway(file, isHolderAlive(file).text);
    const mark = ownMark();
    writeNew(file, mark);
    return new Claim(file, mark);
  }

  private fileOf(name: string): string {
    return path.join(this.dir, 'claims', name);
  }
}

/** Held until it is released, or the process ends. */
export class Claim {
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly file: string,
    private readonly mark: string,
  ) {
    this.timer = setInterval(() => {
      try {
        const now = new Date();
        fs.utimesSync(file, now, now);
      } catch {
        // Taken over: the trial's end is not counted twice, for the journal counts the first.
      }
    }, BEAT_MS);
    this.timer.unref();
  }

  release(): void {
    clearInterval(this.timer);
    giveBack(this.file, this.mark);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
