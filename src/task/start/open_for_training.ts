/**
 * Data and model of a training run, opened in the order in which they decide: folders, task, data,
 * labels, then the model. Models for use alone are opened by src/task/text_model.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames } from '../../base/near';
import type { Task } from '../../base/tasks';
import { checkHeads } from '../../data/read/check_heads';
import type { DataFiles } from '../../data/read/files';
import type { ExampleData } from '../../data/read/load';
import {
  isStream,
  type LabelsOfData,
  labelsOfData,
  openTrainingData,
  type TrainingData,
} from '../../data/read/training_data';
import { trainedIn } from '../../train/checkpoint';
import { taskOfData } from '../meaning/decide_task';
import type { NewWeights, Statement } from '../meaning/types';
import { checkAgainstLabels, checkLoss, checkMetric } from '../options/check_options';
import type { TrainingDataChoice } from '../options/fine_tune_options';
import type { ResolvedFineTune } from '../options/resolve_fine_tune';
import type { TextModel } from '../text_model';
import { startFromAdapter } from './adapter_folder';
import { startFromFolder } from './model_folder';
import { startFromOpen } from './open_model';

/** What a run is trained on, and what it trains. */
export interface OpenedForTraining {
  textModel: TextModel;
  data: TrainingData;
  /** Undefined where nobody has seen them yet. */
  labels: LabelsOfData | undefined;
}

interface Timed {
  timed<T>(part: string, work: () => T | Promise<T>): Promise<T>;
}

/** A path, or a list of them. */
const isDataFiles = (data: unknown): data is DataFiles =>
  typeof data === 'string' || (Array.isArray(data) && typeof data[0] === 'string');

/** Files that hold sentences in words and nothing else. */
const isConll = (data: unknown) =>
  isDataFiles(data) && [data].flat().every((file) => /\.(conll|bio|iob2?)(\.gz)?$/i.test(String(file)));

/**
 * The task that the data show before they are read: sentences in words have readers of their own.
 */
export function taskBeforeReading(train: ExampleData | undefined): Statement<Task> | undefined {
  const [first] = Array.isArray(train) ? (train as unknown[]) : [];
  const inWords = isConll(train) || (typeof first === 'object' && first !== null && 'tokens' in first);
  return inWords ? { value: 'token-classification', source: 'data', place: 'the data: sentences in words' } : undefined;
}

/** What a run may start from. A plan may do so from a config.json too: config_file.ts. */
const STARTS = { folder: startFromFolder, adapter: startFromAdapter, open: startFromOpen } as const;

const startOf = ({ adapter, model }: ResolvedFineTune) =>
  STARTS[adapter !== undefined ? 'adapter' : typeof model === 'string' ? 'folder' : 'open'];

/**
 * @throws FusedLoraError what finding, reading and opening throw; INVALID_ARGUMENT and INVALID_DATA
 * where data, model and options contradict each other.
 */
export async function openForTraining(run: ResolvedFineTune, log: Timed): Promise<OpenedForTraining> {
  const { seed } = run.modelSettings;
  // A caller without types may have left `train` out, which is told where it is read.
  const choice = run.data as TrainingDataChoice & typeof run.data;
  const start = await log.timed('loading', () => startOf(run)(run));
  let task = start.taskBefore(taskBeforeReading(choice.train));
  checkTaskOptions(run, task.value);
  const read = task.value;
  const data = await log.timed('loading', async () => {
    for (const given of [choice.train, choice.dev]) {
      if (isDataFiles(given)) await checkHeads(given, read === 'token-classification', run.data);
    }
    return openTrainingData(choice, read, seed, (examples) => {
      task = start.taskBy(examples, task);
      checkTaskOptions(run, task.value);
      return task.value;
    });
  });
  const labels = await log.timed('loading', () => labelsOfData(data, task.value, start.named));
  if (isStream(data.train) && task.source === 'default') refuseOtherTask(labels);
  const textModel = await log.timed('loading', () => start.opened(labels, task));
  checkAgainstLabels(run.trainer.metricForBest, run.loss, textModel.model);
  return { textModel, data, labels };
}

/** Of a stream the task is decided before its labels are seen. */
function refuseOtherTask(labels: LabelsOfData | undefined): void {
  const names = labels?.names ?? [];
  const task = taskOfData(names.map((label) => ({ text: '', label })))?.value;
  if (task === undefined) return;
  const are = task === 'regression' ? 'numbers with a fraction' : 'lists';
  throw new FusedLoraError(
    'INVALID_DATA',
    `the labels are ${are} (${listNames(names)}), and a stream is read for one task: name it, ${task}, ` +
      'or sequence-classification where each is a class (task, --task)',
  );
}

/** What is wrong with options for a task. */
export function checkTaskOptions({ trainer, loss }: ResolvedFineTune, task: Task): void {
  checkMetric(trainer.metricForBest, task);
  checkLoss(loss, task);
}

/**
 * Modules of which some values are in no file: an adapter has to hold them whole.
 */
export function newWeightsOf({ model, report }: Pick<TextModel, 'model' | 'report'>): NewWeights[] {
  const { family } = model.config;
  const paths = new Set(
    report.initialized.map((name) => {
      const parts = name.split('.');
      return parts.slice(0, parts[0] === family ? 2 : 1).join('.');
    }),
  );
  return [...paths].map((path) => ({
    path,
    reason: report.unused.some((name) => name.startsWith(`${path}.`)) ? 'mismatched' : 'missing',
  }));
}

/**
 * The new weights that an adapter trains and saves. A run that goes on from a checkpoint of an
 * earlier version ends as it began: those left a new pooler as it was, and out of the adapter.
 *
 * @param resumed the checkpoint's folder; undefined of a run from the beginning.
 */
export function newWeightsOfRun(
  textModel: TextModel,
  resumed: string | undefined,
  onNotice: (line: string) => void,
): NewWeights[] {
  const all = newWeightsOf(textModel);
  const trained = resumed === undefined ? [] : trainedIn(resumed);
  if (!trained.some((name) => name.includes('.modules_to_save.'))) return all;
  const left = all.filter(({ path }) => !trained.some((name) => name.startsWith(`${path}.modules_to_save.`)));
  if (left.length === 0) return all;
  onNotice(
    `${resumed} is of an earlier version, which left ${left.map(({ path }) => path).join(', ')} untrained and out of the adapter: ` +
      'the run ends as it began. Train anew (--overwrite, overwrite: true) for an adapter that has it.',
  );
  return all.filter((one) => !left.includes(one));
}
