/**
 * The tarballs of packages/ put into a folder as npm would lay them out, with the dependencies that
 * this checkout has: no registry is asked. Used by scripts/test-platform.mjs and
 * scripts/try-bundlers.mjs; installs by real package managers are in scripts/release/installs.mjs.
 */
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageOf } from './platforms.mjs';
import { fail, mustRun, root } from './shell.mjs';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/**
 * @param place gets node_modules, or has one
 * @param platform the one whose addon comes too
 * @param tarballs their folder
 */
export function installPackages(place, platform, tarballs = join(root, 'packages')) {
  const modules = join(place, 'node_modules');
  const main = join(modules, 'fused-lora');
  unpack(tarballs, `fused-lora-${version}.tgz`, main);
  unpackAddon(platform, join(modules, packageOf(platform)), tarballs);
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  for (const [path, entry] of Object.entries(lock)) {
    if (path === '' || entry.dev || !existsSync(join(root, path))) continue;
    // Below the package: a project may have other versions of them.
    cpSync(join(root, path), join(main, path), { recursive: true, dereference: true });
  }
}

/**
 * A platform's package in a folder of its own.
 * @returns path of its addon
 */
export function unpackAddon(platform, to, tarballs = join(root, 'packages')) {
  unpack(tarballs, `fused-lora-${platform}-${version}.tgz`, to);
  return join(to, 'fused-lora.node');
}

function unpack(tarballs, file, to) {
  const tarball = join(tarballs, file);
  if (!existsSync(tarball)) fail(`${tarball} is not there. Run: npm run packages`);
  mkdirSync(to, { recursive: true });
  // By its name alone: GNU's tar, which Windows may have, takes `C:` for a machine.
  mustRun('Unpacking', 'tar', ['-xzf', file, '-C', to, '--strip-components=1'], { cwd: tarballs });
}
