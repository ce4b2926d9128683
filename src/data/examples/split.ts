/** A part of the data set aside to measure on. */
import { FusedLoraError } from '../../base/errors';
import { RANDOM_SITE, RandomStream } from '../../base/philox';

/**
 * Chooses examples for the dev part, with the same share of every class, by the largest remainders; a class of one example stays in train.
 *
 * @param classes [n] what each example is stratified by; the same for all: not at all.
 * @param share of the examples in dev, above 0 and below 1.
 * @returns the numbers of the examples of each part, in their order: a function of the arguments.
 * @throws FusedLoraError INVALID_ARGUMENT for a share out of range or one that leaves a part empty.
 */
export function splitIndices(classes: readonly string[], share: number, seed = 0): { train: number[]; dev: number[] } {
  if (!(share > 0 && share < 1)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `devSplit is ${share}; it must be a share above 0 and below 1, such as 0.1`,
    );
  }
  const groups = new Map<string, number[]>();
  classes.forEach((name, i) => {
    const group = groups.get(name);
    if (group) group.push(i);
    else groups.set(name, [i]);
  });
  const wanted = Math.round(classes.length * share);
  const parts = [...groups.values()].map((members, group) => {
    const exact = members.length * share;
    const most = Math.max(0, members.length - 1);
    return { members, group, most, count: Math.min(most, Math.floor(exact)), rest: exact - Math.floor(exact) };
  });
  let missing = wanted - parts.reduce((sum, { count }) => sum + count, 0);
  for (const part of [...parts].sort((a, b) => b.rest - a.rest || a.group - b.group)) {
    if (missing <= 0 || part.count >= part.most) continue;
    part.count++;
    missing--;
  }
  const isDev = new Uint8Array(classes.length);
  for (const { members, group, count } of parts) {
    new RandomStream(seed, RANDOM_SITE.split, 0, group).shuffle(members);
    for (const index of members.slice(0, count)) isDev[index] = 1;
  }
  const dev = [...isDev.keys()].filter((i) => isDev[i] === 1);
  if (dev.length === 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `devSplit is ${share}, which of ${classes.length} examples leaves none to measure on; take a larger share or give a dev set`,
    );
  }
  return { train: [...isDev.keys()].filter((i) => isDev[i] === 0), dev };
}
