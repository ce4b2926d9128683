/**
 * Appends what a run tells to events.jsonl as it goes on: {"event": "step" | "evaluate" | …, …},
 * one JSON object a line. docs/cli.md has the fields; src/report/record.ts reads them again.
 */
import * as path from 'node:path';
import { printableJson } from '../base/printable';
import { appendLine, appendOwnLine, notWritable, type WriteOptions } from '../io/atomic';
import { makeFolder } from '../io/folders';
import type { TrainerCallbacks } from './events';

/**
 * Callbacks that append to `file`. A resumed run goes on in the same file. Each line of a callback
 * has `elapsed`, the seconds since the log was opened.
 *
 * @param everySteps write every n-th step's line. Default 1.
 * @param options `own: true` where the file belongs to a run's folder: a link of its name is
 * replaced, not followed.
 */
export function eventLog(
  file: string,
  everySteps = 1,
  { own = false }: WriteOptions = {},
): TrainerCallbacks & { append(event: object): void } {
  let first = true;
  const append = (event: object) => {
    const line = printableJson(event);
    if (own) appendOwnLine(file, line, first);
    else appendLine(file, line);
    first = false;
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
