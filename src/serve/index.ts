/**
 * The entry `fused-lora/serve`: models over HTTP. It needs fastify, @fastify/swagger and
 * prom-client, which are installed beside it; the rest of the package (src/index.ts) does not.
 */
export type { ServeOptions } from './options';
export { servePlugin } from './plugin';
export { type CreateServerOptions, createServer } from './server';
