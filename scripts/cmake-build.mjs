/**
 * Builds the native part with cmake-js into build/: build/Release/fused-lora.node,
 * and with --test also build/fused_lora_test. Node-API headers come from the npm
 * package that cmake-js brings along; nothing is downloaded.
 * Usage: node scripts/cmake-build.mjs [--test] [--cuda
 * auto|on|off] (default: FUSED_LORA_CUDA, else auto)
 * The targets: CMakeLists.txt. The addon to be shipped: prebuild.mjs.
 */
import { existsSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildTools } from './lib/build-tools.mjs';
import { fail, mustRun, root, run } from './lib/shell.mjs';

const { values } = parseArgs({
  options: {
    test: { type: 'boolean', default: false },
    cuda: { type: 'string', default: process.env.FUSED_LORA_CUDA ?? 'auto' },
  },
});

const tools = buildTools() ?? fail('cmake-js is not installed. Run: npm ci --ignore-scripts');

const common = ['--directory', root, '--out', join(root, 'build'), '--log-level', 'warn'];
const settings = [
  `--CDFUSED_LORA_CUDA=${values.cuda}`,
  `--CDFUSED_LORA_TEST=${values.test ? 'ON' : 'OFF'}`,
  `--CDFUSED_LORA_NODE_HEADERS=${tools.headers}`,
];
// `configure` and `build` by hand: cmake-js's `compile` answers a compiler error with a rebuild
// from nothing, which prints it twice.
const configure = [tools.cmakeJs, 'configure', ...common, ...settings];
if (run(process.execPath, configure, { quiet: true }).status !== 0) {
  // The folder may be another generator's, compiler's or
  // place's: once more from an empty cache before it counts.
  for (const left of ['CMakeCache.txt', 'CMakeFiles'])
    rmSync(join(root, 'build', left), { recursive: true, force: true });
  mustRun('Configuring the native build', process.execPath, configure);
}
const parallel = String(availableParallelism());
mustRun('The native build', process.execPath, [tools.cmakeJs, 'build', ...common, '--parallel', parallel]);

const addon = join(root, 'build/Release/fused-lora.node');
if (!existsSync(addon)) fail(`The native build ended well, yet ${addon} does not exist.`);
