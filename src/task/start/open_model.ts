/**
 * Training that starts from a model that is open: its task and labels stand, and nothing is read.
 * Models in folders are in model_folder.ts.
 */
import type { ResolvedFineTune } from '../options/resolve_fine_tune';
import type { TextModel } from '../text_model';
import type { TrainingStart } from './training_start';

export async function startFromOpen({ model }: ResolvedFineTune): Promise<TrainingStart<TextModel>> {
  const textModel = model as TextModel;
  const { task } = textModel.meaning;
  const ofModel = { ...task, value: textModel.model.task };
  return {
    named: textModel.model.labelNames.length,
    taskBefore: () => ofModel,
    taskBy: () => ofModel,
    opened: () => textModel,
  };
}
