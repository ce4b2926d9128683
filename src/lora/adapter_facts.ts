/**
 * What an adapter's folder says of itself before any model is built: its task, base, head and
 * vocabulary. Who decides by it what a model means is src/task; the adapter's values are read by
 * peft_files.ts.
 */
import * as path from 'node:path';
import { isJsonObject, readJsonObject } from '../io/json';
import { ADAPTER_CONFIG, SUBSPACE_TYPE } from '../io/model_files';
import { SafetensorsFile } from '../io/safetensors';
import { HEADS, PREFIX, plainKeys } from './adapter_keys';
import { findAdapterFolder, openAdapterWeights } from './peft_files';

/** Of {@link adapterFacts}. Nothing is guessed: what the files do not say is undefined. */
export interface AdapterFacts {
  /** The folder that holds adapter_config.json. */
  folder: string;
  /** adapter_config.json, for messages. */
  configFile: string;
  /** PEFT's word: SEQ_CLS, TOKEN_CLS, FEATURE_EXTRACTION, … */
  taskType: string | undefined;
  /**
   * The task by task_type, else by the class that PEFT put the adapter on, else by the form of the
   * head. SEQ_CLS is sequence-classification, though it may also be regression or several labels:
   * PEFT does not tell.
   */
  task: 'sequence-classification' | 'token-classification' | undefined;
  /** base_model_name_or_path: a folder or a name on the hub. */
  baseModel: string | undefined;
  /** The base's revision on the hub. */
  revision: string | undefined;
  /**
   * The class that the adapter was put on (auto_mapping), e.g. RobertaForSequenceClassification.
   */
  baseClass: string | undefined;
  /** Whether the file holds a head whole. */
  hasHead: boolean;
  /**
   * Tensors of the head with their shapes, by path in the model: `classifier.out_proj.weight` → [3,
   * 768].
   */
  head: ReadonlyMap<string, readonly number[]>;
  /** Outputs of the head: rows of its last matrix, or of the LoRA matrix on it. */
  numLabels: number | undefined;
  /** Rows of the word embedding, where the file holds it. */
  vocabSize: number | undefined;
}

const TASKS: Readonly<Record<string, AdapterFacts['task']>> = {
  SEQ_CLS: 'sequence-classification',
  TOKEN_CLS: 'token-classification',
};
const CLASSES: [string, AdapterFacts['task']][] = [
  ['ForSequenceClassification', 'sequence-classification'],
  ['ForTokenClassification', 'token-classification'],
];

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

/**
 * Reads adapter_config.json and the header of adapter_model.safetensors.
 *
 * @param dir an adapter's folder, or one that has it in a sub-folder `default`.
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT.
 */
export function adapterFacts(dir: string): AdapterFacts {
  const folder = findAdapterFolder(dir, 'default');
  const configFile = path.join(folder, ADAPTER_CONFIG);
  const json = readJsonObject(configFile, 'to know the adapter', 'INVALID_CONFIG', { inFolder: true });
  const mapping = json['auto_mapping'];
  const baseClass = isJsonObject(mapping) ? text(mapping['base_model_class']) : undefined;
  const taskType = text(json['task_type']);
  const head = new Map<string, readonly number[]>();
  let numLabels: number | undefined;
  let vocabSize: number | undefined;
  for (const [key, { shape }] of plainKeys(
    SafetensorsFile.open(openAdapterWeights(folder), { inFolder: true }).tensors,
  )) {
    const at = key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key;
    if (/(^|\.)embeddings\.word_embeddings\.weight$/.test(at)) vocabSize = shape[0];
    if (!HEADS.some((name) => at.startsWith(`${name}.`))) continue;
    if (!at.includes('.lora_')) head.set(at, shape);
    if (/^(?:classifier|score)(?:\.out_proj)?\.(?:weight|lora_B\.weight)$/.test(at)) numLabels = shape[0];
  }
  const byHead = head.has('classifier.out_proj.weight') ? 'sequence-classification' : undefined;
  // A point in a subspace has no tensors of the head's shape.
  const subspace = json['peft_type'] === SUBSPACE_TYPE ? json['subspace'] : undefined;
  if (isJsonObject(subspace) && typeof subspace['numLabels'] === 'number') numLabels = subspace['numLabels'];
  return {
    folder,
    configFile,
    taskType,
    task:
      (taskType === undefined ? undefined : TASKS[taskType]) ??
      CLASSES.find(([end]) => baseClass?.endsWith(end))?.[1] ??
      byHead,
    baseModel: text(json['base_model_name_or_path']),
    revision: text(json['revision']),
    baseClass,
    hasHead: head.size > 0,
    head,
    numLabels,
    vocabSize,
  };
}
