/**
 * The data of a training run: train and dev, in memory or streamed, dev set aside where it is a
 * share, and the labels in them. How one data set is read is in load.ts beside this file; the
 * batches that are made of it are in src/data/batch/sources.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Task } from '../../base/tasks';
import type { FetchOptions } from '../../io/hub';
import { type Example, isTokenExample } from '../examples/example';
import type { NameUse } from '../examples/label_names';
import { LabelCollector } from '../examples/labels';
import { splitExamples } from '../examples/split';
import type { ColumnOptions } from './columns';
import { type DataRequest, type DataStream, type ExampleData, loadExamples, openStream } from './load';

export interface TrainingDataOptions extends ColumnOptions, FetchOptions {
  train: ExampleData;
  dev?: ExampleData;
  devSplit?: number;
  stream?: boolean;
  shuffleWindow?: number;
}

export interface TrainingData {
  /** In memory, or a stream. */
  train: readonly Example[] | DataStream;
  dev: readonly Example[] | undefined;
  /** Whether dev was set aside from train. */
  split: boolean;
  /** Class names by id, where the data files tell them. */
  classNames: readonly string[] | undefined;
}

/** Whether examples are read as they are needed. */
export const isStream = (train: TrainingData['train']): train is DataStream => 'shards' in train;

/**
 * @param options that do not exclude each other: see src/task/options/check_options.ts.
 * @param read the task whose readers open the files.
 * @param decide the task, once examples are in memory: it says how dev is set aside.
 * @throws FusedLoraError what reading throws.
 */
export async function openTrainingData(
  options: TrainingDataOptions,
  read: Task,
  seed: number,
  decide: (examples: readonly Example[]) => Task = () => read,
): Promise<TrainingData> {
  const { train, dev, devSplit, stream = false } = options;
  const load = async (task: Task) =>
    dev === undefined ? undefined : (await loadExamples({ task, data: dev, options, name: 'dev' })).examples;
  const request: DataRequest = { task: read, data: train, options };
  if (stream) {
    return { train: await openStream(request), dev: await load(read), split: false, classNames: undefined };
  }
  const { examples, classNames } = await loadExamples(request);
  const task = decide(examples);
  if (devSplit === undefined) return { train: examples, dev: await load(task), split: false, classNames };
  return { ...splitExamples(examples, devSplit, { seed, task }), split: true, classNames };
}

/** What the data say of labels, for whoever decides what a model means. */
export interface LabelsOfData {
  /** Names in order; undefined where the caller has names. */
  names: string[] | undefined;
  uses: ReadonlyMap<string, NameUse>;
  devUses: ReadonlyMap<string, NameUse> | undefined;
  classNames: readonly string[] | undefined;
  multiHot: boolean;
  /** Rows that have the label of each place, of multi-hot lists: of train, and of dev. */
  hot?: readonly [train: readonly number[], dev: readonly number[]];
  /** Numbers a row, of regression. */
  width: number | undefined;
  /** Whether rows are pairs of texts; undefined of a stream. */
  pairs: boolean | undefined;
}

/**
 * Labels of the data in one pass.
 *
 * @param named how many names the labels have already; undefined: they are found in the data.
 * @throws FusedLoraError INVALID_DATA for rows without a label and for too few classes;
 * INVALID_ARGUMENT for data that can be read once, whose labels nobody knows.
 */
export async function labelsOfData(
  { train, dev, split, classNames }: TrainingData,
  task: Task,
  named: number | undefined,
): Promise<LabelsOfData | undefined> {
  const once = isStream(train) && !train.replayable;
  if (task === 'regression') {
    const first = isStream(train) ? undefined : train[0];
    if (!first || isTokenExample(first)) return undefined;
    const { label } = first;
    const none = { names: undefined, uses: new Map(), devUses: undefined, classNames: undefined, multiHot: false };
    return { ...none, width: Array.isArray(label) ? label.length : 1, pairs: first.textPair !== undefined };
  }
  if (once) {
    if (named !== undefined) return undefined;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'the data can be read once, so their labels are not known before training: give labelNames (--labels), or a function that gives the data anew each ' +
        'time',
    );
  }
  const collector = new LabelCollector(task);
  if (isStream(train)) for (const shard of train.shards) for await (const piece of shard()) collector.add(piece);
  else collector.add(train);
  const ofDev = new LabelCollector(task);
  // Rows of dev without a label are told when they are encoded.
  if (dev) ofDev.add(dev);
  const all = new LabelCollector(task);
  // A label of one text among several may have gone to dev alone.
  if (split && named === undefined && !isStream(train)) for (const part of [train, dev ?? []]) all.add(part);
  const first = isStream(train) ? undefined : train[0];
  return {
    names: named === undefined ? (split ? all : collector).done() : undefined,
    uses: collector.uses,
    devUses: dev && ofDev.uses,
    classNames,
    multiHot: collector.isMultiHot(named),
    hot: [collector.hot, ofDev.hot],
    width: undefined,
    pairs: first && !isTokenExample(first) ? first.textPair !== undefined : undefined,
  };
}
