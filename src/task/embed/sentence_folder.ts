/**
 * What a sentence-transformers folder says of its embeddings: modules.json and the configurations
 * of its modules, in their old and new forms. Run by embedder.ts; the encoder itself is opened by
 * open_embedding_model.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { FusedLoraError } from '../../base/errors';
import { shown } from '../../base/shown';
import {
  decodeUtf8,
  isJsonObject,
  type JsonObject,
  MOST_CONFIG_BYTES,
  parseJsonObject,
  readJsonObject,
} from '../../io/json';
import { openModelFolder } from '../../io/model_folder';
import { readWhole } from '../../io/open';
import { tensorSource } from '../../io/safetensors';
import { expected, validate } from '../../io/validate';
import { type DenseLayer, POOLING_MODES, type PoolingMode } from './pooling';

/** How hidden states become an embedding, and what stands before a text. */
export interface SentenceSettings {
  /** The folder of the encoder. */
  encoder: string;
  /** Several are joined in this order. */
  pooling: readonly PoolingMode[];
  /** Whether the tokens of a prompt are pooled too. */
  includePrompt: boolean;
  /** After pooling, in this order. */
  dense: readonly DenseLayer[];
  normalize: boolean;
  /** max_seq_length of sentence_bert_config.json, which wins over the tokenizer's. */
  maxLength: number | undefined;
  /** Whether texts are lowered first. */
  lowerCase: boolean;
  /** By name: what is put before a text as it is. */
  prompts: Readonly<Record<string, string>>;
  defaultPrompt: string | undefined;
}

const MODULES = 'modules.json';
const LENGTHS = 'sentence_bert_config.json';
const SENTENCE_CONFIG = 'config_sentence_transformers.json';
/** Flags of pooling's older form. */
const FLAGS: Readonly<Record<PoolingMode, string>> = {
  cls: 'pooling_mode_cls_token',
  max: 'pooling_mode_max_tokens',
  mean: 'pooling_mode_mean_tokens',
  mean_sqrt_len_tokens: 'pooling_mode_mean_sqrt_len_tokens',
  weightedmean: 'pooling_mode_weightedmean_tokens',
  lasttoken: 'pooling_mode_lasttoken',
};
const ACTIVATIONS: Readonly<Record<string, DenseLayer['activation']>> = {
  'torch.nn.modules.activation.Tanh': 'tanh',
  'torch.nn.modules.linear.Identity': 'identity',
  'torch.nn.modules.activation.ReLU': 'relu',
  'torch.nn.modules.activation.GELU': 'gelu',
};

const modulesSchema = z.object({
  modules: z.array(z.object({ type: expected.string(), path: expected.string() }), { error: 'a list of modules' }),
});

/** Whether a folder has the modules of sentence-transformers. */
export const isSentenceFolder = (folder: string) => fs.existsSync(path.join(folder, MODULES));

/** What a folder without modules.json is taken for: its encoder, mean of the tokens. */
export function plainSettings(folder: string, pooling: PoolingMode = 'mean'): SentenceSettings {
  return {
    ...{ encoder: folder, pooling: [pooling], includePrompt: true, dense: [], normalize: false },
    ...{ maxLength: undefined, lowerCase: false, prompts: {}, defaultPrompt: undefined },
  };
}

function refuse(file: string, problem: string): never {
  throw new FusedLoraError('INVALID_CONFIG', `${file}: ${problem}. Embeddings of such a folder are not computed here.`);
}

const read = (file: string): JsonObject =>
  fs.existsSync(file) ? readJsonObject(file, 'to know the embedding', 'INVALID_CONFIG', { inFolder: true }) : {};

/**
 * Reads modules.json and what it names.
 *
 * @throws FusedLoraError INVALID_CONFIG naming the file and the field, for what is not computed.
 */
export function readSentenceFolder(folder: string): SentenceSettings {
  const file = path.join(folder, MODULES);
  const text = decodeUtf8(readWhole(file, { inFolder: true, maxBytes: MOST_CONFIG_BYTES }));
  // The file is a list.
  const json = parseJsonObject(`{"modules": ${text ?? ''}}`, file, 'INVALID_CONFIG');
  const { modules } = validate(modulesSchema, json, file);
  const kinds = modules.map(({ type, path: at }, i) => ({
    kind: type.split('.').at(-1) as string,
    at: checkedPath(file, at, i),
  }));
  const [first, second, ...others] = kinds;
  if (first?.kind !== 'Transformer') refuse(file, `its first module is ${shown(first?.kind)}; expected Transformer`);
  if (second?.kind !== 'Pooling') refuse(file, `its second module is ${shown(second?.kind)}; expected Pooling`);
  const encoder = path.join(folder, first.at);
  const dense: DenseLayer[] = [];
  let normalize = false;
  for (const { kind, at } of others) {
    if (normalize) refuse(file, `${kind} stands behind Normalize`);
    if (kind === 'Dense') dense.push(readDense(path.join(folder, at)));
    else if (kind === 'Normalize') normalize = true;
    // Dropout does nothing outside of training.
    else if (kind !== 'Dropout') refuse(file, `module "${kind}" is not known; Dense and Normalize are`);
  }
  return {
    ...{ encoder, ...readPooling(path.join(folder, second.at, 'config.json')), dense, normalize },
    ...readLengths(path.join(encoder, LENGTHS)),
    ...readPrompts(path.join(folder, SENTENCE_CONFIG)),
  };
}

