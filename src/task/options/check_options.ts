/**
 * What is wrong with options of fineTune by themselves, told before data and model are read.
 * What only data can show is told there: src/data/examples/labels.ts, src/data/read/check_heads.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames, nearNames } from '../../base/near';
import { positiveInteger } from '../../base/options';
import type { Task } from '../../base/tasks';
import type { BatchSizes } from '../../data/batch/sources';
import type { ColumnOptions } from '../../data/read/columns';
import type { BaseWeights, EmbeddingWeights } from '../../graph/base_weights';
import { metricNames } from '../../metrics/metric_names';
import type { TaskModel } from '../../models';
import type { Method } from '../method';
import type { TextModel } from '../text_model';
import { FINE_TUNE_TASKS, type LossChoice, type TrainingDataChoice } from './fine_tune_options';

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', problem);
const shown = (value: unknown) => (typeof value === 'number' ? String(value) : JSON.stringify(value));

/** What a caller without types may leave out or mistake. */
export function checkModel(model: string | TextModel | undefined, adapter: string | undefined): void {
  if (adapter !== undefined) {
    if (typeof adapter !== 'string' || adapter === '') {
      throw refuse(`adapter is ${shown(adapter)}; it must be the folder of an adapter, or its name on the hub`);
    }
    if (model === undefined) return;
    if (typeof model !== 'string') {
      throw refuse(
        'adapter is given beside a model that is open; give the folder of the model, or leave model out: the adapter names its own',
      );
    }
  }
  if (typeof model === 'string' ? model !== '' : typeof model?.model?.task === 'string') return;
  throw refuse(
    `model is ${typeof model === 'object' ? 'an object that openTextModel did not give' : shown(model)}; it must be a model folder, a name on the hub, or an open model`,
  );
}

export function checkAdapterMethod(method: Method): void {
  if (method === 'lora') return;
  throw refuse(
    `adapter is given beside the method ${JSON.stringify(method)}; an adapter is trained on by the method lora. Leave one out.`,
  );
}

/** @throws FusedLoraError INVALID_ARGUMENT for codes in place of weights that are to be trained. */
export function checkFrozenBase(baseWeights: BaseWeights, method: Method): void {
  if (baseWeights === 'fp32' || method === 'lora' || method === 'head') return;
  throw refuse(
    `baseWeights is "${baseWeights}" (--base-weights), which is for weights that stay as they are, and this method trains them; take the method lora or head, or leave it out`,
  );
}

/** @throws FusedLoraError INVALID_ARGUMENT for codes of word embeddings that are to be trained. */
export function checkFrozenEmbeddings(embeddingWeights: EmbeddingWeights, method: Method): void {
  if (embeddingWeights === 'fp32' || method === 'lora' || method === 'head') return;
  throw refuse(
    `embeddingWeights is "${embeddingWeights}" (--embedding-weights), which is for word embeddings that stay as they are, and this method may train them; take the method lora or head, or leave it out`,
  );
}

/** @throws FusedLoraError INVALID_ARGUMENT for LoftQ where no weight loses anything. */
export function checkInitialWeights(init: unknown, baseWeights: BaseWeights): void {
  if (init !== 'loftq' || baseWeights !== 'fp32') return;
  throw refuse(
    'initLoraWeights is "loftq", which makes up for weights in fewer bits; give baseWeights int8 or nf4 (--base-weights), or leave it out',
  );
}

export function checkOutputDir(outputDir: unknown): void {
  if (typeof outputDir === 'string' && outputDir !== '') return;
  throw refuse(`outputDir is ${shown(outputDir)}; give the folder that the result goes to`);
}

export function checkTask(task: string): void {
  if ((FINE_TUNE_TASKS as readonly string[]).includes(task)) return;
  const [near] = nearNames(task, FINE_TUNE_TASKS, 1);
  throw refuse(
    `task is "${task}"; it must be one of ${FINE_TUNE_TASKS.join(', ')}${near === undefined ? '' : `. Was ${near} meant?`}`,
  );
}

export function checkLabelNames(labelNames: readonly string[] | undefined): void {
  if (labelNames === undefined) return;
  if (Array.isArray(labelNames) && labelNames.every((name) => typeof name === 'string' && name !== '')) return;
  throw refuse(`labelNames is ${shown(labelNames)}; it must be a list of names, one a class`);
}

export function checkSizes({ batchSize, tokenBudget }: BatchSizes): void {
  positiveInteger('fineTune', {
    ...(batchSize !== undefined && { batchSize }),
    ...(tokenBudget !== undefined && { tokenBudget }),
  });
}

/** The most is the model's, which is not known yet. */
export function checkLeastLength(maxLength: number | undefined): void {
  if (maxLength === undefined || (Number.isSafeInteger(maxLength) && maxLength >= 3)) return;
  throw refuse(`maxLength is ${maxLength}; it must be a whole number from 3`);
}

