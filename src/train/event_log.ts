/**
 * Appends what a run tells to events.jsonl as it goes on: {"event": "step" | "evaluate" | …, …},
 * one JSON object a line. docs/cli.md has the fields; src/report/record.ts reads them again.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { printableJson } from '../base/printable';
import { notWritable } from '../io/atomic';
import { makeFolder } from '../io/folders';
import type { TrainerCallbacks } from './events';

/**
 * Callbacks that append to `file`. A resumed run goes on in the same file. Each line of a callback
 * has `elapsed`, the seconds since the log was opened.
 *
 * @param everySteps write every n-th step's line. Default 1.
 */
export function eventLog(file: string, everySteps = 1): TrainerCallbacks & { append(event: object): void } {
  const append = (event: object) => {
    try {
      fs.appendFileSync(file, `${printableJson(event)}\n`);
    } catch (cause) {
      throw notWritable(file, cause);
    }
  };
  try {
    makeFolder(path.dirname(file));
  } catch (cause) {
    throw notWritable(path.dirname(file), cause);
  }
  const opened = performance.now();
  const elapsed = () => Math.round(performance.now() - opened) / 1000;
  return {
    append,
    onStep: (event) => {
      if (event.step % everySteps === 0 || event.step === event.totalSteps)
        append({ event: 'step', ...event, elapsed: elapsed() });
    },
    onEvaluate: (event) => append({ event: 'evaluate', ...event, elapsed: elapsed() }),
    onCheckpoint: (event) => append({ event: 'checkpoint', ...event, elapsed: elapsed() }),
  };
}
