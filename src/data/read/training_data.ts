/**
 * The data of a training run: train and dev, in memory or streamed, dev set aside where it is a
 * share, and the labels in them. How one data set is read is in load.ts beside this file; the
 * batches that are made of it are in src/data/batch/sources.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Task } from '../../base/tasks';
import type { FetchOptions } from '../../io/hub';
import type { Example } from '../examples/example';
import { chooseLabelNames, LabelCollector } from '../examples/labels';
import { splitExamples } from '../examples/split';
import type { ColumnOptions } from './columns';
import { type DataStream, type ExampleData, loadExamples, openStream } from './load';

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
 * @throws FusedLoraError what reading throws.
 */
export async function openTrainingData(options: TrainingDataOptions, task: Task, seed: number): Promise<TrainingData> {
  const { devSplit, stream = false } = options;
  const load = async () => {
    if (options.dev === undefined) return undefined;
    return (await loadExamples(task, options.dev, options, { name: 'dev' })).examples;
  };
  if (stream) {
    return {
      train: await openStream(task, options.train, options),
      dev: await load(),
      split: false,
      classNames: undefined,
    };
  }
  const { examples, classNames } = await loadExamples(task, options.train, options);
  if (devSplit === undefined) return { train: examples, dev: await load(), split: false, classNames };
  return { ...splitExamples(examples, devSplit, { seed, task }), split: true, classNames };
}

/**
 * Class names for a model folder, from its configuration or the data.
 *
 * @returns undefined for tasks without classes.
 * @throws FusedLoraError INVALID_DATA for rows without a label and for too few classes;
 * INVALID_ARGUMENT for data that can be read once, whose labels nobody knows.
 */
export async function chooseLabels(
  { train, dev, split, classNames }: TrainingData,
  task: Task,
  folder: string,
): Promise<string[] | undefined> {
  if (task === 'regression') return undefined;
  const collector = new LabelCollector(task);
  if (!isStream(train)) {
    collector.add(train);
    // A label of one text among several may have gone to dev alone.
    if (split) collector.add(dev ?? []);
    return chooseLabelNames(collector.done(), classNames, folder);
  }
  if (!train.replayable) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'the data can be read once, so their labels are not known before training: give labelNames (--labels), or a function that gives the data anew each ' +
        'time',
    );
  }
  for (const shard of train.shards) for await (const piece of shard()) collector.add(piece);
  return chooseLabelNames(collector.done(), classNames, folder);
}