/** A folder inside of the model's: no file outside is read for one that a stranger made. */
function checkedPath(file: string, at: string, index: number): string {
  const normal = path.normalize(at === '' ? '.' : at);
  if (path.isAbsolute(normal) || normal.split(path.sep).includes('..')) {
    refuse(file, `field "[${index}].path" is ${shown(at)}; expected a folder inside of this one`);
  }
  return normal;
}

function readPooling(file: string): Pick<SentenceSettings, 'pooling' | 'includePrompt'> {
  const config = readJsonObject(file, 'to know the pooling', 'INVALID_CONFIG', { inFolder: true });
  const { pooling_mode: mode, include_prompt: includePrompt = true } = config;
  if (typeof includePrompt !== 'boolean') refuse(file, `field "include_prompt" is ${shown(includePrompt)}`);
  const flagged = POOLING_MODES.filter((one) => config[FLAGS[one]] === true);
  const named = mode === undefined ? flagged : [mode].flat().map(String);
  const other = named.find((one) => !(POOLING_MODES as readonly string[]).includes(one));
  if (other !== undefined) refuse(file, `pooling ${shown(other)} is not known; ${POOLING_MODES.join(', ')} are`);
  return { pooling: named.length > 0 ? (named as PoolingMode[]) : ['mean'], includePrompt };
}

function readDense(folder: string): DenseLayer {
  const file = path.join(folder, 'config.json');
  const config = readJsonObject(file, 'to know the layer', 'INVALID_CONFIG', { inFolder: true });
  const { in_features: inFeatures, out_features: outFeatures, bias = true, activation_function: name } = config;
  const activation = name === undefined ? 'tanh' : ACTIVATIONS[String(name)];
  if (activation === undefined) refuse(file, `field "activation_function" is ${shown(name)}, which is not known`);
  for (const [field, wanted] of [
    ['module_input_name', 'sentence_embedding'],
    ['module_output_name', 'sentence_embedding'],
  ] as const) {
    const value = config[field];
    if (value !== undefined && value !== null && value !== wanted) {
      refuse(file, `field "${field}" is ${shown(value)}; expected "${wanted}"`);
    }
  }
  const { tensors } = openModelFolder(folder);
  const tensor = (key: string, shape: readonly unknown[]) => {
    const info = tensors.get(key);
    if (info && info.shape.join() === shape.join()) return tensorSource(info).read();
    return refuse(folder, `${key} is [${info?.shape.join(', ') ?? 'missing'}]; expected [${shape.join(', ')}]`);
  };
  return {
    inFeatures: Number(inFeatures),
    outFeatures: Number(outFeatures),
    weight: tensor('linear.weight', [outFeatures, inFeatures]),
    bias: bias === false ? undefined : tensor('linear.bias', [outFeatures]),
    activation,
  };
}

function readLengths(file: string): Pick<SentenceSettings, 'maxLength' | 'lowerCase'> {
  const { max_seq_length: length, do_lower_case: lowerCase = false } = read(file);
  if (length !== undefined && length !== null && !(Number.isInteger(length) && (length as number) > 0)) {
    refuse(file, `field "max_seq_length" is ${shown(length)}; expected a whole number`);
  }
  return { maxLength: (length as number | null | undefined) ?? undefined, lowerCase: lowerCase === true };
}

function readPrompts(file: string): Pick<SentenceSettings, 'prompts' | 'defaultPrompt'> {
  const { prompts = {}, default_prompt_name: name } = read(file);
  if (!isJsonObject(prompts) || !Object.values(prompts).every((prompt) => typeof prompt === 'string')) {
    refuse(file, `field "prompts" is ${shown(prompts)}; expected texts by name`);
  }
  if (name !== undefined && name !== null && !(typeof name === 'string' && Object.hasOwn(prompts, name))) {
    refuse(
      file,
      `field "default_prompt_name" is ${shown(name)}, and the prompts are ${Object.keys(prompts).join(', ')}`,
    );
  }
  return {
    prompts: prompts as Record<string, string>,
    defaultPrompt: (name as string | null | undefined) ?? undefined,
  };
}
