/**
 * The log of a training run as it is written, from its start to its end,
 * and the report that is made of it then. How the log is read again is
 * in record.ts; single steps are appended by src/train/event_log.ts.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { writeFileAtomic } from '../io/atomic';
import type { ErrorAnalysis } from '../metrics/error_analysis';
import { eventLog } from '../train/event_log';
import type { TrainerCallbacks } from '../train/events';
import { EVENTS, REPORT } from '../train/output';
import { renderReport } from './page';
import { type DetailsEvent, type EndEvent, readRecord, type StartEvent } from './record';

export interface RunLogOptions {
  /** Whether a report is written when the run ends, however it does. */
  report: boolean;
  /** Nothing is written: of a rank that is not the first. */
  silent?: boolean;
  onNotice: (line: string) => void;
}

export class RunLog {
  readonly callbacks: TrainerCallbacks & { append(event: object): void };
  private readonly startedAt = performance.now();
  private readonly seconds: Record<string, number> = {};

  constructor(
    private readonly dir: string,
    private readonly options: RunLogOptions,
  ) {
    this.callbacks = options.silent ? { append: () => {} } : eventLog(path.join(dir, EVENTS), 1, { own: true });
  }

  start(event: StartEvent): void {
    this.callbacks.append(event);
  }

  /** @param step of the state that was analyzed. */
  errors(step: number, analysis: ErrorAnalysis): void {
    const event: DetailsEvent = { event: 'details', step, ...analysis };
    this.callbacks.append(event);
  }

  /** Adds what `work` takes to the seconds of a part of the run. */
  async timed<T>(part: string, work: () => T | Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await work();
    } finally {
      this.add(part, (performance.now() - began) / 1000);
    }
  }

  add(part: string, seconds: number): void {
    this.seconds[part] = (this.seconds[part] ?? 0) + seconds;
  }

  /** @returns the report, where one was asked for and could be written. */
  end(facts: Omit<EndEvent, 'event' | 'time' | 'seconds'>): string | undefined {
    const total = (performance.now() - this.startedAt) / 1000;
    const seconds = Object.fromEntries(
      Object.entries({ ...this.seconds, total }).map(([part, value]) => [part, Math.round(1000 * value) / 1000]),
    );
    this.callbacks.append({ event: 'end', time: new Date().toISOString(), ...facts, seconds });
    return this.report();
  }

  /** For a run that ended in an error, which is thrown on by the caller. */
  stop(error: unknown): void {
    const code = error instanceof FusedLoraError ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    try {
      this.callbacks.append({ event: 'stop', time: new Date().toISOString(), code, message });
    } catch {
      // The error itself may be that the log can not be written.
      return;
    }
    this.report();
  }

  /** A report that can not be written costs no trained model its run. */
  private report(): string | undefined {
    if (!this.options.report || this.options.silent) return undefined;
    const file = path.join(this.dir, REPORT);
    try {
      writeFileAtomic(file, renderReport([readRecord(this.dir)]), { own: true });
      return file;
    } catch (error) {
      this.options.onNotice(`no report: ${(error as Error).message}`);
      return undefined;
    }
  }
}
