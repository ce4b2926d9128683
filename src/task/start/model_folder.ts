/**
 * Training that starts from a model's folder, here or on the hub: found once, its facts read before
 * data are. What folder, options and data mean together is decided in src/task/meaning/resolve.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Task } from '../../base/tasks';
import type { LabelsOfData } from '../../data/read/training_data';
import type { Tokenizer } from '../../data/tokenize/tokenizer';
import { decideTask, taskOfData } from '../meaning/decide_task';
import type { Decided, Meaning, Statement } from '../meaning/types';
import type { ResolvedFineTune } from '../options/resolve_fine_tune';
import { type FolderFacts, locateModel, meaningOf, openFolders, readFolders, type TextModel } from '../text_model';
import type { TrainingStart } from './training_start';

/** @throws FusedLoraError INVALID_ARGUMENT for an adapter: see adapter_folder.ts. */
export async function startFromFolder(run: ResolvedFineTune): Promise<TrainingStart<TextModel>> {
  const model = run.model as string;
  const { tokenizer, modelType } = run.modelSettings;
  const folders = await locateModel(model, { revision: run.revision, tokenizer }, run.hub);
  if (folders.adapter !== undefined) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${model}: is an adapter. To train on from it, give it as adapter (--init-adapter) in place of model (--model), or beside its base; ` +
        'to begin a new one on both, merge them first (fused-lora merge, mergeAndUnload and saveModel).',
    );
  }
  const facts = readFolders(folders, modelType);
  return {
    ...tasksFor(facts, run),
    opened(labels, task) {
      const meaning = meaningForTraining(facts, run, labels, task);
      return openFolders(folders, facts.textTokenizer as Tokenizer, meaning, openOptions(run));
    },
  };
}

/** What facts of a base, and of an adapter on it, decide of a run's task. */
export function tasksFor(
  { base, adapter }: FolderFacts,
  { task, labelNames, modelSettings: { numLabels } }: ResolvedFineTune,
): Omit<TrainingStart<TextModel>, 'opened'> {
  const by = (data: Statement<Task> | undefined) =>
    decideTask(base, adapter, { task, labelNames, numLabels }, 'train', data);
  return {
    named: labelNames?.length,
    taskBefore: by,
    taskBy(examples, before) {
      const data = taskOfData(examples);
      return before.source === 'default' || data?.value === 'regression' ? by(data) : before;
    },
  };
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
