/**
 * Gets what packages are made and checked with, as PyPI wheels into .cache/packaging: zig, the
 * cross compiler (cmake/toolchains), and LIEF, which reads binaries of every system
 * (lib/inspect-binary.py). Does nothing when they are there already.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root, say } from './lib/shell.mjs';
import { contentHash, isFresh, writeStamp } from './lib/stamp.mjs';
import { checkNode, ensureSystemPackages } from './lib/system.mjs';

const WHEELS = 'scripts/packaging-wheels.txt';
const STAMP = '.cache/packaging/stamp.json';
const OUTPUTS = ['.cache/packaging/ziglang/zig', '.cache/packaging/lief/__init__.py'];

/** Folder with zig and LIEF in it. */
export function packagingTools() {
  checkNode();
  const folder = join(root, '.cache/packaging');
  const python = pythonVersion();
  const hash = contentHash([WHEELS], [python]);
  if (isFresh(STAMP, hash, OUTPUTS)) return folder;
  ensureSystemPackages({ cuda: true });
  say('installing zig and LIEF from PyPI into .cache/packaging (about 100 MB)');
  rmSync(folder, { recursive: true, force: true });
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--no-compile', '--only-binary=:all:'];
  mustRun('Installing zig and LIEF', 'python3', [...pip, '--require-hashes', '--target', folder, '-r', WHEELS]);
  writeStamp(STAMP, hash, OUTPUTS);
  return folder;
}

function pythonVersion() {
  return mustRun('python3', 'python3', ['--version']).trim();
}
