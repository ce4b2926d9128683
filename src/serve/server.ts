/**
 * A server of its own: fastify with limits against slow and large requests, and the routes of
 * plugin.ts. The command line is src/cli/serve.ts.
 */
import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import { resolveOptions, type ServeOptions } from './options';
import { peers } from './peers';
import { servePlugin } from './plugin';

/** Of {@link createServer}. */
export interface CreateServerOptions extends ServeOptions {
  /** As fastify takes it: true for pino's JSON lines, or pino's options. Default: nothing. */
  logger?: FastifyServerOptions['logger'];
}

/** A request with its headers must be there within this, slow clients or not. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
/** Longer than proxies keep idle connections, so that none is closed in the moment of its use. */
const KEEP_ALIVE_MS = 65_000;
const HEADER_BYTES = 16_384;

/**
 * Opens the models and makes a server that is ready to listen: `await server.listen({ port: 8080
 * })`. `server.close()` answers what was accepted first.
 *
 * @throws FusedLoraError INVALID_ARGUMENT where fastify, @fastify/swagger or prom-client are not
 * installed, or an option is wrong; what opening the models throws.
 */
export async function createServer(options: CreateServerOptions): Promise<FastifyInstance> {
  const { logger = false, ...others } = options;
  const { maxBytes } = resolveOptions(others);
  const server = peers().fastify({
    logger,
    bodyLimit: maxBytes,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    http: { headersTimeout: HEADERS_MS, maxHeaderSize: HEADER_BYTES, connectionsCheckingInterval: 5000 },
    routerOptions: { maxParamLength: 256 },
  });
  server.setNotFoundHandler((_, reply) =>
    reply.code(404).send({ error: 'there is no such route; GET /openapi.json has them', error_type: 'validation' }),
  );
  await server.register(servePlugin, others);
  await server.ready();
  return server;
}
