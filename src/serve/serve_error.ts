/**
 * Errors of requests by text-embeddings-inference's codes and form: {"error", "error_type"}. Where
 * they become answers is plugin.ts; the codes of the library are in src/base/errors.ts.
 */
import { FusedLoraError } from '../base/errors';

/** text-embeddings-inference's words. */
export type ServeErrorType = 'unhealthy' | 'backend' | 'overloaded' | 'tokenizer' | 'validation' | 'empty';

/** An error that a client is told. */
export class ServeError extends Error {
  constructor(
    readonly status: number,
    readonly type: ServeErrorType,
    message: string,
    /** Seconds after which the client may try again. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** Too many wait. */
export const overloaded = (message: string) => new ServeError(429, 'overloaded', message, 1);

/** The request is well formed, and asks for what can not be. */
export const notPossible = (message: string) => new ServeError(422, 'validation', message);

export const tooLarge = (message: string) => new ServeError(413, 'validation', message);

/** What fastify's own errors say beside their message. */
interface HttpError {
  statusCode?: number;
  code?: string;
  validation?: unknown;
}

/**
 * The status and body of an error. What is no fault of the request is told without its message,
 * which may name files of the server.
 */
export function answerOf(error: unknown): {
  status: number;
  body: { error: string; error_type: ServeErrorType };
  retryAfter?: number | undefined;
} {
  if (error instanceof ServeError) {
    const { status, type, message, retryAfter } = error;
    return { status, body: { error: message, error_type: type }, retryAfter };
  }
  if (error instanceof FusedLoraError) {
    if (error.code === 'INVALID_TOKENIZER') {
      const problem = 'a text has a word or a special token that the model has no id or row for';
      return { status: 422, body: { error: problem, error_type: 'tokenizer' } };
    }
    const problem = error.code === 'NON_FINITE_LOSS' ? error.message : 'the model could not run; the log has it';
    return { status: 424, body: { error: problem, error_type: 'backend' } };
  }
  const { statusCode = 500, validation, code } = error as HttpError;
  const message = error instanceof Error ? error.message : String(error);
  if (validation !== undefined || code === 'FST_ERR_CTP_INVALID_JSON_BODY' || code === 'FST_ERR_CTP_EMPTY_JSON_BODY') {
    return { status: 422, body: { error: message, error_type: 'validation' } };
  }
  if (statusCode >= 400 && statusCode < 500) {
    return { status: statusCode, body: { error: message, error_type: 'validation' } };
  }
  if (statusCode === 503) return { status: 503, body: { error: message, error_type: 'unhealthy' } };
  return { status: 500, body: { error: 'internal error; the log of the server has it', error_type: 'backend' } };
}
