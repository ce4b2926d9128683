/**
 * Makes a clone ready to run: system packages, npm packages, native addon, dist/. Each step is
 * skipped when nothing it reads has changed.
 * Usage: node scripts/setup.mjs [--test]
 *   --test  also the native test executable. In CI (CI=true) the CUDA kernels are compiled, by an
 *           nvcc from PyPI where there is none, and Chromium (for the reports) and Open MPI are
 *           installed.
 * The parts are cmake-build.mjs, build-ts.mjs and lib/system.mjs.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, mustRun, root, run, say, which } from './lib/shell.mjs';
import { contentHash, isFresh, listFiles, writeStamp } from './lib/stamp.mjs';
import {
  checkNode,
  compilerIdentity,
  ensureSystemPackages,
  findNvcc,
  installBrowser,
  installMpi,
} from './lib/system.mjs';

const { values } = parseArgs({ options: { test: { type: 'boolean', default: false } } });
const began = Date.now();
const forCi = values.test && process.env.CI === 'true' && process.platform === 'linux' && process.arch === 'x64';

checkNode();
ensureSystemPackages();
if (forCi) {
  installBrowser();
  installMpi();
}
installNpmPackages();
buildAddon();
buildDist();
say(`ready (${((Date.now() - began) / 1000).toFixed(1)} s)`);

/** Whether node_modules holds just what package-lock.json asks for. */
function npmPackagesAreCurrent() {
  const installed = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(installed, 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    // An optional package may be for another platform.
    if (!present[path]) return entry.optional === true || entry.devOptional === true;
    return present[path].version === entry.version && existsSync(join(root, path));
  });
}

function installNpmPackages() {
  if (npmPackagesAreCurrent()) return;
  if (!which('npm')) fail('npm was not found. Install Node.js with npm.');
  say('installing npm packages');
  // The versions of package-lock.json, which stays as it is. Not `npm ci`: it refuses a lock file
  // that was made where a registry mirror lacked the optional packages of other platforms. Scripts
  // are off because this package's own would build the addon: that is the next step here.
  mustRun('npm install', 'npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']);
}

function buildAddon() {
  // CI compiles the CUDA code too, unless it is told not to.
  const compileCuda = forCi && process.env.FUSED_LORA_CUDA !== 'off';
  if (compileCuda && !findNvcc(root)) {
    const { status } = run(process.execPath, ['scripts/setup-cuda.mjs']);
    if (status !== 0) fail('nvcc could not be installed, see above.');
  }
  const nvcc = findNvcc(root);
  const inputs = ['native', 'cmake', 'CMakeLists.txt', 'scripts/cmake-build.mjs'];
  const wanted = compileCuda ? 'on' : (process.env.FUSED_LORA_CUDA ?? 'auto');
  const hash = contentHash(inputs, [compilerIdentity(), nvcc ?? 'no nvcc', wanted]);
  const products = [{ stamp: 'build/stamp-addon.json', outputs: ['build/Release/fused-lora.node'] }];
  if (values.test && listFiles(['native/test']).some((file) => file.endsWith('.cc'))) {
    const outputs = ['build/fused_lora_test', 'build/emulated/build/Release/fused-lora.node'];
    products.push({ stamp: 'build/stamp-test.json', outputs });
  }
  if (products.every(({ stamp, outputs }) => isFresh(stamp, hash, outputs))) return;

  const what = values.test ? 'the native addon and its tests' : 'the native addon';
  say(`building ${what} ${nvcc ? `with CUDA (${nvcc})` : 'without CUDA (no nvcc found)'}`);
  const started = Date.now();
  const args = ['scripts/cmake-build.mjs', '--cuda', wanted, ...(values.test ? ['--test'] : [])];
  if (run(process.execPath, args).status !== 0) fail('The native build failed, see above.');
  for (const { stamp, outputs } of products) writeStamp(stamp, hash, outputs);
  say(`native build done (${((Date.now() - started) / 1000).toFixed(0)} s)`);
}

function buildDist() {
  const inputs = [
    'src',
    'tsconfig.json',
    'tsconfig.build.json',
    'scripts/build-ts.mjs',
    'scripts/lib/vendored.mjs',
    'package-lock.json',
  ];
  const hash = contentHash(inputs);
  if (isFresh('.cache/stamp-dist.json', hash, ['dist'])) return;
  say('compiling TypeScript to dist');
  if (run(process.execPath, ['scripts/build-ts.mjs']).status !== 0) fail('Compiling src failed, see above.');
  writeStamp('.cache/stamp-dist.json', hash, ['dist']);
}
