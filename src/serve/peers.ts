/**
 * The packages that a server needs and that a library does not: asked for when a server is made,
 * with the command that installs them where they are missing. Who uses them: server.ts (fastify),
 * plugin.ts (@fastify/swagger) and metrics.ts (prom-client).
 */
import { createRequire } from 'node:module';
import { FusedLoraError } from '../base/errors';

/** As package.json has them in peerDependencies. */
const PACKAGES = ['fastify', '@fastify/swagger', 'prom-client'] as const;

interface Peers {
  fastify: typeof import('fastify').fastify;
  /** Fastify's own compiler of schemas, for other settings than a service's that it is put into. */
  ajvCompiler: typeof import('@fastify/ajv-compiler').default;
  swagger: typeof import('@fastify/swagger').default;
  promClient: typeof import('prom-client');
}

let loaded: Peers | undefined;

/**
 * The packages, loaded once.
 *
 * @param load in place of require, for tests.
 * @throws FusedLoraError INVALID_ARGUMENT naming those that are missing.
 */
export function peers(load?: (name: string) => unknown): Peers {
  if (loaded && load === undefined) return loaded;
  const modules: unknown[] = [];
  const missing: string[] = [];
  for (const name of PACKAGES) {
    try {
      modules.push((load ?? require)(name));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
      missing.push(name);
    }
  }
  if (missing.length > 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `a server needs packages that are not installed: ${missing.join(', ')}. Run: npm install ${PACKAGES.join(' ')}`,
    );
  }
  const [fastify, swagger, promClient] = modules as [
    typeof import('fastify'),
    { default: Peers['swagger'] },
    Peers['promClient'],
  ];
  // A dependency of fastify, which need not lie where this package finds it.
  const ofFastify = createRequire(require.resolve('fastify'));
  loaded = {
    fastify: fastify.fastify,
    ajvCompiler: ofFastify('@fastify/ajv-compiler') as Peers['ajvCompiler'],
    swagger: swagger.default,
    promClient,
  };
  return loaded;
}
