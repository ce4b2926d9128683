/**
 * The data of a study, read once: train, dev, and parts of them for folds and learning curves. The
 * test split is only set aside here; it is read when everything is chosen (finish.ts). How one run
 * reads its data is in src/data/read.
 */
import { createHash } from 'node:crypto';
import { FusedLoraError } from '../base/errors';
import { RANDOM_SITE, RandomStream } from '../base/philox';
import type { Task } from '../base/tasks';
import { type Example, isTokenExample } from '../data/examples/example';
import { splitExamples } from '../data/examples/split';
import { COLUMN_KEYS } from '../data/read/columns';
import { type LoadOptions, loadExamples } from '../data/read/load';
import { HUB_KEYS } from '../io/hub';
import { taskOfData } from '../task/meaning/decide_task';
import { taskBeforeReading } from '../task/start/open_for_training';
import type { ResolvedStudy } from './options';

/** What one run is trained and measured on. */
export interface Part {
  train: readonly Example[];
  dev: readonly Example[];
  /** Numbers of the dev examples among those that the study is measured on. */
  measured: readonly number[];
}

export interface StudyData {
  /** As far as the data show it. */
  task: Task;
  train: readonly Example[];
  /** What is measured on: the dev set, or with folds all of train. */
  measured: readonly Example[];
  /** One, or one a fold. */
  parts: readonly Part[];
  /** Set aside from train. */
  test: readonly Example[] | undefined;
  /** A checksum of train and dev. */
  checksum: string;
}

/** Of the options of all runs those by which data are read. */
export function loadOptionsOf({ common, signal, onNotice }: ResolvedStudy): LoadOptions {
  const own = Object.entries(common).filter(([name]) => name in COLUMN_KEYS || name in HUB_KEYS);
  return { ...Object.fromEntries(own), ...(signal && { signal }), onNotice };
}

/** The one label that examples are stratified by; undefined where they have no such label. */
function classOf(example: Example, task: Task): string | undefined {
  if (task !== 'sequence-classification' || isTokenExample(example)) return undefined;
  return typeof example.label === 'object' ? undefined : String(example.label);
}

/** Numbers of the examples, shuffled within each class. */
function shuffledClasses(
  examples: readonly Example[],
  task: Task,
  seed: number,
  stream: number,
): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  examples.forEach((example, i) => {
    const name = classOf(example, task) ?? '';
    const group = groups.get(name);
    if (group) group.push(i);
    else groups.set(name, [i]);
  });
  for (const [i, group] of [...groups.values()].entries()) {
    new RandomStream(seed, RANDOM_SITE.study, 1 + i, 1e6 + stream).shuffle(group);
  }
  return groups;
}

/** K parts of equal size, each with the same share of every class. */
function foldsOf(examples: readonly Example[], task: Task, folds: number, seed: number): Part[] {
  if (folds > examples.length) {
    throw new FusedLoraError('INVALID_ARGUMENT', `folds is ${folds}, of ${examples.length} examples; take fewer`);
  }
  const groups = shuffledClasses(examples, task, seed, 0);
  const alone = [...groups].find(([name, { length }]) => name !== '' && length < 2);
  if (alone) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `the class "${alone[0]}" has one example, which can not be trained on and measured in turn; leave it out, or give dev in place of folds`,
    );
  }
  const foldOf = new Int32Array(examples.length);
  // Classes follow each other, so that folds differ by one example at most.
  [...groups.values()].flat().forEach((index, place) => {
    foldOf[index] = place % folds;
  });
  return Array.from({ length: folds }, (_, fold) => {
    const numbers = [...examples.keys()];
    const measured = numbers.filter((i) => foldOf[i] === fold);
    const at = (some: readonly number[]) => some.map((i) => examples[i] as Example);
    return { train: at(numbers.filter((i) => foldOf[i] !== fold)), dev: at(measured), measured };
  });
}

/**
 * The first `size` examples of an order that has every class early: smaller sets are parts of
 * larger ones.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for more than there are, or fewer than classes.
 */
export function subsetOf(examples: readonly Example[], task: Task, size: number, seed: number): Example[] {
  const groups = [...shuffledClasses(examples, task, seed, 1).values()];
  if (size > examples.length || size < groups.length) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `trainSizes has ${size}, of ${examples.length} training examples in ${groups.length} classes; take numbers between`,
    );
  }
  // By the share of its class that has come before it; the first of each class before all others.
  const order = groups.flatMap((group) => group.map((index, i) => ({ index, at: i === 0 ? -1 : i / group.length })));
  order.sort((a, b) => a.at - b.at || a.index - b.index);
  return order.slice(0, size).map(({ index }) => examples[index] as Example);
}

function checksumOf(...sets: readonly (readonly Example[])[]): string {
  const hash = createHash('sha256');
  for (const set of sets) {
    for (const example of set) {
      const { place: _, ...content } = example;
      hash.update(JSON.stringify(content));
    }
    hash.update('\n');
  }
  return hash.digest('hex');
}

/** @throws FusedLoraError what reading throws. */
export async function loadStudyData(study: ResolvedStudy): Promise<StudyData> {
  const { seed, folds, devSplit, testSplit } = study;
  const before = study.common.task ?? taskBeforeReading(study.train)?.value;
  const read: Task = before ?? 'sequence-classification';
  const load = async (name: 'train' | 'dev') => {
    const data = study[name];
    if (data === undefined) return undefined;
    return (await loadExamples({ task: read, data, options: loadOptionsOf(study), name })).examples;
  };
  const all = (await load('train')) as readonly Example[];
  const task = before ?? taskOfData(all)?.value ?? 'sequence-classification';
  const aside =
    testSplit === undefined ? undefined : splitExamples(all, testSplit, { seed: seed + 1, task, name: 'testSplit' });
  const rest = aside?.train ?? all;
  if (folds !== undefined) {
    const parts = foldsOf(rest, task, folds, seed);
    return { task, train: rest, measured: rest, parts, test: aside?.dev, checksum: checksumOf(all) };
  }
  const split = devSplit === undefined ? undefined : splitExamples(rest, devSplit, { seed, task });
  const train = split?.train ?? rest;
  const dev = split?.dev ?? ((await load('dev')) as readonly Example[]);
  const parts = [{ train, dev, measured: [...dev.keys()] }];
  return { task, train, measured: dev, parts, test: aside?.dev, checksum: checksumOf(all, dev) };
}
