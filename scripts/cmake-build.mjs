/**
 * Builds the native part with cmake-js into build/: build/Release/fused-lora.node, and with --test
 * also build/fused_lora_test. In an installed package it is `npm explore fused-lora -- npm run
 * build:native`, and fetches cmake-js by npm first (lib/build-tools.mjs). Node-API's headers come
 * with that; nothing else is downloaded.
 * Usage: node scripts/cmake-build.mjs [--test] [--cuda auto|on|off]
 *   --cuda   default: FUSED_LORA_CUDA, else auto
 * Where CI=true, CUDA kernels are compiled for the least GPU that they run on, and those of compute
 * capability 9.0: to see that they compile.
 * The targets: CMakeLists.txt. The addons that are shipped: packages.mjs.
 */
import { existsSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildTools, fetchBuildTools } from './lib/build-tools.mjs';
import { fail, mustRun, root, run, which } from './lib/shell.mjs';

const { values } = parseArgs({
  options: {
    test: { type: 'boolean', default: false },
    cuda: { type: 'string', default: process.env.FUSED_LORA_CUDA ?? 'auto' },
  },
});

// Microsoft's compiler lacks vector types and more that the kernels are written with.
if (process.platform === 'win32')
  fail('there is no build from source on Windows. Use Node for x64, whose addon is @fused-lora/win32-x64.');
const missing = [
  ['a C++20 compiler (gcc 11, clang 14 or newer)', ['c++', 'g++', 'clang++']],
  ['CMake 3.22 or newer', ['cmake']],
  ['make or ninja', ['make', 'ninja']],
].flatMap(([name, commands]) => (commands.some(which) ? [] : [name]));
if (missing.length > 0) {
  fail(
    `no build from source: ${missing.join(', ')} not found on PATH. On Debian or Ubuntu: apt-get install g++ cmake make; ` +
      'on Alpine: apk add g++ cmake make; on macOS: xcode-select --install, and CMake from cmake.org',
  );
}
const failed = fetchBuildTools();
if (failed) fail(`npm could not fetch cmake-js: ${failed.split('\n')[0]}. Make a registry reachable for npm.`);
const tools = buildTools();

const common = ['--directory', root, '--out', join(root, 'build'), '--log-level', 'warn'];
const settings = [
  `--CDFUSED_LORA_CUDA=${values.cuda}`,
  `--CDFUSED_LORA_TEST=${values.test ? 'ON' : 'OFF'}`,
  `--CDFUSED_LORA_NODE_HEADERS=${tools.headers}`,
  `--CDFUSED_LORA_CUDA_ARCHS=${process.env.CI === 'true' ? '80;90a' : '80;90;90a'}`,
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
