/**
 * A share of the examples set aside to measure on, with the same share of every class.
 * A dev set of its own is opened in src/data/read/training_data.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { RANDOM_SITE, RandomStream } from '../../base/philox';
import type { Task } from '../../base/tasks';
import { type Example, isTokenExample } from './example';

/**
 * Chooses examples for the dev part, with the same share of every class, by the largest remainders;
 * a class of one example stays in train.
 *
 * @param classes [n] what each example is stratified by; the same for all: not at all.
 * @param share of the examples in dev, above 0 and below 1.
 * @param name of the option that gave the share, for errors.
 * @returns the numbers of the examples of each part, in their order: a function of the arguments.
 * @throws FusedLoraError INVALID_ARGUMENT for a share out of range or one that leaves a part empty.
 */
export function splitIndices(
  classes: readonly string[],
  share: number,
  seed = 0,
  name = 'devSplit',
): { train: number[]; dev: number[] } {
  if (!(share > 0 && share < 1)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${name} is ${share}; it must be a share above 0 and below 1, such as 0.1`,
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
      `${name} is ${share}, which of ${classes.length} examples leaves none to measure on; take a larger share or give a ${name === 'testSplit' ? 'test' : 'dev'} set`,
    );
  }
  return { train: [...isDev.keys()].filter((i) => isDev[i] === 0), dev };
}

/** What an example is stratified by: its label, where it has one. */
function classOf(example: Example, task: Task): string {
  if (task !== 'sequence-classification' || isTokenExample(example) || Array.isArray(example.label)) return '';
  return String(example.label);
}

/**
 * Sets a share of the examples aside to measure on, with the same share of every class where
 * examples have one label each.
 *
 * @param share in dev, above 0 and below 1.
 * @returns both parts in the order of the examples: a function of the arguments.
 * @throws FusedLoraError INVALID_ARGUMENT for a share out of range or one that leaves dev empty.
 */
export function splitExamples<E extends Example>(
  examples: readonly E[],
  share: number,
  {
    seed = 0,
    task = 'sequence-classification',
    name = 'devSplit',
  }: { seed?: number; task?: Task; name?: 'devSplit' | 'testSplit' } = {},
): { train: E[]; dev: E[] } {
  const classes = examples.map((example) => classOf(example, task));
  const { train, dev } = splitIndices(classes, share, seed, name);
  const at = (numbers: number[]) => numbers.map((i) => examples[i] as E);
  return { train: at(train), dev: at(dev) };
}
