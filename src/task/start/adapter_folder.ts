/**
 * Training that goes on from an adapter, ours or PEFT's: the base that it names, its own rank,
 * modules, task, labels and head. A new adapter on a model is begun by model_folder.ts; how PEFT's
 * files are read is src/lora.
 */
import { createHash } from 'node:crypto';
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';
import type { Tokenizer } from '../../data/tokenize/tokenizer';
import { isAdapter, realFolder } from '../../io/find_model';
import { ADAPTER_CONFIG } from '../../io/model_files';
import { readWhole } from '../../io/open';
import { type LoraConfig, type ResolvedLoraConfig, resolveLoraConfig } from '../../lora';
import { findTargets } from '../../lora/match';
import { findAdapterFolder, openAdapterWeights } from '../../lora/peft_files';
import { type AdapterEntry, adapterEntry } from '../../lora/registry';
import type { TaskModel } from '../../models';
import type { ResolvedFineTune } from '../options/resolve_fine_tune';
import { locateModel, openFolders, readFolders, type TextModel } from '../text_model';
import { meaningForTraining, openOptions, tasksFor } from './model_folder';
import type { TrainingStart } from './training_start';

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', problem);

type FromAdapter = ResolvedFineTune & Required<Pick<ResolvedFineTune, 'adapter'>>;

/**
 * @throws FusedLoraError INVALID_ARGUMENT for what is no adapter, and for options that contradict
 * it; what finding the adapter and its base throws.
 */
export async function startFromAdapter(run: ResolvedFineTune): Promise<TrainingStart<TextModel>> {
  const { adapter, modelSettings } = run as FromAdapter;
  const { place, expected } = adapter as NonNullable<FromAdapter['adapter']>;
  const folders = await findFolders(run, place);
  const facts = readFolders(folders, modelSettings.modelType);
  return {
    ...tasksFor(facts, run),
    opened(labels, task) {
      const meaning = meaningForTraining(facts, run, labels, task);
      const options = { ...openOptions(run), trainable: true };
      const textModel = openFolders(folders, facts.textTokenizer as Tokenizer, meaning, options);
      const file = path.join(folders.adapter as string, ADAPTER_CONFIG);
      checkAgainst(expected, textModel.model, adapterEntry(textModel.model, 'default'), file);
      return textModel;
    },
  };
}

async function findFolders({ model, revision, modelSettings, hub }: ResolvedFineTune, place: string) {
  const { tokenizer } = modelSettings;
  // The adapter's own folder, given as the model too, is no other model.
  const named = typeof model === 'string' && realFolder(model) !== realFolder(place) ? model : undefined;
  const parts = { ...(named !== undefined && { adapter: place }), revision, tokenizer };
  const folders = await locateModel(named ?? place, parts, hub);
  if (folders.adapter === undefined || !isAdapter(folders.adapter)) {
    throw refuse(
      `${place}: has no ${ADAPTER_CONFIG}, so there is no adapter to train on from. Give the folder of one (--init-adapter, adapter), ` +
        'or leave it out and give the model (--model) for a new one.',
    );
  }
  if (isAdapter(folders.base.folder)) {
    throw refuse(
      `${folders.base.folder}: is another adapter than ${place}. Give the base model (--model), or leave it out: the adapter names its own.`,
    );
  }
  return folders;
}

/** Fields of which one value is right, whatever the model. */
const BY_VALUE = ['r', 'loraAlpha', 'useRslora', 'loraDropout', 'bias'] as const;
/** Fields that choose modules, ranks and factors, compared by what they choose. */
const BY_TARGETS = [
  'targetModules',
  'pattern',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'rankPattern',
  'alphaPattern',
] as const;

/**
 * Refuses fields of a LoRA configuration that say otherwise than the adapter's files.
 *
 * @throws FusedLoraError INVALID_ARGUMENT naming the field, its value and the file's.
 */
export function checkAgainst(expected: LoraConfig, model: TaskModel, entry: AdapterEntry, file: string): void {
  const { config, targets, saved } = entry;
  const fail = (field: keyof LoraConfig, has: string) =>
    refuse(
      `lora: ${field} is ${JSON.stringify(expected[field])}, and the adapter that training goes on from has ${has} (${file}). ` +
        `Leave ${field} out, or leave out the adapter (--init-adapter) to begin a new one.`,
    );
  if (Object.keys(expected).length === 0) return;
  const asked = resolveLoraConfig(expected);
  for (const field of BY_VALUE) {
    if (expected[field] !== undefined && asked[field] !== config[field]) throw fail(field, String(config[field]));
  }
  if (expected.initLoraWeights !== undefined) throw fail('initLoraWeights', 'values of its own');
  if (expected.modulesToSave !== undefined) {
    const ends = (at: string) => asked.modulesToSave?.some((name) => at === name || at.endsWith(`.${name}`));
    const same =
      saved.every(ends) && asked.modulesToSave?.every((name) => saved.some((at) => `.${at}`.endsWith(`.${name}`)));
    if (!same) throw fail('modulesToSave', saved.join(', ') || 'none');
  }
  const chosen = BY_TARGETS.filter((field) => expected[field] !== undefined);
  const [first] = chosen;
  if (first === undefined) return;
  const whole: ResolvedLoraConfig = {
    ...config,
    ...(expected.pattern !== undefined && { layersToTransform: undefined, layersPattern: undefined }),
    ...Object.fromEntries(chosen.map((field) => [field, asked[field]])),
  };
  const found = new Map(findTargets(model, whole, saved, { anyRank: true }).map((target) => [target.path, target]));
  const missing = targets.find(({ path: at }) => !found.has(at));
  if (missing) throw fail(first, `${missing.path} too`);
  const added = [...found.keys()].find((at) => !targets.some((target) => target.path === at));
  if (added !== undefined) throw fail(first, `nothing on ${added}`);
  const other = targets.find(({ path: at, rank, scaling }) => {
    const target = found.get(at);
    return target?.rank !== rank || target.scaling !== scaling;
  });
  if (!other) return;
  const field = chosen.find((one) => one !== 'targetModules' && one !== 'excludeModules') ?? first;
  throw fail(field, `rank ${other.rank} and alpha ${other.alpha} on ${other.path}`);
}

/**
 * What a resumed run must have begun from: the adapter's values and what they are multiplied by.
 *
 * @param folder of the adapter.
 */
export function identityOfAdapter(folder: string): string {
  const at = findAdapterFolder(folder, 'default');
  const hash = createHash('sha256');
  for (const file of [path.join(at, ADAPTER_CONFIG), openAdapterWeights(at)])
    hash.update(readWhole(file, { inFolder: true }));
  return hash.digest('hex').slice(0, 16);
}
