/**
 * The command line as one file, dist/command.js: node reads it faster than the 350 that it is made
 * of. What it asks other packages and dist/vendor for stays outside, and what is asked for late
 * still is. Used by scripts/build-ts.mjs; the library's entries stay separate files.
 */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

const NAME = 'command.js';

/** Whatever folder it is asked from, vendor/ lies beside the bundle. */
const beside = {
  name: 'vendor-beside',
  setup({ onResolve }) {
    onResolve({ filter: /\/vendor\// }, ({ path }) => ({ path: `./vendor/${basename(path)}`, external: true }));
  },
};

/** Bundles what is compiled in `folder`, and leaves of its cli/ the entry alone. */
export async function bundleCommand(folder) {
  const { build } = createRequire(import.meta.url)('esbuild');
  const cli = join(folder, 'cli');
  await build({
    entryPoints: [join(cli, 'main.js')],
    outfile: join(folder, NAME),
    ...{ bundle: true, platform: 'node', target: 'node20', format: 'cjs', packages: 'external' },
    plugins: [beside],
    logLevel: 'warning',
  });
  for (const entry of readdirSync(cli)) rmSync(join(cli, entry), { recursive: true });
  writeFileSync(join(cli, 'main.js'), `#!/usr/bin/env node\n'use strict';\nrequire('../${NAME}');\n`);
}
