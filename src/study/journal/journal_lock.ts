/**
 * The lock of a journal: the file `<journal>.lock`, which Optuna's processes wait for as well. Its
 * content says who holds it, so that one of a process that was killed is taken over at once, by
 * another of its machine; else after 30 s in which nothing changed, as Optuna does. Locks of whole
 * output folders are src/io/output_lock.ts.
 */
import * as fs from 'node:fs';
import { FusedLoraError } from '../../base/errors';
import { notWritable } from '../../io/atomic';
import { giveBack, isHolderAlive, ownMark, takeAway, writeNew } from '../../io/output_lock';

/** After so long without a change a lock is taken over: Optuna's grace_period. */
const GRACE_MS = 30_000;
const FIRST_WAIT_MS = 1;
const LONGEST_WAIT_MS = 100;

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Nothing of the body awaits: it is over before anything else runs in this process. */
export async function withJournalLock<T>(journal: string, body: () => T): Promise<T> {
  const file = `${journal}.lock`;
  const mark = ownMark();
  let ms = FIRST_WAIT_MS;
  let seen = '';
  let since = performance.now();
  for (;;) {
    try {
      writeNew(file, mark);
      break;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw notWritable(file, cause);
    }
    const { text, alive } = isHolderAlive(file);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    const now = `${text}:${stat?.mtimeMs}`;
    if (now !== seen) [seen, since] = [now, performance.now()];
    if (alive === false || performance.now() - since > GRACE_MS) {
      takeAway(file, text);
      continue;
    }
    await wait(ms);
    ms = Math.min(LONGEST_WAIT_MS, 2 * ms);
  }
  let stolen = false;
  let result: T;
  try {
    result = body();
  } finally {
    stolen = !giveBack(file, mark);
  }
  if (!stolen) return result;
  throw new FusedLoraError(
    'BUSY',
    `${file}: was taken over by another process while this one held it, for more than ${GRACE_MS / 1000} s; start the command again`,
  );
}
