/**
 * Embeddings of texts, equal to sentence-transformers': prompts, token ids, hidden states, pooling.
 * What is done with hidden states is in pooling.ts; the model is opened by
 * open_embedding_model.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { checkKeys } from '../../base/options';
import { shown } from '../../base/shown';
import { planBatches } from '../../data/batch/batch_plan';
import { outputRows } from '../../data/batch/output_rows';
import { packBatch } from '../../data/batch/packing';
import { positionsOf } from '../../data/batch/sources';
import { inChunks } from '../../data/tokenize/encode';
import type { EncodedExample } from '../../data/tokenize/encoded_example';
import { type BaseWeights, checkedHeldWeights, type EmbeddingWeights } from '../../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../../graph/device';
import { plan } from '../../graph/plan';
import { choosePrecision, type PrecisionOption } from '../../graph/precision';
import { Program } from '../../graph/program';
import { Graph } from '../../graph/value';
import type { EmbeddingModel } from './open_embedding_model';
import { embeddingOf, toUnitLength, truncateEmbedding } from './pooling';

/** Of {@link Embedder}. */
export interface EmbedderOptions {
  /** Default auto. */
  device?: DeviceOption | undefined;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption | undefined;
  /** Of the frozen weights of layers: fp32, or int8 codes. On the CPU. Default fp32. */
  baseWeights?: BaseWeights | undefined;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights | undefined;
  /** Most tokens a batch. Default 4096. */
  tokenBudget?: number | undefined;
}

/** Of {@link Embedder.embed}. */
export interface EmbedOptions {
  /**
   * Name of the prompt that is put before each text. Default: the model's default prompt, which
   * most models do not have.
   */
  promptName?: string | undefined;
  /** A prompt that the model does not name. */
  prompt?: string | undefined;
  /** Whether embeddings are made of length 1. Default: as the model's folder says. */
  normalize?: boolean | undefined;
  /** The first so many features, of models that were trained so. Default: all. */
  dimensions?: number | undefined;
  signal?: AbortSignal | undefined;
}

const EMBEDDER_KEYS: Record<keyof EmbedderOptions, true> = {
  ...{ device: true, precision: true, baseWeights: true, embeddingWeights: true, tokenBudget: true },
};
const EMBED_KEYS: Record<keyof EmbedOptions, true> = {
  ...{ promptName: true, prompt: true, normalize: true, dimensions: true, signal: true },
};

/** A text as token ids, and how many of its first tokens are not pooled. */
export interface EncodedForEmbedding {
  example: EncodedExample;
  promptTokens: number;
}

/**
 * The prompt before a text.
 *
 * @throws FusedLoraError INVALID_ARGUMENT naming those that the model has.
 */
export function promptOf({ settings }: EmbeddingModel, { promptName, prompt }: EmbedOptions): string {
  if (prompt !== undefined) return prompt;
  const { prompts, defaultPrompt } = settings;
  const name = promptName ?? defaultPrompt;
  if (name === undefined) return '';
  if (Object.hasOwn(prompts, name)) return prompts[name] as string;
  const names = Object.keys(prompts).join(', ') || 'none';
  throw new FusedLoraError('INVALID_ARGUMENT', `the model has no prompt "${name}"; it has: ${names}`);
}

/** Token ids of a prompt and a text. */
export function encodeForEmbedding(model: EmbeddingModel, text: string, prompt: string): EncodedForEmbedding {
  const { tokenizer, maxLength, settings } = model;
  const lowered = (one: string) => (settings.lowerCase ? one.toLowerCase() : one);
  const encode = (most: number) => tokenizer.encode(lowered(prompt + text), { maxLength: most });
  const { inputIds, tokenTypeIds } = encode(maxLength);
  const cut = inputIds.length === maxLength && encode(maxLength + 1).inputIds.length > maxLength;
  // As sentence-transformers counts them: the prompt alone, without the special token at its end.
  const promptTokens =
    prompt === '' || settings.includePrompt ? 0 : tokenizer.encode(lowered(prompt)).inputIds.length - 1;
  return { example: { inputIds, tokenTypeIds, ...(cut && { cut: true as const }) }, promptTokens };
}

/** A program for embeddings, kept between calls. Dispose of it when done; the model stays. */
export class Embedder {
  private readonly program: Program;
  private readonly tokenBudget: number;
  private cut = 0;

