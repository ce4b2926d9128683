/**
 * A plan that starts from a config.json alone: the weights are random, and there is a tokenizer
 * only where the options name one. Nothing is trained from it; model_folder.ts is for that.
 */
import { FusedLoraError } from '../../base/errors';
import { loadTokenizer } from '../../data/tokenize/tokenizer';
import { findModel } from '../../io/find_model';
import { readJsonObject } from '../../io/json';
import { createModel } from '../../models';
import { decide } from '../meaning/decide';
import { factsOfConfig } from '../meaning/facts';
import type { ResolvedFineTune } from '../options/resolve_fine_tune';
import { type FolderFacts, headOf } from '../text_model';
import { meaningForTraining, openOptions, tasksFor } from './model_folder';
import type { StartedModel, TrainingStart } from './training_start';

export const isConfigFile = (model: string) => model.endsWith('.json');

/**
 * @throws FusedLoraError INVALID_CONFIG; INVALID_ARGUMENT for data without a tokenizer; what
 * finding it throws.
 */
export async function startFromConfig(run: ResolvedFineTune): Promise<TrainingStart<StartedModel>> {
  const file = run.model as string;
  const { tokenizer: given, modelType } = run.modelSettings;
  if (run.data.train !== undefined && given === undefined) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${file}: a configuration has no tokenizer for train; give its folder (--tokenizer, tokenizer)`,
    );
  }
  const json = readJsonObject(file, 'to build the model', 'INVALID_CONFIG');
  const found = given === undefined ? undefined : await findModel(given, { ...run.hub, tokenizerOnly: true });
  const tokenizer = found && loadTokenizer(found.folder);
  const facts: FolderFacts = {
    base: { ...factsOfConfig(json, file, modelType), record: undefined },
    adapter: undefined,
    tokenizer: found && decide({ value: found.folder, source: 'option', place: '--tokenizer' }),
    textTokenizer: tokenizer,
  };
  return {
    ...tasksFor(facts, run),
    opened(labels, task) {
      const meaning = meaningForTraining(facts, run, labels, task);
      const { onNotice: _, ignoreMismatchedSizes: __, ...settings } = openOptions(run);
      const model = createModel(json, { ...settings, ...headOf(meaning) });
      tokenizer?.checkRows(model.vocabSize, file);
      return {
        model,
        maxLength: meaning.maxLength.value,
        truncationSide: meaning.truncationSide.value,
        meaning,
        report: { initialized: model.namedParameters().map(([name]) => name), unused: [] },
        ...(tokenizer && { tokenizer }),
      };
    },
  };
}
