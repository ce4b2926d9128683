/**
 * One request to the hub: tried again where that may help; failures as errors that say what to do.
 * Whole files, resumed and checked: download.ts.
 */
import { setTimeout } from 'node:timers/promises';
import { FusedLoraError } from '../../base/errors';
import { nameOf, type Repository } from './ids';
import type { HubSettings } from './settings';

/** Tries of a request, and the wait before the second; it doubles. */
const TRIES = 4;
const FIRST_WAIT_MS = 200;
/** No answer within this time is a failure; the body may take longer. */
const ANSWER_MS = 30_000;

/** The hub could not be reached or failed by itself: what is in the cache may be used. */
export class HubUnreachable extends FusedLoraError {
  constructor(message: string, cause: unknown) {
    super('DOWNLOAD_FAILED', message, { cause });
  }
}

function aborted(signal: AbortSignal | undefined): FusedLoraError {
  return new FusedLoraError('ABORTED', 'stopped while files were downloaded; the next call goes on', {
    cause: signal?.reason,
  });
}

/** @throws FusedLoraError ABORTED where the signal asks for it. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal);
}

/**
 * `fetch` for @huggingface/hub: with the token for the hub itself alone, and tries again after
 * network errors and answers of 5xx and 429.
 *
 * @throws HubUnreachable after the last try; FusedLoraError ABORTED.
 */
export function hubFetch({ endpoint, token, signal }: HubSettings): typeof fetch {
  const origin = new URL(endpoint).origin;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    if (token !== undefined && url.origin === origin) headers.set('Authorization', `Bearer ${token}`);
    let failure: unknown;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 0) await setTimeout(FIRST_WAIT_MS * 2 ** (attempt - 1));
      checkSignal(signal);
      const answer = new AbortController();
      const timer = globalThis.setTimeout(
        () => answer.abort(new Error(`no answer in ${ANSWER_MS / 1000} s`)),
        ANSWER_MS,
      );
      const signals = signal ? [answer.signal, signal] : [answer.signal];
      try {
        const response = await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
        if (response.status < 500 && response.status !== 429) return response;
        await response.body?.cancel();
        failure = new Error(`answered ${response.status} ${response.statusText}`);
      } catch (error) {
        if (signal?.aborted) throw aborted(signal);
        failure = error;
      } finally {
        clearTimeout(timer);
      }
    }
    throw new HubUnreachable(
      `${url.origin}: ${reasonOf(failure)} (${TRIES} tries of ${url.pathname}). Check the network and HF_ENDPOINT, or try later; with HF_HUB_OFFLINE=1 files ` +
        'that were downloaded before are used',
      failure,
    );
  };
}

/** `fetch failed` says why in its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  const inner = (cause as NodeJS.ErrnoException | undefined)?.code ?? (cause as Error | undefined)?.message;
  return inner === undefined ? message : `${message} (${inner})`;
}

/** What a failed request for something of a repository means. */
export function hubError(error: unknown, repository: Repository, what: string, settings: HubSettings): unknown {
  if (error instanceof FusedLoraError) return error;
  const status = (error as { statusCode?: unknown }).statusCode;
  const name = nameOf(repository);
  const fail = (code: 'FILE_NOT_FOUND' | 'DOWNLOAD_FAILED', problem: string) =>
    new FusedLoraError(code, `${name}: ${what} ${problem}`, { cause: error });
  const withToken =
    settings.namedBy !== undefined
      ? `${settings.namedBy} names it, so it was asked for without your token: if you trust it, name it yourself (--model ${name} with --adapter, baseModel in code) with HF_TOKEN`
      : settings.token === undefined
        ? 'Set HF_TOKEN (or the option token)'
        : 'Check the token';
  switch (status) {
    case 404:
      return fail(
        'FILE_NOT_FOUND',
        `is not at ${settings.endpoint}: there is no such ${repository.type} or revision, or it is private. Check the name` +
          `${repository.type === 'model' ? ' (a path to a folder here was not found either)' : ''} and the revision.`,
      );
    case 401:
      return fail(
        'DOWNLOAD_FAILED',
        `was refused by ${settings.endpoint} (401): there is no such ${repository.type}, or it is private or gated. Check the name. ${withToken}, of an account ` +
          'that has access.',
      );
    case 403:
      return fail(
        'DOWNLOAD_FAILED',
        `was refused by ${settings.endpoint} (403): the account has no access. Accept the terms at ${settings.endpoint}/${name}. ${withToken}.`,
      );
    default:
      return fail(
        'DOWNLOAD_FAILED',
        `can not be had from ${settings.endpoint} (${reasonOf(error)}). Try later, or check HF_ENDPOINT.`,
      );
  }
}
