/**
 * Data and model of a training run, opened in the order in which they decide: folders, task, data,
 * labels, then the model. Models for use alone are opened by src/task/text_model.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames } from '../../base/near';
import type { Task } from '../../base/tasks';
import type { Example } from '../../data/examples/example';
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
import type { Tokenizer } from '../../data/tokenize/tokenizer';
import { trainedIn } from '../../train/checkpoint';
import { checkAgainstLabels, checkLoss, checkMetric } from '../options/check_options';
import type { TrainingDataChoice } from '../options/fine_tune_options';
import type { ResolvedFineTune } from '../options/resolve_fine_tune';
import {
  type FolderFacts,
  locateModel,
  type ModelFolders,
  meaningOf,
  openFolders,
  readFolders,
  type TextModel,
} from '../text_model';
import { decideTask, taskOfData } from './decide_task';
import type { Decided, Meaning, NewWeights } from './types';

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
export function taskBeforeReading(train: ExampleData | undefined): Task | undefined {
  if (isConll(train)) return 'token-classification';
  const [first] = Array.isArray(train) ? (train as unknown[]) : [];
  const inWords = typeof first === 'object' && first !== null && 'tokens' in first;
  return inWords ? 'token-classification' : undefined;
}

/**
 * @throws FusedLoraError what finding, reading and opening throw; INVALID_ARGUMENT and INVALID_DATA
 * where data, model and options contradict each other.
 */
export async function openForTraining(run: ResolvedFineTune, log: Timed): Promise<OpenedForTraining> {
  const { seed } = run.modelSettings;
  // A caller without types may have left `train` out, which is told where it is read.
  const choice = run.data as TrainingDataChoice & typeof run.data;
  const known = typeof run.model === 'string' ? undefined : run.model;
  const located = await log.timed('loading', () => (known ? undefined : locateForTraining(run)));
  let task = located && decideForTraining(located.facts, run, choice.train);
  const first = known?.model.task ?? (task as Decided<Task>).value;
  checkTaskOptions(run, first);
  const data = await log.timed('loading', async () => {
    for (const given of [choice.train, choice.dev]) {
      if (isDataFiles(given)) await checkHeads(given, first === 'token-classification', run.data);
    }
    return openTrainingData(choice, first, seed, (examples) => {
      if (located && task) {
        task = decideByExamples(located.facts, run, task, examples);
        checkTaskOptions(run, task.value);
      }
      return task?.value ?? first;
    });
  });
  const named = known?.model.labelNames.length ?? run.labelNames?.length;
  const labels = await log.timed('loading', () => labelsOfData(data, task?.value ?? first, named));
  if (isStream(data.train) && task?.source === 'default') refuseOtherTask(labels);
  const textModel = known ?? (await log.timed('loading', () => openLocated(located!, run, labels, task!)));
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

export interface Located {
  folders: ModelFolders;
  facts: FolderFacts;
}

/** @throws FusedLoraError INVALID_ARGUMENT for an adapter, which training does not go on from. */
export async function locateForTraining(run: ResolvedFineTune): Promise<Located> {
  const model = run.model as string;
  const { tokenizer, modelType } = run.modelSettings;
  const folders = await locateModel(model, { revision: run.revision, tokenizer }, run.hub);
  if (folders.adapter !== undefined) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${model}: is an adapter, and training does not go on from one. Give the model that it was trained on, or merge both first ` +
        '(fused-lora merge, mergeAndUnload and saveModel).',
    );
  }
  return { folders, facts: readFolders(folders, modelType) };
}

/** The task, as far as it is known before data are read. */
export function decideForTraining(
  { base }: Pick<FolderFacts, 'base'>,
  run: ResolvedFineTune,
  train: ExampleData | undefined,
): Decided<Task> {
  const shown = taskBeforeReading(train);
  const data = shown && ({ value: shown, source: 'data', place: 'the data: sentences in words' } as const);
  return decideTask(base, undefined, askedTask(run), 'train', data);
}

const askedTask = ({ task, labelNames, modelSettings: { numLabels } }: ResolvedFineTune) => ({
  ...{ task, labelNames, numLabels },
});

/**
 * The task with what labels of examples in memory show: where nobody else says one, and that they
 * are measured where somebody says otherwise.
 */
export function decideByExamples(
  { base }: Pick<FolderFacts, 'base'>,
  run: ResolvedFineTune,
  before: Decided<Task>,
  examples: readonly Example[],
): Decided<Task> {
  const data = taskOfData(examples);
  if (before.source !== 'default' && data?.value !== 'regression') return before;
  return decideTask(base, undefined, askedTask(run), 'train', data);
}

export function openLocated(
  { folders, facts }: Located,
  run: ResolvedFineTune,
  labels: LabelsOfData | undefined,
  task: Decided<Task>,
): TextModel {
  const meaning = meaningForTraining(facts, run, labels, task);
  return openFolders(folders, facts.textTokenizer as Tokenizer, meaning, openOptions(run));
}

export function meaningForTraining(
  facts: FolderFacts,
  { modelSettings, labelNames }: ResolvedFineTune,
  labels: LabelsOfData | undefined,
  task: Decided<Task>,
): Meaning {
  const { maxLength, truncationSide, numLabels, ignoreMismatchedSizes } = modelSettings;
  const options = { labelNames, maxLength, truncationSide, numLabels, ignoreMismatchedSizes };
  return meaningOf(facts, labels, options, 'train', task);
}

/** What of a run's options a model is opened with, its meaning left out. */
export function openOptions({ modelSettings, hub }: ResolvedFineTune) {
  const { seed, modelType, ignoreMismatchedSizes, hiddenDropout, attentionDropout, classifierDropout } = modelSettings;
  const { onNotice } = hub;
  return { seed, modelType, ignoreMismatchedSizes, hiddenDropout, attentionDropout, classifierDropout, onNotice };
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
