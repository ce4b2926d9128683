/**
 * Routes of text-embeddings-inference: /predict, /rerank, /embed, /info, /health. Its codes of
 * errors hold for all routes: ../serve_error.ts.
 */
import type { FastifyInstance } from 'fastify';
import { VERSION } from '../../base/version';
import { dimensionOf, toUnitLength, truncateEmbedding } from '../../task/embed/pooling';
import { byScore, entitiesOf, scoresOf } from '../answers';
import { classifierOf, embeddingOfName, isClassifier, rankerOf, runFor } from '../asked';
import type { Input } from '../encode';
import type { Engine, Output } from '../engine';
import { SCHEMAS } from '../schemas';
import { notPossible, ServeError } from '../serve_error';
import type { ServedModel } from '../served_model';

interface Cutting {
  truncate?: boolean | null;
  truncation_direction?: string;
  model?: string;
}

interface PredictBody extends Cutting {
  inputs: string | string[] | string[][];
  raw_scores?: boolean;
}

interface RerankBody extends Cutting {
  query: string;
  texts: string[];
  raw_scores?: boolean;
  return_text?: boolean;
}

interface EmbedBody extends Cutting {
  inputs: string | string[];
  normalize?: boolean;
  prompt_name?: string | null;
  dimensions?: number;
}

/** How texts are cut, as far as a request says. */
function cuttingOf({ truncate, truncation_direction: side }: Cutting) {
  const truncationSide = side === undefined ? undefined : (side.toLowerCase() as 'left' | 'right');
  return { ...(typeof truncate === 'boolean' && { truncate }), truncationSide };
}

const inputOf = ([text = '', pair]: readonly string[]): Input => ({ text, pair });

/** A flat list of one or two texts is one text or pair; a batch is a list of lists. */
function inputsOf(inputs: PredictBody['inputs']): { list: Input[]; batch: boolean } {
  if (typeof inputs === 'string') return { list: [{ text: inputs }], batch: false };
  if (inputs.length === 0) return { list: [], batch: true };
  if (typeof inputs[0] === 'string') return { list: [inputOf(inputs as string[])], batch: false };
  return { list: (inputs as string[][]).map(inputOf), batch: true };
}

/** An embedding as a request wants it. */
export function embeddingValues({ values }: Output, normalize: boolean, dimensions: number | undefined): number[] {
  if (dimensions !== undefined && dimensions > values.length) {
    throw notPossible(`dimensions is ${dimensions}, and the model has ${values.length}`);
  }
  const all = normalize ? Float32Array.from(toUnitLength(Float64Array.from(values))) : values;
  return [...truncateEmbedding(all, dimensions)];
}

/** What a model is, in the words of text-embeddings-inference. */
function modelType(model: ServedModel): object {
  if (!isClassifier(model)) {
    const { settings } = model.embedding;
    return {
      embedding: {
        pooling: settings.pooling.join('+'),
        dimension: dimensionOf(settings, model.model.config.hiddenSize),
      },
    };
  }
  const id2label = Object.fromEntries(model.labelNames.map((name, id) => [String(id), name]));
  const label2id = Object.fromEntries(model.labelNames.map((name, id) => [name, id]));
  const kind = model.numLabels === 1 && model.task !== 'token-classification' ? 'reranker' : 'classifier';
  return { [kind]: { id2label, label2id } };
}

export function teiRoutes(server: FastifyInstance, engine: Engine): void {
  server.post<{ Body: PredictBody }>(
    '/predict',
    { schema: { body: SCHEMAS.predict, tags: ['TEI'] } },
    async (request, reply) => {
      const { inputs, raw_scores: raw = false, model: name, ...others } = request.body;
      const model = classifierOf(engine, name);
      const { list, batch } = inputsOf(inputs);
      const outputs = await runFor(engine, request, reply)(model, list, cuttingOf(others));
      const answers = outputs.map(({ encoded, values }, i) =>
        model.task === 'token-classification'
          ? entitiesOf(model, (list[i] as Input).text, encoded, values)
          : byScore(model, scoresOf(model, values, raw ? 'none' : 'default')),
      );
      return batch ? answers : answers[0];
    },
  );

  server.post<{ Body: RerankBody }>(
    '/rerank',
    { schema: { body: SCHEMAS.rerank, tags: ['TEI'] } },
    async (request, reply) => {
      const {
        query,
        texts,
        raw_scores: raw = false,
        return_text: withText = false,
        model: name,
        ...others
      } = request.body;
      const model = rankerOf(engine, name);
      const pairs = texts.map((text) => ({ text: query, pair: text }));
      const outputs = await runFor(engine, request, reply)(model, pairs, cuttingOf(others));
      const ranks = outputs.map(({ values }, index) => {
        const [score] = scoresOf(model, values, raw ? 'none' : 'sigmoid');
        return { index, score: score as number, ...(withText && { text: texts[index] }) };
      });
      return ranks.sort((a, b) => b.score - a.score);
    },
  );

  server.post<{ Body: EmbedBody }>(
    '/embed',
    { schema: { body: SCHEMAS.embed, tags: ['TEI'] } },
    async (request, reply) => {
      const { inputs, normalize = true, prompt_name: prompt, dimensions, model: name, ...others } = request.body;
      const model = embeddingOfName(engine, name);
      const form = { ...cuttingOf(others), promptName: prompt ?? undefined };
      const list = [inputs].flat().map((text) => ({ text }));
      const outputs = await runFor(engine, request, reply)(model, list, form);
      return outputs.map((output) => embeddingValues(output, normalize, dimensions));
    },
  );

  server.get('/info', { schema: { tags: ['TEI'] } }, async () => {
    const { options, catalog } = engine;
    const [first] = catalog.models;
    const { maxBatchTokens, maxTexts, maxWaiting, truncate } = options;
    const about = (model: ServedModel) => ({
      model_id: model.name,
      model_type: modelType(model),
      max_input_length: model.maxLength,
    });
    return {
      ...(first && about(first)),
      ...{ model_sha: null, model_dtype: 'float32', max_concurrent_requests: maxWaiting },
      ...{ max_batch_tokens: maxBatchTokens, max_batch_requests: null, max_client_batch_size: maxTexts },
      ...{ auto_truncate: truncate, tokenization_workers: 1, version: VERSION, sha: null, docker_label: null },
      served: catalog.models.map((model) => ({ ...about(model), ...(isClassifier(model) && { task: model.task }) })),
    };
  });

  server.get('/health', { schema: { tags: ['TEI'] } }, async (_, reply) => {
    if (!engine.isReady) throw new ServeError(503, 'unhealthy', 'the server is not ready, or stops');
    return reply.send();
  });
}
