/**
 * Models from config.json and checkpoints, by architecture and task, and back to a folder. How
 * tensors find their places: weights.ts; what config.json may hold: config.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import { TASKS, type Task, type TaskSettings } from '../base/tasks';
import type { JsonObject } from '../io/json';
import { ADAPTER_CONFIG } from '../io/model_files';
import { openModelFolder, type WriteModelFolderOptions, writeModelFolder } from '../io/model_folder';
import type { TensorData } from '../io/safetensors';
import { BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification } from './bert';
import { type EncoderConfig, type ParseConfigOptions, parseConfig } from './config';
import { RobertaForMaskedLM, RobertaForSequenceClassification, RobertaForTokenClassification } from './roberta';
import type { TaskModel } from './task_model';
import { type FitOptions, fitCheckpoint, type LoadReport } from './weights';

/** What decides a model's head and dropout. */
export interface ModelOptions {
  /** What the head is for. Default: what config.json's `architectures` says. */
  task?: Task | undefined;
  /**
   * Outputs of the head. Default: the number of labelNames, else what config.json says, else 2
   * (regression: 1).
   */
  numLabels?: number | undefined;
  /** Names of the labels by id. Default: those of config.json, else LABEL_0, LABEL_1, … */
  labelNames?: readonly string[] | undefined;
  /** Seed of all parameters that no checkpoint gives, an integer from 0 to 2^53 - 1. Default 0. */
  seed?: number | undefined;
  /** In place of hidden_dropout_prob. */
  hiddenDropout?: number | undefined;
  /** In place of attention_probs_dropout_prob. */
  attentionDropout?: number | undefined;
  /** In place of classifier_dropout (which is hidden_dropout_prob where the file has none). */
  classifierDropout?: number | undefined;
  /** roberta or bert, for early config.json files that do not tell. */
  modelType?: string | undefined;
}

/** Of {@link loadModel}. */
export interface LoadModelOptions extends ModelOptions {
  /** Starts a head of another shape anew, where it would be an error. */
  ignoreMismatchedSizes?: boolean | undefined;
}

const MODEL_KEYS: Record<keyof ModelOptions, true> = {
  task: true,
  numLabels: true,
  labelNames: true,
  seed: true,
  hiddenDropout: true,
  attentionDropout: true,
  classifierDropout: true,
  modelType: true,
};
/** The names of all options of {@link loadModel}. */
export const LOAD_KEYS: Record<keyof LoadModelOptions, true> = { ...MODEL_KEYS, ignoreMismatchedSizes: true };

const CLASSES = {
  roberta: {
    'sequence-classification': RobertaForSequenceClassification,
    'multi-label-classification': RobertaForSequenceClassification,
    regression: RobertaForSequenceClassification,
    'token-classification': RobertaForTokenClassification,
    'masked-lm': RobertaForMaskedLM,
  },
  bert: {
    'sequence-classification': BertForSequenceClassification,
    'multi-label-classification': BertForSequenceClassification,
    regression: BertForSequenceClassification,
    'token-classification': BertForTokenClassification,
    'masked-lm': BertForMaskedLM,
  },
} as const;

/** `problem_type` in config.json, for models with ForSequenceClassification. */
const PROBLEM_TYPES: Partial<Record<Task, string>> = {
  'sequence-classification': 'single_label_classification',
  'multi-label-classification': 'multi_label_classification',
  regression: 'regression',
};
const TASK_OF_PROBLEM = Object.fromEntries(Object.entries(PROBLEM_TYPES).map(([task, type]) => [type, task as Task]));