export function checkMeaning({ truncationSide, numLabels }: { truncationSide?: unknown; numLabels?: unknown }): void {
  if (truncationSide !== undefined && truncationSide !== 'left' && truncationSide !== 'right') {
    throw refuse(`truncationSide is ${shown(truncationSide)}; it must be left or right`);
  }
  if (numLabels === undefined || (Number.isSafeInteger(numLabels) && (numLabels as number) >= 1)) return;
  throw refuse(`numLabels is ${shown(numLabels)}; it must be a whole number from 1`);
}

export function checkColumns(columns: ColumnOptions): void {
  for (const name of ['textColumn', 'textPairColumn', 'labelColumn'] as const) {
    const value = columns[name];
    if (value === undefined || (typeof value === 'string' && value !== '')) continue;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) continue;
    throw refuse(`${name} is ${shown(value)}; it must be the name of a column, or its number from 0`);
  }
  const { header, delimiter } = columns;
  if (header !== undefined && typeof header !== 'boolean')
    throw refuse(`header is ${shown(header)}; it must be true or false`);
  if (delimiter !== undefined && (delimiter.length !== 1 || /["\r\n]/.test(delimiter))) {
    throw refuse(
      `delimiter is ${shown(delimiter)}; it must be one character, such as "," or ";", and no quote or line end`,
    );
  }
}

export function checkDataChoice({ dev, devSplit, stream = false, shuffleWindow }: Partial<TrainingDataChoice>): void {
  if (devSplit !== undefined) {
    if (!(devSplit > 0 && devSplit < 1)) {
      throw refuse(`devSplit is ${devSplit}; it must be a share above 0 and below 1, such as 0.1`);
    }
    if (dev !== undefined) {
      throw refuse(
        'devSplit and dev are both given; leave devSplit out to measure on dev, or dev to set a share of train aside',
      );
    }
    if (stream) throw refuse('devSplit needs the data in memory; with stream give a dev set of its own');
  }
  if (shuffleWindow === undefined) return;
  if (!stream) throw refuse('shuffleWindow is for stream: true; without it all examples are shuffled');
  if (!(Number.isSafeInteger(shuffleWindow) && shuffleWindow >= 1)) {
    throw refuse(`shuffleWindow is ${shuffleWindow}; it must be a number of examples, at least 1`);
  }
}

/** @param labelNames where they are known: how many classes there are. */
export function checkLoss(loss: LossChoice, task: Task, labelNames?: readonly string[]): void {
  const { labelSmoothing, classWeights } = loss;
  const ofClasses = task === 'sequence-classification' || task === 'token-classification';
  if (!ofClasses && (labelSmoothing || classWeights)) {
    throw refuse(
      `${classWeights ? 'classWeights' : 'labelSmoothing'} is for tasks with one class a text or word, not for ${task}. Leave it out.`,
    );
  }
  checkWeights(loss, labelNames);
}

/** What is right or wrong of them for every task. */
export function checkWeights({ labelSmoothing, classWeights }: LossChoice, labelNames?: readonly string[]): void {
  if (labelSmoothing !== undefined && !(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw refuse(`labelSmoothing is ${labelSmoothing}; it must be at least 0 and below 1`);
  }
  if (classWeights === undefined) return;
  const wrong = classWeights.find((weight) => !(typeof weight === 'number' && weight >= 0 && Number.isFinite(weight)));
  if (wrong !== undefined || !classWeights.some((weight) => weight > 0)) {
    throw refuse(`classWeights is [${classWeights.join(', ')}]; it must hold numbers from 0, one of them above it`);
  }
  if (labelNames && classWeights.length !== labelNames.length) {
    throw refuse(
      `classWeights has ${classWeights.length} numbers, the model ${labelNames.length} classes (${labelNames.join(', ')})`,
    );
  }
}

/**
 * @param task undefined: not known yet, and the metric may be of any.
 * @param labelNames where they are known: whether entities are measured.
 */
export function checkMetric(metric: string | undefined, task?: Task, labelNames?: readonly string[]): void {
  const of = (one: Task) => metricNames(one, one === task ? labelNames : undefined);
  const names = task === undefined ? [...new Set(FINE_TUNE_TASKS.flatMap(of))] : of(task);
  if (metric === undefined || names.includes(metric)) return;
  const [near] = nearNames(metric, names, 1);
  throw refuse(
    `metricForBest is '${metric}'${near === undefined ? '' : ` (was ${near} meant?)`}, evaluation${task === undefined ? '' : ` of ${task}`} gives ${listNames(names)}`,
  );
}

/** The number of classes and their metrics, once labels are known and before the first step. */
export function checkAgainstLabels(
  metric: string | undefined,
  loss: LossChoice,
  { task, labelNames, numLabels }: TaskModel,
): void {
  checkMetric(metric, task, labelNames);
  if (numLabels === labelNames.length) checkLoss(loss, task, labelNames);
}
