/**
 * Facts of folders before any model is built: config.json, fused_lora.json, adapter_config.json,
 * the tokenizer's configuration, and the headers of the weights. What follows from them is decided
 * in resolve.ts.
 */
import * as path from 'node:path';
import { listNames } from '../../base/near';
import type { Tokenizer } from '../../data/tokenize/tokenizer';
import { isJsonObject, type JsonObject } from '../../io/json';
import { ADAPTER_WEIGHTS, CONFIG, SETTINGS, WEIGHTS } from '../../io/model_files';
import { openModelFolder } from '../../io/model_folder';
import { adapterFacts } from '../../lora/adapter_facts';
import { maxLengthOf, parseConfig } from '../../models/config';
import { readRecord } from './record';
import type { AdapterFacts, BaseFacts, TokenizerFacts } from './types';

const HEAD = /^(?:classifier|score|cls)\./;

/** Whether names are what transformers writes for labels without one: LABEL_0, LABEL_1 … */
export const isNumbered = (names: readonly string[]) => names.every((name, id) => name === `LABEL_${id}`);

/** num_labels that says another number than there are names: those count, as in transformers. */
function noteOnCount({ num_labels: said }: JsonObject, { length }: readonly string[], file: string): string[] {
  if (said === undefined || said === null || length === 0 || said === length) return [];
  return [`${file}: num_labels is ${said}, and id2label names ${length} labels; id2label counts`];
}

/** Names by id2label and label2id, which say the same in files of transformers; both count here. */
function labelsOfConfig(
  { id2label, label2id }: JsonObject,
  labelNames: readonly string[],
  file: string,
): Pick<BaseFacts, 'labelNames' | 'labelField' | 'labelNotes'> & Partial<Pick<BaseFacts, 'numLabels'>> {
  if (!isJsonObject(label2id)) return { labelNames };
  const others: string[] = [];
  for (const [name, id] of Object.entries(label2id)) if (typeof id === 'number') others[id] = name;
  const whole = others.length > 0 && Object.keys(others).length === others.length;
  if (isNumbered(others) || others.every((name, id) => name === labelNames[id])) return { labelNames };
  if (whole && isNumbered(labelNames) && (labelNames.length === 0 || labelNames.length === others.length)) {
    const numLabels = id2label === undefined || id2label === null ? { numLabels: others.length } : {};
    return { labelNames: others, labelField: 'label2id', ...numLabels };
  }
  const said = Object.entries(label2id).map(([name, id]) => `${name} ${id}`);
  const note = `${file}: label2id says ${listNames(said)}, id2label ${labelNames.map((name, id) => `${name} ${id}`).join(', ') || 'nothing'}; id2label counts`;
  return { labelNames, labelNotes: [note] };
}

const withNotes = <T extends { labelNotes?: readonly string[] }>(facts: T, notes: readonly string[]): T =>
  notes.length === 0 ? facts : { ...facts, labelNotes: [...(facts.labelNotes ?? []), ...notes] };

/** Of an id2label that names no outputs, whatever label2id says. */
const unnamed = (labelProblem: string) => ({
  labelNames: [],
  labelProblem,
  labelNotes: [`${labelProblem}: its names are not taken`],
});

/** @param modelType for early config.json files that do not tell. */
export function factsOfConfig(
  json: JsonObject,
  file: string,
  modelType?: string,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }> = new Map(),
): Omit<BaseFacts, 'record'> {
  const config = parseConfig(json, { file, modelType, tensorNames: tensors.keys() });
  const dir = path.dirname(file);
  const architectures = json['architectures'];
  return {
    configFile: file,
    recordFile: path.join(dir, SETTINGS),
    weightsFile: path.join(dir, WEIGHTS),
    family: config.family,
    architecture: Array.isArray(architectures) ? String(architectures[0]) : undefined,
    problemType: config.problemType,
    numLabels: config.numLabels,
    ...(config.labelProblem === undefined
      ? withNotes(labelsOfConfig(json, config.labelNames, file), noteOnCount(json, config.labelNames, file))
      : unnamed(`${file}: ${config.labelProblem}`)),
    positions: maxLengthOf(config),
    head: new Map([...tensors].filter(([name]) => HEAD.test(name)).map(([name, { shape }]) => [name, shape])),
  };
}

/** @throws FusedLoraError what opening the folder and checking config.json throw. */
export function baseFacts(dir: string, modelType?: string): BaseFacts {
  const { config, tensors } = openModelFolder(dir);
  return { ...factsOfConfig(config, path.join(dir, CONFIG), modelType, tensors), record: readRecord(dir) };
}

/** @throws FusedLoraError what reading the adapter's files throws. */
export function factsOfAdapter(dir: string): AdapterFacts {
  const { folder, configFile, task, taskType, head, numLabels } = adapterFacts(dir);
  const at = (name: string) => path.join(folder, name);
  return {
    ...{ configFile, task, taskType, head, numLabels },
    recordFile: at(SETTINGS),
    weightsFile: at(ADAPTER_WEIGHTS),
    record: readRecord(folder),
  };
}

/** What a tokenizer says of the texts that it is for. */
export function tokenizerFacts(folder: string, tokenizer: Tokenizer): TokenizerFacts {
  return { folder, maxLength: tokenizer.modelMaxLength, truncationSide: tokenizer.truncationSide };
}
