/**
 * Routes that change what is served, as vLLM has them: adapters loaded and unloaded by name. Off
 * without a token; where adapters may lie is checked in ../engine.ts.
 */
import type { FastifyInstance } from 'fastify';
import { FusedLoraError } from '../../base/errors';
import type { Engine } from '../engine';
import { hasToken } from '../guard';
import { SCHEMAS } from '../schemas';
import { ServeError } from '../serve_error';

interface LoadBody {
  lora_name: string;
  lora_path: string;
}

export function adminRoutes(server: FastifyInstance, engine: Engine, token: string): void {
  server.addHook('onRequest', async (request) => {
    if (hasToken(request, token)) return;
    throw new ServeError(401, 'validation', 'this route needs the admin token, as authorization: Bearer TOKEN');
  });

  server.post<{ Body: LoadBody }>(
    '/v1/load_lora_adapter',
    { schema: { body: SCHEMAS.loadAdapter, tags: ['vLLM'] } },
    async (request, reply) => {
      const { lora_name: name, lora_path: folder } = request.body;
      try {
        await engine.load(name, folder);
      } catch (error) {
        // Whoever has the token may read what is wrong with the folder.
        if (error instanceof FusedLoraError) throw new ServeError(400, 'validation', error.message);
        throw error;
      }
      return reply.type('text/plain; charset=utf-8').send(`Success: LoRA adapter '${name}' added successfully.`);
    },
  );

  server.post<{ Body: { lora_name: string } }>(
    '/v1/unload_lora_adapter',
    { schema: { body: SCHEMAS.unloadAdapter, tags: ['vLLM'] } },
    async (request, reply) => {
      const { lora_name: name } = request.body;
      await engine.unload(name);
      return reply.type('text/plain; charset=utf-8').send(`Success: LoRA adapter '${name}' removed successfully.`);
    },
  );
}
