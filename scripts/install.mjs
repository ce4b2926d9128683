/**
 * npm's install script: takes the prebuilt addon of this platform where
 * the package has one that loads, else builds from source, else says
 * what was tried and what to do about each. Only a build from source asks npm for something: the
 * tools of lib/build-tools.mjs.
 * The prebuilt addon comes from prebuild.mjs; the build is cmake-build.mjs.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fetchBuildTools } from './lib/build-tools.mjs';
import { fail, root, run, say, which } from './lib/shell.mjs';

const platform = `${process.platform}-${process.arch}`;
const folder = join(root, 'prebuilds', platform);
const tried = [];

if (!loadsPrebuild() && !buildsFromSource()) {
  fail(
    [
      `no native addon for ${platform}, Node ${process.versions.node}. Tried:`,
      ...tried.map(({ what, why, remedy }, i) => `  ${i + 1}. ${what}: ${why}\n     ${remedy}`),
    ].join('\n'),
  );
}

/** Whether there is an addon, built before or shipped, that this Node loads. */
function loadsPrebuild() {
  const what = `the prebuilt addon (prebuilds/${platform})`;
  try {
    createRequire(import.meta.url)('node-gyp-build')(root);
    return true;
  } catch (error) {
    const there = existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.node'));
    const others = existsSync(join(root, 'prebuilds')) ? readdirSync(join(root, 'prebuilds')).join(', ') : 'none';
    tried.push(
      there
        ? {
            what,
            why: `it does not load: ${String(error.message).trim().split('\n')[0]}`,
            remedy:
              'It is for Linux with glibc 2.28 or newer (Debian 10, Ubuntu 20.04, RHEL 8); take a newer system, or build from source as below.',
          }
        : {
            what,
            why: `the package has none for this platform (it has: ${others})`,
            remedy: 'Use one of those platforms, or build from source as below.',
          },
    );
    return false;
  }
}

function buildsFromSource() {
  const what = 'a build from source with cmake-js';
  const missing = [
    ['a C++20 compiler', ['c++', 'g++', 'clang++']],
    ['CMake 3.22 or newer', ['cmake']],
    ['make or ninja', ['make', 'ninja']],
  ].flatMap(([name, commands]) => (commands.some(which) ? [] : [name]));
  const remedy = 'On Debian or Ubuntu: apt-get install g++ cmake make. Then: npm rebuild fused-lora';
  if (missing.length > 0) {
    tried.push({ what, why: `${missing.join(', ')} not found on PATH`, remedy });
    return false;
  }
  say(`no prebuilt addon for ${platform}: building from source, which takes a few minutes`);
  const failed = fetchBuildTools();
  if (failed) {
    const why = `npm could not fetch cmake-js: ${failed.split('\n')[0]}`;
    tried.push({ what, why, remedy: 'Make a registry reachable for npm. Then: npm rebuild fused-lora' });
    return false;
  }
  if (run(process.execPath, ['scripts/cmake-build.mjs']).status === 0) return true;
  tried.push({ what, why: 'the build failed, see above', remedy: `It needs gcc 11, clang 14 or newer. ${remedy}` });
  return false;
}