function taskOf(config: EncoderConfig, task: Task | undefined, file: string): Task {
  if (task !== undefined) return task;
  const [architecture = ''] = Array.isArray(config.json['architectures'])
    ? config.json['architectures'].map(String)
    : [];
  if (architecture.endsWith('ForSequenceClassification')) {
    return TASK_OF_PROBLEM[config.problemType ?? ''] ?? 'sequence-classification';
  }
  if (architecture.endsWith('ForTokenClassification')) return 'token-classification';
  if (architecture.endsWith('ForMaskedLM')) return 'masked-lm';
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${file}: its architecture ${architecture ? `"${architecture}" ` : ''}tells no task. Pass the option task: one of ${TASKS.join(', ')}.`,
  );
}

function settingsOf(config: EncoderConfig, options: ModelOptions, file: string): TaskSettings {
  const task = taskOf(config, options.task, file);
  if (task === 'masked-lm') {
    if (config.json['tie_word_embeddings'] === false) {
      throw new FusedLoraError(
        'INVALID_CONFIG',
        `${file}: field "tie_word_embeddings" is false; expected true. A decoder of its own is not supported.`,
      );
    }
    return { task, numLabels: config.vocabSize, labelNames: [] };
  }
  const given = options.labelNames ? [...options.labelNames] : undefined;
  if (config.labelProblem !== undefined && !given && options.numLabels === undefined) {
    throw new FusedLoraError(
      'INVALID_CONFIG',
      `${file}: ${config.labelProblem}. Correct the file, or give the names (labelNames).`,
    );
  }
  const numLabels = options.numLabels ?? given?.length ?? config.numLabels ?? (task === 'regression' ? 1 : 2);
  if (!Number.isInteger(numLabels) || numLabels < 1) {
    throw new FusedLoraError('INVALID_ARGUMENT', `numLabels is ${numLabels}; it must be an integer of at least 1`);
  }
  if (given && given.length !== numLabels) {
    throw new FusedLoraError('INVALID_ARGUMENT', `numLabels is ${numLabels}, but labelNames has ${given.length} names`);
  }
  if (task === 'regression') return { task, numLabels, labelNames: [] };
  const known = given ?? (config.labelNames.length === numLabels ? config.labelNames : undefined);
  return { task, numLabels, labelNames: known ?? Array.from({ length: numLabels }, (_, i) => `LABEL_${i}`) };
}

const DROPOUTS = ['hiddenDropout', 'attentionDropout', 'classifierDropout'] as const;

/** What can be told of a model's options before there is a config.json: throws INVALID_ARGUMENT. */
export function checkModelOptions(options: ModelOptions): void {
  const { task, labelNames } = options;
  if (task !== undefined && !TASKS.includes(task)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `task is "${task}"; it must be one of ${TASKS.join(', ')}`);
  }
  if (labelNames && new Set(labelNames).size !== labelNames.length) {
    throw new FusedLoraError('INVALID_ARGUMENT', `labelNames has a name twice: ${labelNames.join(', ')}`);
  }
  for (const name of DROPOUTS) {
    const p = options[name];
    if (p !== undefined && !(p >= 0 && p < 1)) {
      throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${p}; it must be at least 0 and below 1`);
    }
  }
}

function withDropouts(config: EncoderConfig, options: ModelOptions): EncoderConfig {
  const given = DROPOUTS.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  return { ...config, ...Object.fromEntries(given) };
}

function build(json: JsonObject, options: ModelOptions, source: ParseConfigOptions): TaskModel {
  checkModelOptions(options);
  const config = withDropouts(parseConfig(json, { ...source, modelType: options.modelType }), options);
  const settings = settingsOf(config, options, source.file);
  return new CLASSES[config.family][settings.task](config, settings).nameTree(options.seed ?? 0);
}

/**
 * A model with initial values, as transformers gives them: weights N(0, initializer_range²), biases
 * 0, LayerNorm 1 and 0, the padding row 0. They are a function of the seed and each parameter's
 * path alone, and made when they are needed.
 *
 * @param config the content of a config.json.
 * @throws FusedLoraError INVALID_CONFIG, INVALID_ARGUMENT.
 */
export function createModel(config: JsonObject, options: ModelOptions = {}): TaskModel {
  return createFrom('config', config, options);
}

/** {@link createModel}, for whoever knows the file that the configuration is of. */
export function createFrom(file: string, config: JsonObject, options: ModelOptions): TaskModel {
  checkKeys('createModel', options, MODEL_KEYS);
  return build(config, options, { file });
}

/**
 * Loads a Hugging Face model folder of the RoBERTa or BERT family: config.json and
 * model.safetensors, or shards with their index, in F32, F16 or BF16, of a model with or without a
 * head. Tensors are read when they are needed.
 *
 * @returns the model, and what the checkpoint did not decide: parameters that it lacks (a new
 * head), and tensors that found no place.
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT, STATE_MISMATCH,
 * INVALID_ARGUMENT.
 */
export function loadModel(dir: string, options: LoadModelOptions = {}): { model: TaskModel; report: LoadReport } {
  checkKeys('loadModel', options, LOAD_KEYS);
  return loadFitted(dir, options);
}

/** {@link loadModel} for whoever knows which of the checkpoint's heads counts. */
export function loadFitted(
  dir: string,
  options: LoadModelOptions,
  head: Pick<FitOptions, 'leavesHeadOut' | 'replaced'> = {},
): { model: TaskModel; report: LoadReport } {
  const folder = openModelFolder(dir);
  const file = path.join(dir, 'config.json');
  const model = build(folder.config, options, { file, tensorNames: folder.tensors.keys() });
  const report = fitCheckpoint(model, folder.tensors, {
    prefix: model.config.family,
    dir,
    ignoreMismatchedSizes: options.ignoreMismatchedSizes,
    ...head,
  });
  return { model, report };
}

