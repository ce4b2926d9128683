/**
 * Gets nvcc without a CUDA installation: PyPI wheels into .cache/cuda (bin, include, lib, nvvm),
 * where cmake/Cuda.cmake looks. Enough to compile and link the kernels; running them needs a GPU
 * and its driver. Does nothing when they are there already.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fail, mustRun, root, say } from './lib/shell.mjs';
import { contentHash, isFresh, writeStamp } from './lib/stamp.mjs';
import { checkNode, ensureSystemPackages } from './lib/system.mjs';

checkNode();
if (process.platform !== 'linux' || process.arch !== 'x64') {
  fail('The nvcc wheels are for x86-64 Linux. Install the CUDA 13 toolkit and set CUDA_HOME instead.');
}
const wheels = 'scripts/cuda-wheels.txt';
const stamp = '.cache/cuda/stamp.json';
const outputs = ['.cache/cuda/bin/nvcc', '.cache/cuda/lib/libcudart_static.a'];
const hash = contentHash([wheels]);

if (isFresh(stamp, hash, outputs)) {
  say('nvcc is in .cache/cuda');
} else {
  ensureSystemPackages({ cuda: true });
  say('installing nvcc from PyPI into .cache/cuda (about 110 MB)');
  const staging = join(root, '.cache/cuda-staging');
  const target = join(root, '.cache/cuda');
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  const pip = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-deps',
    '--no-compile',
    '--only-binary=:all:',
    '--require-hashes',
  ];
  mustRun('Installing nvcc', 'python3', [...pip, '--target', staging, '-r', wheels]);
  // The wheels lay out a toolkit below nvidia/cu13, but for
  // the library folder's name: nvcc looks for lib64.
  const toolkit = join(staging, 'nvidia/cu13');
  for (const folder of ['bin', 'nvvm/bin']) {
    for (const name of readdirSync(join(toolkit, folder), { withFileTypes: true })) {
      if (name.isFile()) chmodSync(join(toolkit, folder, name.name), 0o755);
    }
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(toolkit, target);
  rmSync(staging, { recursive: true, force: true });
  const missing = outputs.filter((output) => !existsSync(join(root, output)));
  if (missing.length > 0) fail(`The wheels were installed, yet these are missing: ${missing.join(', ')}`);
  const version = mustRun('nvcc', join(target, 'bin/nvcc'), ['--version']);
  writeStamp(stamp, hash, outputs);
  say(`nvcc ${/release ([\d.]+)/.exec(version)?.[1] ?? ''} is in .cache/cuda`);
}
