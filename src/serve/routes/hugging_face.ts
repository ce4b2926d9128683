/**
 * Hugging Face's inference form, {"inputs", "parameters"}, as @huggingface/inference sends it to an
 * endpoint's address: at / for the first model, at /models/NAME for any. The same models under
 * text-embeddings-inference's form: tei.ts.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { cosineSimilarity } from '../../task/embed/embedder';
import { byScore, entitiesOf, type ScoreFunction, scoresOf } from '../answers';
import { isClassifier, runFor } from '../asked';
import type { Input } from '../encode';
import type { Engine } from '../engine';
import { SCHEMAS } from '../schemas';
import { notPossible } from '../serve_error';
import type { ServedModel } from '../served_model';
import { embeddingValues } from './tei';

type Given = string | { text: string; text_pair?: string };
interface Sentences {
  source_sentence: string;
  sentences: string[];
}

interface Body {
  inputs: Given | Given[] | Sentences;
  parameters?: {
    function_to_apply?: ScoreFunction | null;
    top_k?: number | null;
    aggregation_strategy?: string | null;
    normalize?: boolean | null;
    prompt_name?: string | null;
    truncate?: boolean | null;
  } | null;
}

const inputOf = (given: Given): Input =>
  typeof given === 'string' ? { text: given } : { text: given.text, pair: given.text_pair };
const isSentences = (inputs: Body['inputs']): inputs is Sentences =>
  typeof inputs === 'object' && 'source_sentence' in inputs;

export function huggingFaceRoutes(server: FastifyInstance, engine: Engine): void {
  const answer = async (model: ServedModel, request: FastifyRequest, reply: FastifyReply) => {
    const { inputs, parameters } = request.body as Body;
    const {
      function_to_apply: how,
      top_k: most,
      aggregation_strategy: strategy,
      normalize,
      prompt_name: prompt,
      truncate,
    } = parameters ?? {};
    const run = runFor(engine, request, reply);
    const form = { ...(typeof truncate === 'boolean' && { truncate }) };
    if (isSentences(inputs)) {
      if (isClassifier(model)) throw notPossible(`"${model.name}" compares no sentences: it is a classifier`);
      const texts = [inputs.source_sentence, ...inputs.sentences].map((text) => ({ text }));
      const [source, ...others] = (await run(model, texts, form)).map(({ values }) => values);
      return others.map((one) => cosineSimilarity(source as Float32Array, one));
    }
    const several = Array.isArray(inputs);
    const list = [inputs].flat().map((given) => inputOf(given as Given));
    const outputs = await run(model, list, { ...form, promptName: prompt ?? undefined });
    const answers = outputs.map((output, i) => {
      if (!isClassifier(model)) {
        return embeddingValues(output, normalize ?? model.embedding.settings.normalize, undefined);
      }
      const { encoded, values } = output;
      return model.task === 'token-classification'
        ? entitiesOf(model, (list[i] as Input).text, encoded, values, strategy !== 'none')
        : byScore(model, scoresOf(model, values, how ?? 'default'), most);
    });
    // Labels of one text are a list of one list too: clients read the first of it.
    const ofTexts = isClassifier(model) && model.task !== 'token-classification';
    return several || ofTexts ? answers : answers[0];
  };
  const schema = { body: SCHEMAS.huggingFace, tags: ['Hugging Face'] };

  server.post('/', { schema }, (request, reply) =>
    answer(
      engine.catalog.find(undefined, () => true, 'answers'),
      request,
      reply,
    ),
  );

  server.post<{ Params: { '*': string } }>('/models/*', { schema }, (request, reply) =>
    answer(
      engine.catalog.find(request.params['*'], () => true, 'answers'),
      request,
      reply,
    ),
  );
}
