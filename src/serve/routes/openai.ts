/**
 * Routes of vLLM and of OpenAI's clients: /v1/models, /classify, /v1/embeddings, and several models
 * for one text at /v1/tasks. Models are loaded by admin.ts.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { byScore, entitiesOf, scoresOf } from '../answers';
import { classifierOf, embeddingOfName, isClassifier, runFor, textClassifierOf, tokensOf } from '../asked';
import type { Engine, Output } from '../engine';
import { SCHEMAS } from '../schemas';
import type { ServedClassifier } from '../served_model';
import { embeddingValues } from './tei';

interface ClassifyBody {
  model?: string;
  input: string | string[];
  use_activation?: boolean | null;
  truncate?: boolean;
}

interface EmbeddingsBody {
  model?: string;
  input: string | string[];
  encoding_format?: 'float' | 'base64';
  dimensions?: number;
}

interface TasksBody {
  input: string | string[];
  models?: string[];
  truncate?: boolean;
}

const now = () => Math.floor(Date.now() / 1000);
const textsOf = (input: string | string[]) => [input].flat().map((text) => ({ text }));
const cutting = (truncate: boolean | undefined) => (truncate === undefined ? {} : { truncate });

function usageOf(outputs: readonly Output[]): object {
  const tokens = tokensOf(outputs);
  return { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null };
}

export function openaiRoutes(server: FastifyInstance, engine: Engine): void {
  server.get('/v1/models', { schema: { tags: ['OpenAI'] } }, async () => ({
    object: 'list',
    data: engine.catalog.models.map((model) => ({
      ...{ id: model.name, object: 'model', created: model.created, owned_by: 'fused-lora' },
      ...{ root: model.root, parent: model.parent ?? null, max_model_len: model.maxLength, permission: [] },
      task: isClassifier(model) ? model.task : 'embedding',
    })),
  }));

  server.post<{ Body: ClassifyBody }>(
    '/classify',
    { schema: { body: SCHEMAS.classify, tags: ['vLLM'] } },
    async (request, reply) => {
      const { model: name, input, use_activation: activation, truncate } = request.body;
      const model = textClassifierOf(engine, name);
      const outputs = await runFor(engine, request, reply)(model, textsOf(input), cutting(truncate));
      const data = outputs.map(({ values }, index) => {
        const probs = scoresOf(model, values, activation === false ? 'none' : 'default');
        const [best] = byScore(model, probs);
        return { index, label: best?.label, probs, num_classes: probs.length };
      });
      return {
        id: `classify-${randomUUID()}`,
        object: 'list',
        created: now(),
        model: model.name,
        data,
        usage: usageOf(outputs),
      };
    },
  );

  server.post<{ Body: EmbeddingsBody }>(
    '/v1/embeddings',
    { schema: { body: SCHEMAS.embeddings, tags: ['OpenAI'] } },
    async (request, reply) => {
      const { model: name, input, encoding_format: format = 'float', dimensions } = request.body;
      const model = embeddingOfName(engine, name);
      const outputs = await runFor(engine, request, reply)(model, textsOf(input));
      const data = outputs.map((output, index) => {
        const values = embeddingValues(output, true, dimensions);
        const embedding =
          format === 'float' ? values : Buffer.from(Float32Array.from(values).buffer).toString('base64');
        return { object: 'embedding', index, embedding };
      });
      const tokens = tokensOf(outputs);
      return { object: 'list', data, model: model.name, usage: { prompt_tokens: tokens, total_tokens: tokens } };
    },
  );

  server.post<{ Body: TasksBody }>(
    '/v1/tasks',
    { schema: { body: SCHEMAS.tasks, tags: ['Tasks'] } },
    async (request, reply) => {
      const { input, models: names, truncate } = request.body;
      const models = names?.map((name) => classifierOf(engine, name)) ?? engine.catalog.models.filter(isClassifier);
      const texts = textsOf(input);
      const run = runFor(engine, request, reply);
      // They wait together, so they share batches.
      const outputs = await Promise.all(models.map((model) => run(model, texts, cutting(truncate))));
      if (models.length > 1) request.servedModel = '';
      const answer = (model: ServedClassifier, text: string, { encoded, values }: Output) =>
        model.task === 'token-classification'
          ? entitiesOf(model, text, encoded, values)
          : byScore(model, scoresOf(model, values));
      const data = texts.map(({ text }, index) => ({
        index,
        tasks: Object.fromEntries(
          models.map((model, m) => [model.name, answer(model, text, (outputs[m] as Output[])[index] as Output)]),
        ),
      }));
      return {
        id: `tasks-${randomUUID()}`,
        object: 'list',
        created: now(),
        models: models.map(({ name }) => name),
        data,
        usage: usageOf(outputs.flat()),
      };
    },
  );
}
