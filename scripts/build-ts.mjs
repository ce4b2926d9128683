/**
 * Builds dist/: CommonJS and declarations by tsc, and thin ESM entries
 * that re-export them. One implementation behind both, so that a class
 * or a loaded model is the same object for `import` and for `require`. The command is one file.
 * The addon is built by cmake-build.mjs; setup.mjs calls both.
 */
import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bundleCommand } from './lib/command_bundle.mjs';
import { fail, mustRun, root } from './lib/shell.mjs';
import { vendor } from './lib/vendored.mjs';

const staging = join(root, '.cache', 'dist');
const dist = join(root, 'dist');
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
if (!existsSync(tsc)) fail('TypeScript is not installed. Run: npm ci --ignore-scripts');

rmSync(staging, { recursive: true, force: true });
mustRun('Compiling src', process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', staging]);

// What reports are made with: styles and the script that draws.
cpSync(join(root, 'src', 'report', 'assets'), join(staging, 'report', 'assets'), { recursive: true });
// The page of the server.
cpSync(join(root, 'src', 'serve', 'page'), join(staging, 'serve', 'page'), { recursive: true });

vendor(staging);
await bundleCommand(staging);

for (const entry of ['index', 'kernels', 'serve/index']) {
  if (!existsSync(join(staging, `${entry}.js`))) continue;
  for (const extension of ['mjs', 'd.mts']) {
    writeFileSync(join(staging, `${entry}.${extension}`), `export * from './${basename(entry)}.js';\n`);
  }
}

const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
for (const script of Object.values(bin)) {
  const file = join(staging, script.replace(/^dist\//, ''));
  if (existsSync(file)) chmodSync(file, 0o755);
}

rmSync(dist, { recursive: true, force: true });
renameSync(staging, dist);
