/**
 * All routes with their hooks as a fastify plugin, for a service of your own. A whole server of its
 * own is server.ts; what answers is engine.ts.
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { VERSION } from '../base/version';
import { Engine } from './engine';
import { checkKey, checkSender } from './guard';
import { Metrics } from './metrics';
import { resolveOptions, type ServeOptions } from './options';
import { peers } from './peers';
import { adminRoutes } from './routes/admin';
import { huggingFaceRoutes } from './routes/hugging_face';
import { openaiRoutes } from './routes/openai';
import { pageRoutes } from './routes/page';
import { teiRoutes } from './routes/tei';
import { schemaMessage } from './schemas';
import { answerOf, ServeError } from './serve_error';

/** Routes that need no key: whether it is alive, and the page, which asks for it. */
const OPEN = new Set(['/health', '/ui']);

/**
 * A fastify plugin with all routes; errors, hooks and schema settings hold for them alone. The
 * models are opened when it is registered, and closed with the service.
 *
 * @throws FusedLoraError what opening the models throws; INVALID_ARGUMENT.
 */
export const servePlugin: FastifyPluginAsync<ServeOptions & { prefix?: string }> = async (server, given) => {
  const { prefix, ...options } = given;
  const resolved = resolveOptions(options);
  const { ajvCompiler, swagger } = peers();
  const metrics = new Metrics();
  const engine = await Engine.open(resolved, metrics);

  // As requests say it: no number becomes a text, and no list of one a text.
  // Errors carry the schema (verbose), whose words say what is wanted.
  const customOptions = {
    verbose: true,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allowUnionTypes: true,
  };
  const compiler = ajvCompiler()({}, { customOptions } as never);
  server.setValidatorCompiler(compiler as Parameters<FastifyInstance['setValidatorCompiler']>[0]);
  server.setSchemaErrorFormatter((errors, where) => new Error(schemaMessage(errors, where)));
  // A text body is no JSON; any other type is refused with 415.
  server.removeContentTypeParser('text/plain');

  server.decorateRequest('servedModel', '');
  server.addHook('onRequest', async (request) => {
    checkSender(request, resolved.allowedHosts);
    const route = request.routeOptions.url?.slice(prefix?.length ?? 0) ?? '';
    // Routes of the admin have a token of their own.
    if (!OPEN.has(route) && !route.includes('_lora_adapter')) checkKey(request, resolved.apiKey);
  });
  server.addHook('onSend', async (_, reply) => {
    if (engine.isDraining) reply.header('connection', 'close');
  });
  server.addHook('onResponse', async (request, reply) => {
    const { url = 'none' } = request.routeOptions;
    metrics.request(url, request.servedModel, reply.statusCode, reply.elapsedTime / 1000);
  });
  server.setErrorHandler((error, request, reply) => {
    const { status, body, retryAfter } = answerOf(error);
    // What a client asked wrongly is no failure of the server's, and needs no stack.
    if (status >= 500 || (status === 424 && !(error instanceof ServeError)))
      request.log.error({ err: error }, 'request failed');
    else request.log.info({ status, error: body.error }, 'request refused');
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    return reply.code(status).send(body);
  });
  server.addHook('preClose', async () => engine.drain());
  server.addHook('onClose', async () => {
    await engine.close();
    metrics.close();
  });

  await server.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'fused-lora', version: VERSION } },
  });
  teiRoutes(server, engine);
  openaiRoutes(server, engine);
  huggingFaceRoutes(server, engine);
  if (resolved.page) pageRoutes(server);
  const { adminToken } = resolved;
  if (adminToken !== undefined) await server.register(async (admin) => adminRoutes(admin, engine, adminToken));
  server.get('/metrics', { schema: { hide: true } }, async (_, reply) => {
    return reply.type(metrics.contentType).send(await metrics.print());
  });
  server.get('/openapi.json', { schema: { hide: true } }, async () => server.swagger());
};
