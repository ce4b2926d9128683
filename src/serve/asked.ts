/**
 * What every route of a request needs: who waits for the answer, and until when. The routes
 * themselves are in routes/.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Input } from './encode';
import type { Engine, Output, RunOptions } from './engine';
import { notPossible } from './serve_error';
import type { ServedClassifier, ServedEmbedding, ServedModel } from './served_model';

declare module 'fastify' {
  interface FastifyRequest {
    /** The model that answers, for metrics; empty where none does. */
    servedModel: string;
  }
}

/** A header by which a request says its own deadline. */
export const DEADLINE_HEADER = 'x-request-timeout-ms';

/** The deadline that a request says, at most the server's. */
function timeoutOf(request: FastifyRequest, most: number): number {
  const said = request.headers[DEADLINE_HEADER];
  if (said === undefined) return most;
  const value = typeof said === 'string' && /^\d{1,15}$/.test(said) ? Number(said) : 0;
  if (value < 1) {
    throw notPossible(
      `${DEADLINE_HEADER} is "${String(said).slice(0, 40)}"; it must be a whole number of milliseconds`,
    );
  }
  return Math.min(value, most);
}

/** Aborted when the client goes away before its answer is written. */
function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const { raw } = reply;
  raw.once('close', () => {
    if (!raw.writableEnded) controller.abort();
  });
  return controller.signal;
}

/** Runs texts through a model for as long as the client waits. */
export function runFor(
  engine: Engine,
  request: FastifyRequest,
  reply: FastifyReply,
): (
  model: ServedModel,
  inputs: readonly Input[],
  form?: Partial<Omit<RunOptions, 'signal' | 'timeoutMs'>>,
) => Promise<Output[]> {
  const timeoutMs = timeoutOf(request, engine.options.timeoutMs);
  const signal = signalOf(reply);
  return (model, inputs, form = {}) => {
    request.servedModel = model.name;
    const { truncate = engine.options.truncate, ...others } = form;
    return engine.run(model, inputs, { ...others, truncate, signal, timeoutMs });
  };
}

export const isClassifier = (model: ServedModel): model is ServedClassifier => model.kind === 'classifier';
export const isEmbedding = (model: ServedModel): model is ServedEmbedding => model.kind === 'embedding';
const labelsTexts = (model: ServedModel) => isClassifier(model) && model.task !== 'token-classification';
/** Rerankers are classifiers of pairs with one output. */
const ranks = (model: ServedModel) => labelsTexts(model) && (model as ServedClassifier).numLabels === 1;

/** The classifier of a name, of texts or words; the first where no name is given. */
export const classifierOf = (engine: Engine, name: string | undefined) =>
  engine.catalog.find(name, isClassifier, 'labels') as ServedClassifier;
export const textClassifierOf = (engine: Engine, name: string | undefined) =>
  engine.catalog.find(name, labelsTexts, 'labels of texts') as ServedClassifier;
export const embeddingOfName = (engine: Engine, name: string | undefined) =>
  engine.catalog.find(name, isEmbedding, 'embeddings') as ServedEmbedding;
export const rankerOf = (engine: Engine, name: string | undefined) =>
  engine.catalog.find(name, ranks, 'ranks (one output)') as ServedClassifier;

/** Tokens of all texts of a request. */
export const tokensOf = (outputs: readonly Output[]) => outputs.reduce((sum, { encoded }) => sum + encoded.tokens, 0);
