/**
 * config.json of an encoder, checked and with transformers' defaults, and what follows from it for
 * positions. A task is chosen in auto.ts.
 */
import * as os from 'node:os';
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import type { ActivationKind } from '../graph/ops';
import type { JsonObject } from '../io/json';
import { expected, validate } from '../io/validate';

/**
 * What the encoders differ in: RoBERTa counts positions from pad_token_id + 1 and has another head;
 * BERT has a pooler.
 */
export type ModelFamily = 'roberta' | 'bert';

/** config.json, checked. */
export interface EncoderConfig {
  family: ModelFamily;
  /** `model_type` as written to config.json, e.g. xlm-roberta. */
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  intermediateSize: number;
  hiddenAct: ActivationKind;
  hiddenDropout: number;
  attentionDropout: number;
  /** Dropout of the head; null takes hiddenDropout. */
  classifierDropout: number | null;
  maxPositionEmbeddings: number;
  typeVocabSize: number;
  initializerRange: number;
  layerNormEps: number;
  padTokenId: number;
  /** Labels of the head by id; empty where the file names none. */
  labelNames: string[];
  /** Why the names that the file has name no outputs: ids with gaps. */
  labelProblem?: string | undefined;
  /** Number of outputs of the head; undefined where the file tells none. */
  numLabels: number | undefined;
  /** "regression" or a kind of classification; undefined where the file tells none. */
  problemType: string | undefined;
  /** config.json as it stands; fields that are not known here are written back. */
  json: JsonObject;
}

const FAMILIES: Readonly<Record<string, ModelFamily>> = {
  roberta: 'roberta',
  'xlm-roberta': 'roberta',
  camembert: 'roberta',
  bert: 'bert',
};

const ACTIVATIONS: Readonly<Record<string, ActivationKind>> = {
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  relu: 'relu',
};

/**
 * The largest sizes that are read: several times those of any encoder. What a file says is compared
 * with them before anything is built of it.
 */
export const LIMITS = {
  vocab_size: 10_000_000,
  hidden_size: 65_536,
  num_hidden_layers: 256,
  num_attention_heads: 4096,
  intermediate_size: 524_288,
  max_position_embeddings: 4_194_304,
  type_vocab_size: 65_536,
  num_labels: 1_000_000,
} as const;
/** Values of the largest matrix. */
const MOST_VALUES = 2 ** 32;

const size = (field: keyof typeof LIMITS) => expected.integer(1, LIMITS[field]);
const dropout = expected.number(0, 1);

/**
 * Fields that transformers always writes are required; the others have the defaults of its
 * BertConfig and RobertaConfig.
 */
const fields = z.object({
  vocab_size: size('vocab_size'),
  hidden_size: size('hidden_size'),
  num_hidden_layers: size('num_hidden_layers'),
  num_attention_heads: size('num_attention_heads'),
  intermediate_size: size('intermediate_size'),
  max_position_embeddings: size('max_position_embeddings'),
  type_vocab_size: size('type_vocab_size').default(2),
  hidden_act: expected.oneOf(['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu']).default('gelu'),
  hidden_dropout_prob: dropout.default(0.1),
  attention_probs_dropout_prob: dropout.default(0.1),
  classifier_dropout: dropout.nullish(),
  initializer_range: expected.number(0, 10).default(0.02),
  layer_norm_eps: expected.number(0, 1).optional(),
  pad_token_id: expected.integer(0).nullish(),
  num_labels: size('num_labels').optional(),
  id2label: z.record(z.string(), expected.string(), { error: 'an object from label id to label name' }).nullish(),
  problem_type: expected.oneOf(['regression', 'single_label_classification', 'multi_label_classification']).nullish(),
  position_embedding_type: z.literal('absolute', { error: '"absolute", the only kind that is supported' }).nullish(),
  is_decoder: z.literal(false, { error: 'false: decoders are not supported' }).nullish(),
  add_cross_attention: z.literal(false, { error: 'false: decoders are not supported' }).nullish(),
  quantization_config: z
    .null({
      error:
        'none, or that of bitsandbytes in a model folder: other codes of quantised weights are not read. Save the model as floats (in transformers: model.dequantize()), and give baseWeights (--base-weights)',
    })
    .optional(),
});