  constructor(
    private readonly embeddingModel: EmbeddingModel,
    options: EmbedderOptions = {},
  ) {
    checkKeys('Embedder', options, EMBEDDER_KEYS);
    const { backend } = chooseDevice(options.device);
    const precision = choosePrecision(options.precision, backend);
    const held = checkedHeldWeights(options);
    this.tokenBudget = Math.max(options.tokenBudget ?? 4096, embeddingModel.maxLength);
    const graph = new Graph(false);
    const { model } = embeddingModel;
    model.nameTree();
    graph.outputs.set('hidden', model.encoderModel.callOn(graph));
    this.program = new Program(plan(graph, { train: false, precision, ...held }), { backend });
  }

  /** How many of the texts so far were longer than the model's maxLength and lost tokens. */
  get numberCut(): number {
    return this.cut;
  }

  /**
   * @returns an embedding a text [dimension], in their order. The same text gives the same bits in
   * whatever company it comes.
   * @throws FusedLoraError INVALID_ARGUMENT for what is no list of texts, a prompt that the model
   * does not have, or too many dimensions.
   */
  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    checkKeys('embed', options, EMBED_KEYS);
    const wrong = Array.isArray(texts) ? texts.findIndex((text) => typeof text !== 'string') : 0;
    if (!Array.isArray(texts) || wrong >= 0) {
      const what = Array.isArray(texts) ? `texts[${wrong}] is ${shown(texts[wrong])}` : `texts is ${shown(texts)}`;
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `embed: ${what}; it takes a list of texts: embed(model, ['a text'])`,
      );
    }
    if (texts.length === 0) return [];
    const { embeddingModel } = this;
    const prompt = promptOf(embeddingModel, options);
    const { signal } = options;
    const encoded = await inChunks(texts, signal, (text) => encodeForEmbedding(embeddingModel, text, prompt));
    this.cut += encoded.filter(({ example }) => example.cut).length;
    const { settings } = embeddingModel;
    const form = { ...settings, normalize: options.normalize ?? settings.normalize };
    const embeddings = await this.run(encoded, form, signal);
    return embeddings.map((one) => truncateEmbedding(one, options.dimensions));
  }

  /** Frees the program; the model stays. */
  dispose(): void {
    this.program.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private async run(
    encoded: readonly EncodedForEmbedding[],
    form: Parameters<typeof embeddingOf>[2],
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[]> {
    const { model } = this.embeddingModel;
    const features = model.config.hiddenSize;
    const examples = encoded.map(({ example }) => example);
    const lengths = examples.map(({ inputIds }) => inputIds.length);
    const embeddings = new Array<Float32Array>(encoded.length);
    for (const indices of planBatches(lengths, { tokenBudget: this.tokenBudget, sortByLength: true })) {
      const batch = packBatch(examples, indices, positionsOf(model));
      await this.program.forward(batch, { signal });
      const hidden = this.program.read('hidden') as Float32Array;
      indices.forEach((index, s) => {
        const rows = outputRows(hidden, features, 'T', batch, s);
        embeddings[index] = embeddingOf(rows, features, form, (encoded[index] as EncodedForEmbedding).promptTokens);
      });
    }
    const wrong = embeddings.findIndex((one) => !one.every(Number.isFinite));
    if (wrong >= 0) {
      throw new FusedLoraError(
        'NON_FINITE_LOSS',
        `the embedding of text ${wrong} (counted from 0) holds NaN or infinite values. The weights of the model hold such values, or are ` +
          'too large: fetch it again.',
      );
    }
    return embeddings;
  }
}

/** {@link Embedder.embed} for a single call. */
export async function embed(
  model: EmbeddingModel,
  texts: readonly string[],
  options: EmbedOptions & EmbedderOptions = {},
): Promise<Float32Array[]> {
  const { device, precision, baseWeights, embeddingWeights, tokenBudget, ...others } = options;
  using embedder = new Embedder(model, { device, precision, baseWeights, embeddingWeights, tokenBudget });
  return await embedder.embed(texts, others);
}

/** Cosine of the angle between two embeddings. */
export function cosineSimilarity(one: Float32Array, other: Float32Array): number {
  const [a, b] = [toUnitLength(Float64Array.from(one)), toUnitLength(Float64Array.from(other))];
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}
