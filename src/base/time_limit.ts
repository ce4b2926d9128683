/**
 * A limit on the time of work that can not look at a clock itself: a regular expression of a file
 * that the engine may try in more ways than there is time for. Who needs it: patterns.ts here, and
 * pattern.ts of src/data/tokenize.
 */
import * as vm from 'node:vm';

/** The work took longer than it may; it was stopped in its midst. */
export class TimeIsUp extends Error {}

/** Milliseconds that a pattern may take for a text of so many characters. */
export const patternTime = (characters: number) => 1000 + characters / 1000;

let limiter: { script: vm.Script; context: vm.Context } | undefined;

/** How often work begins anew that had no processor while the clock went on. */
const MOST_RETRIES = 4;

/**
 * Does something within a time. The engine itself stops it, in the midst of a match too, by a
 * thread that watches the clock: about half a millisecond more for each call. Where the process had
 * the processor for less than half of the time, since others had it, the work begins anew with
 * twice the time.
 *
 * @param work what may be begun anew.
 * @param milliseconds at least 1.
 * @throws TimeIsUp; what `work` throws.
 */
export function withinTime<T>(work: () => T, milliseconds: number): T {
  for (let retry = 0; ; retry++) {
    const before = process.cpuUsage();
    try {
      return withinClock(work, milliseconds * 2 ** retry);
    } catch (error) {
      const { user, system } = process.cpuUsage(before);
      const isSlow = (user + system) / 1000 >= milliseconds / 2 || retry === MOST_RETRIES;
      if (error instanceof TimeIsUp && !isSlow) continue;
      throw error instanceof TimeIsUp ? new TimeIsUp(`took longer than ${Math.ceil(milliseconds)} ms`) : error;
    }
  }
}

function withinClock<T>(work: () => T, milliseconds: number): T {
  limiter ??= { script: new vm.Script('work()'), context: vm.createContext(Object.create(null)) };
  const { script, context } = limiter;
  let result: { value: T } | undefined;
  context['work'] = () => {
    result = { value: work() };
  };
  try {
    script.runInContext(context, { timeout: Math.max(1, Math.ceil(milliseconds)) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      throw new TimeIsUp();
    }
    throw error;
  } finally {
    context['work'] = undefined;
  }
  return (result as { value: T }).value;
}
