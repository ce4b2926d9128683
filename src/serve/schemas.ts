/**
 * JSON schemas of requests, which fastify checks and @fastify/swagger prints at /openapi.json. Each
 * protocol's routes are in routes/.
 */

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const model = {
  type: 'string',
  description: 'Which of the served models answers. Default: the first that can.',
} as const;
const side = { type: 'string', enum: ['Left', 'Right', 'left', 'right'] } as const;

/** A text, a list of texts, or one pair (a list of two); lists of these are batches. */
const teiInputs = {
  description: 'a text; ["a", "b"] for one pair; or [["a"], ["b", "c"]], a list for each of several texts and pairs',
  anyOf: [
    text,
    { type: 'array', items: text, maxItems: 2 },
    { type: 'array', items: { type: 'array', items: text, minItems: 1, maxItems: 2 } },
  ],
} as const;
const oneOrMore = { description: 'a text, or a list of texts', anyOf: [text, { type: 'array', items: text }] } as const;
const pair = {
  type: 'object',
  properties: { text, text_pair: text },
  required: ['text'],
} as const;

const body = (properties: object, required: readonly string[]) => ({ type: 'object', properties, required });

const cutting = { truncate: { type: ['boolean', 'null'] }, truncation_direction: side };

/** What a schema says, for requests that are not of its form. */
interface SchemaError {
  keyword: string;
  instancePath: string;
  message?: string | undefined;
  params: Record<string, unknown>;
  parentSchema?: { description?: string };
}

/** @param where what was checked: body. */
export function schemaMessage(errors: readonly SchemaError[], where: string): string {
  const whole = errors.find(({ keyword, parentSchema }) => keyword === 'anyOf' && parentSchema?.description);
  const [first] = errors;
  const found = whole ?? first;
  const at = `${where}${found?.instancePath ?? ''}`;
  if (whole?.parentSchema?.description) return `${at} must be ${whole.parentSchema.description}`;
  if (found?.keyword !== 'enum') return `${at} ${found?.message ?? 'is not of the form of this route'}`;
  return `${at} must be one of ${(found.params['allowedValues'] as unknown[]).map((value) => JSON.stringify(value)).join(', ')}`;
}

export const SCHEMAS = {
  predict: body({ inputs: teiInputs, raw_scores: flag, ...cutting, model }, ['inputs']),
  rerank: body(
    { query: text, texts: { type: 'array', items: text }, raw_scores: flag, return_text: flag, ...cutting, model },
    ['query', 'texts'],
  ),
  embed: body(
    {
      inputs: oneOrMore,
      normalize: flag,
      prompt_name: { type: ['string', 'null'] },
      dimensions: { type: 'integer', minimum: 1 },
      ...cutting,
      model,
    },
    ['inputs'],
  ),
  classify: body({ model, input: oneOrMore, use_activation: { type: ['boolean', 'null'] }, truncate: flag }, ['input']),
  embeddings: body(
    {
      model,
      input: oneOrMore,
      encoding_format: { type: 'string', enum: ['float', 'base64'] },
      dimensions: { type: 'integer', minimum: 1 },
      user: text,
    },
    ['input'],
  ),
  tasks: body({ input: oneOrMore, models: { type: 'array', items: text, minItems: 1 }, truncate: flag }, ['input']),
  loadAdapter: body({ lora_name: text, lora_path: text }, ['lora_name', 'lora_path']),
  unloadAdapter: body({ lora_name: text }, ['lora_name']),
  huggingFace: {
    type: 'object',
    properties: {
      inputs: {
        description:
          'a text or {"text", "text_pair"}, a list of these, or {"source_sentence", "sentences"} with a list of texts',
        anyOf: [
          text,
          pair,
          { type: 'array', items: { anyOf: [text, pair] } },
          body({ source_sentence: text, sentences: { type: 'array', items: text } }, ['source_sentence', 'sentences']),
        ],
      },
      parameters: {
        type: ['object', 'null'],
        properties: {
          function_to_apply: { type: ['string', 'null'], enum: ['default', 'none', 'softmax', 'sigmoid', null] },
          top_k: { type: ['integer', 'null'], minimum: 1 },
          aggregation_strategy: { type: ['string', 'null'], enum: ['none', 'simple', 'first', 'average', 'max', null] },
          normalize: { type: ['boolean', 'null'] },
          prompt_name: { type: ['string', 'null'] },
          truncate: { type: ['boolean', 'null'] },
        },
      },
    },
    required: ['inputs'],
  },
} as const;