/** Of {@link parseConfig}. */
export interface ParseConfigOptions {
  /** For errors: the path of config.json. */
  file: string;
  /** What the file is, where it does not say so itself: roberta or bert. */
  modelType?: string | undefined;
  /** Names of the tensors beside it, which tell the family where config.json does not. */
  tensorNames?: Iterable<string>;
}

function familyOf(modelType: string, file: string, field: string): ModelFamily {
  const family = Object.hasOwn(FAMILIES, modelType) ? FAMILIES[modelType] : undefined;
  if (family) return family;
  throw new FusedLoraError(
    'INVALID_CONFIG',
    `${file}: ${field} is "${modelType}"; expected one of ${Object.keys(FAMILIES).join(', ')}. Other architectures are not supported.`,
  );
}

/**
 * model_type, or for early files (which lack it): architectures, then tensor names, then what only
 * one family has.
 */
function findModelType(json: JsonObject, options: ParseConfigOptions): string {
  const { file, modelType } = options;
  if (modelType !== undefined) {
    familyOf(modelType, file, 'the option modelType');
    return modelType;
  }
  if (json['model_type'] !== undefined && json['model_type'] !== null) {
    familyOf(String(json['model_type']), file, 'field "model_type"');
    return String(json['model_type']);
  }
  const architectures: unknown[] = Array.isArray(json['architectures']) ? json['architectures'] : [];
  for (const [start, type] of [
    ['XLMRoberta', 'xlm-roberta'],
    ['Camembert', 'camembert'],
    ['Roberta', 'roberta'],
    ['Bert', 'bert'],
  ] as const) {
    if (architectures.some((name) => String(name).startsWith(start))) return type;
  }
  for (const name of options.tensorNames ?? []) {
    if (name.startsWith('roberta.')) return 'roberta';
    if (name.startsWith('bert.')) return 'bert';
  }
  // 514 = 512 + the two positions that RoBERTa never uses; BERT has two token types.
  if (json['type_vocab_size'] === 1 && Number(json['max_position_embeddings']) % 64 === 2) return 'roberta';
  if (json['type_vocab_size'] === 2 && Number(json['max_position_embeddings']) % 64 === 0) return 'bert';
  throw new FusedLoraError(
    'INVALID_CONFIG',
    `${file}: has neither "model_type" nor "architectures", and its fields fit RoBERTa as well as BERT. Pass the option modelType: 'roberta' or 'bert'.`,
  );
}

/**
 * Sees that a model that is made of a configuration alone, with no weights that took somebody's
 * disk, fits this machine.
 *
 * @param memory bytes of the machine.
 * @throws FusedLoraError OUT_OF_MEMORY.
 */
export function checkFits(
  model: { parameters(): readonly { readonly count: number }[] },
  file: string,
  memory = os.totalmem(),
): void {
  const bytes = 4 * model.parameters().reduce((sum, { count }) => sum + count, 0);
  if (bytes <= memory) return;
  const gigabytes = (n: number) => (n / 1e9).toFixed(1);
  throw new FusedLoraError(
    'OUT_OF_MEMORY',
    `${file}: describes a model of ${gigabytes(bytes)} GB, and this machine has ${gigabytes(memory)} GB of memory. Take smaller sizes.`,
  );
}

/** Whether the weights beside it have the layers that config.json says, by their names. */
function checkLayers(layers: number, { file, tensorNames }: ParseConfigOptions): void {
  let most = 0;
  for (const name of tensorNames ?? []) {
    const layer = /(?:^|\.)encoder\.layer\.(\d{1,9})\./.exec(name)?.[1];
    if (layer !== undefined) most = Math.max(most, Number(layer) + 1);
  }
  if (most === 0 || layers <= most) return;
  throw new FusedLoraError(
    'INVALID_CONFIG',
    `${file}: field "num_hidden_layers" is ${layers}, and the weights beside it have ${most} layers. Correct the file, or fetch the whole model again.`,
  );
}

