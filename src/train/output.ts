/**
 * The folder that a run writes to, checked before anything is computed, and the names of what lies
 * in it beside checkpoints. Checkpoints are checkpoint.ts; the lock that keeps other runs out is
 * src/io/output_lock.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { notWritable } from '../io/atomic';
import { makeFolder } from '../io/folders';
import { OutputLock } from '../io/output_lock';
import { listCheckpoints, removeUnfinished } from './checkpoint';
import { removeEventFiles } from './tensorboard';

/** The log of the run, one JSON object a line. */
export const EVENTS = 'events.jsonl';
/** What is made of the log for people. */
export const REPORT = 'report.html';

/**
 * Makes the folder, sees that it can be written, that no other run writes to it, and that
 * checkpoints in it belong to this run.
 *
 * @returns what keeps other runs out, to be released when this one ends.
 * @throws FusedLoraError FILE_NOT_WRITABLE; BUSY when another run writes there; INVALID_ARGUMENT
 * when it holds checkpoints of a run that is neither gone on with nor given up.
 */
export function prepareOutput(
  dir: string,
  options: { resume?: boolean | undefined; overwrite?: boolean | undefined },
): OutputLock {
  const isNew = !fs.existsSync(dir);
  try {
    makeFolder(dir);
  } catch (cause) {
    throw notWritable(dir, cause);
  }
  const lock = OutputLock.take(dir, isNew);
  try {
    settleEarlierRun(dir, options);
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

function settleEarlierRun(
  dir: string,
  options: { resume?: boolean | undefined; overwrite?: boolean | undefined },
): void {
  removeUnfinished(dir);
  if (options.resume) return;
  const checkpoints = listCheckpoints(dir);
  if (checkpoints.length > 0 && !options.overwrite) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${dir} holds checkpoints of an earlier run (${checkpoints.map((c) => path.basename(c.path)).join(', ')}). Go on with it ` +
        '(--resume, resume: true), give it up (--overwrite, overwrite: true), or choose another folder.',
    );
  }
  for (const { path: old } of checkpoints) fs.rmSync(old, { recursive: true, force: true });
  for (const name of [EVENTS, REPORT]) fs.rmSync(path.join(dir, name), { force: true });
  removeEventFiles(dir);
}