/**
 * config.json of a model, as transformers writes it; fields of the original that are not known here
 * are kept.
 */
export function configOf(model: TaskModel): JsonObject {
  const { config, task, labelNames, numLabels } = model;
  const json: JsonObject = {
    ...config.json,
    architectures: [model.architecture],
    model_type: config.modelType,
    attention_probs_dropout_prob: config.attentionDropout,
    classifier_dropout: config.classifierDropout,
    hidden_dropout_prob: config.hiddenDropout,
    layer_norm_eps: config.layerNormEps,
    pad_token_id: config.padTokenId,
    type_vocab_size: config.typeVocabSize,
    vocab_size: model.vocabSize,
  };
  for (const field of [
    'num_labels',
    'id2label',
    'label2id',
    'problem_type',
    'torch_dtype',
    'dtype',
    'finetuning_task',
  ]) {
    delete json[field];
  }
  json['torch_dtype'] = 'float32';
  if (task === 'masked-lm') return json;
  const names = labelNames.length ? labelNames : Array.from({ length: numLabels }, (_, i) => `LABEL_${i}`);
  json['id2label'] = Object.fromEntries(names.map((name, i) => [String(i), name]));
  json['label2id'] = Object.fromEntries(names.map((name, i) => [name, i]));
  const problemType = PROBLEM_TYPES[task];
  if (problemType !== undefined) json['problem_type'] = problemType;
  return json;
}

/** Of {@link saveModel}. */
export interface SaveModelOptions extends WriteModelFolderOptions {
  /** Element type of the weights, rounded to nearest even. Default F32. */
  dtype?: keyof typeof TORCH_DTYPES;
}

const TORCH_DTYPES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** From here on a value rounds to infinity. */
const OVERFLOW = { F32: Number.POSITIVE_INFINITY, F16: 65520, BF16: 2 ** 128 * (1 - 2 ** -9) } as const;

/**
 * Values that stay finite in a type; INVALID_ARGUMENT names the tensor and the value that does not.
 */
function finiteIn(dtype: keyof typeof TORCH_DTYPES, name: string, values: Float32Array): Float32Array {
  const limit = OVERFLOW[dtype];
  const wrong = values.find((value) => !(Math.abs(value) < limit));
  if (wrong === undefined) return values;
  const problem = Number.isFinite(wrong)
    ? `which is beyond the range of ${dtype} and would become infinite. Save it as F32 or BF16`
    : 'which no model should hold. Train or fetch it again';
  throw new FusedLoraError('INVALID_ARGUMENT', `saveModel: "${name}" holds ${wrong}, ${problem}.`);
}

/**
 * Writes a model as a Hugging Face folder that transformers loads: config.json and
 * model.safetensors, a tied parameter once. The folder is seen whole or not at all.
 *
 * @throws FusedLoraError FILE_NOT_WRITABLE; INVALID_ARGUMENT when adapters are in the model (merge
 * or unload them first, or save them alone with `saveAdapter`), when a value is not finite or not
 * in the range of `dtype`, or when the folder holds an adapter. Nothing is written then.
 */
export function saveModel(model: TaskModel, dir: string, options: SaveModelOptions = {}): void {
  const { dtype = 'F32', ...folderOptions } = options;
  const parameters = model.namedParameters();
  const foreign = parameters.find(([name]) => /\.(base_layer|lora_A|lora_B|modules_to_save)\./.test(name));
  if (foreign) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `saveModel: the model has adapters (${foreign[0]}), which a model folder can not hold. Call mergeAndUnload(model) or unload(model) ` +
        'first, or write the adapter alone with saveAdapter(model, dir).',
    );
  }
  const tensors = parameters.map(([name, parameter]): [string, TensorData] => [
    name,
    { dtype, shape: parameter.shape, data: () => finiteIn(dtype, name, parameter.data()) },
  ]);
  if (fs.existsSync(path.join(dir, ADAPTER_CONFIG))) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `saveModel: ${dir} holds an adapter (${ADAPTER_CONFIG}), which whoever loads the folder would put on the model once more. ` +
        'Give another folder.',
    );
  }
  writeModelFolder(dir, { ...configOf(model), torch_dtype: TORCH_DTYPES[dtype] }, tensors, folderOptions);
}