/**
 * Names by id; none where ids have gaps or names are blank, which name no outputs and hold nobody
 * up who has others.
 */
function labelNamesOf(id2label: Record<string, string>): Pick<EncoderConfig, 'labelNames' | 'labelProblem'> {
  const ids = Object.keys(id2label);
  const names: string[] = [];
  for (const [id, name] of Object.entries(id2label)) {
    if (/^\d{1,7}$/.test(id) && Number(id) < ids.length) names[Number(id)] = name;
  }
  if (Object.keys(names).length === ids.length) {
    const blank = names.findIndex((name) => name.trim() === '');
    if (blank < 0) return { labelNames: names };
    return { labelNames: [], labelProblem: `field "id2label" has no name for the id ${blank}` };
  }
  const found = `${ids.slice(0, 10).join(', ')}${ids.length > 10 ? ' …' : ''}`;
  const problem = `field "id2label" has the ids ${found}; expected 0 to ${ids.length - 1} without gaps`;
  return { labelNames: [], labelProblem: problem };
}

/**
 * Checks config.json of a RoBERTa or BERT model.
 *
 * @throws FusedLoraError INVALID_CONFIG naming the file, the field, its value and what is expected.
 */
export function parseConfig(json: JsonObject, options: ParseConfigOptions): EncoderConfig {
  const { file } = options;
  const modelType = findModelType(json, options);
  const family = familyOf(modelType, file, 'field "model_type"');
  const c = validate(fields, json, file);
  const fail = (problem: string) => new FusedLoraError('INVALID_CONFIG', `${file}: ${problem}`);
  if (c.hidden_size % c.num_attention_heads !== 0) {
    throw fail(
      `field "hidden_size" is ${c.hidden_size}; expected a multiple of "num_attention_heads", which is ${c.num_attention_heads}`,
    );
  }
  for (const field of ['vocab_size', 'max_position_embeddings', 'intermediate_size'] as const) {
    if (c[field] * c.hidden_size <= MOST_VALUES) continue;
    throw fail(
      `fields "${field}" and "hidden_size" are ${c[field]} and ${c.hidden_size}; a matrix of more than ${MOST_VALUES} values is beyond the limit here`,
    );
  }
  checkLayers(c.num_hidden_layers, options);
  const padTokenId = c.pad_token_id ?? (family === 'roberta' ? 1 : 0);
  if (padTokenId >= c.vocab_size) {
    throw fail(`field "pad_token_id" is ${padTokenId}; expected an id below "vocab_size", which is ${c.vocab_size}`);
  }
  if (family === 'roberta' && c.max_position_embeddings <= padTokenId + 1) {
    throw fail(
      `field "max_position_embeddings" is ${c.max_position_embeddings}; expected more than pad_token_id + 1 = ${padTokenId + 1}, where positions start`,
    );
  }
  const { labelNames, labelProblem } = labelNamesOf(c.id2label ?? {});
  return {
    family,
    modelType,
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    numHiddenLayers: c.num_hidden_layers,
    numAttentionHeads: c.num_attention_heads,
    intermediateSize: c.intermediate_size,
    hiddenAct: ACTIVATIONS[c.hidden_act] as ActivationKind,
    hiddenDropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
    classifierDropout: c.classifier_dropout ?? null,
    maxPositionEmbeddings: c.max_position_embeddings,
    typeVocabSize: c.type_vocab_size,
    initializerRange: c.initializer_range,
    layerNormEps: c.layer_norm_eps ?? 1e-12,
    padTokenId,
    labelNames,
    labelProblem,
    numLabels: labelNames.length > 0 ? labelNames.length : c.num_labels,
    problemType: c.problem_type ?? undefined,
    json,
  };
}

/**
 * Positions that a sequence may have: RoBERTa's table has pad_token_id + 1 rows that no token uses.
 */
export function maxLengthOf(config: EncoderConfig): number {
  return config.maxPositionEmbeddings - positionOffsetOf(config);
}

/** The position id of a sequence's first token. */
export function positionOffsetOf(config: EncoderConfig): number {
  return config.family === 'roberta' ? config.padTokenId + 1 : 0;
}
