/**
 * Who may ask: names of the server, pages of browsers, keys. Errors of what is asked for are in
 * serve_error.ts; the hooks that call this are set in plugin.ts.
 *
 * A page that somebody has open in a browser on this machine can reach a server on its loopback
 * address. It comes with an Origin, or with the name of another host (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { ServeError } from './serve_error';

const OWN_NAMES = ['localhost', '127.0.0.1', '[::1]'];
const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

const digest = (text: string) => createHash('sha256').update(text).digest();

/**
 * Compares a request's bearer token with a secret, in a time that tells nothing of it. The word
 * Bearer may be in any case (RFC 9110, 11.1).
 */
export function hasToken({ headers: { authorization = '' } }: FastifyRequest, secret: string): boolean {
  return timingSafeEqual(digest(authorization.replace(/^bearer /i, 'Bearer ')), digest(`Bearer ${secret}`));
}

const nameOf = (host: string) => {
  const url = `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname : '';
};

/**
 * Refuses names that are not the server's, and pages of other origins.
 *
 * @param allowed names that a client may use; undefined: on a loopback connection this machine's.
 * @throws ServeError 421, 403.
 */
export function checkSender(request: FastifyRequest, allowed: readonly string[] | undefined): void {
  const { host = '', origin } = request.headers;
  const loopback = LOOPBACK.test(request.socket.localAddress ?? '127.0.0.1');
  const names = allowed ?? (loopback ? OWN_NAMES : undefined);
  if (names && !names.includes(nameOf(host))) {
    throw new ServeError(
      421,
      'validation',
      `this server is not "${nameOf(host)}"; its names are given by --allowed-host (allowedHosts)`,
    );
  }
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new ServeError(403, 'validation', 'pages of other origins may not ask this server');
  }
}

/** @throws ServeError 401. */
export function checkKey(request: FastifyRequest, key: string | undefined): void {
  if (key === undefined || hasToken(request, key)) return;
  throw new ServeError(401, 'validation', 'this server needs its key, as authorization: Bearer KEY');
}
