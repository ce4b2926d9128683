/**
 * What a build from source needs of npm: cmake-js, and the headers of node-addon-api. A clone has
 * them in node_modules; an installed package fetches them when it is built from source, at the
 * versions of its package.json, into a folder of its own.
 * Who builds, and asks for the fetching: ../cmake-build.mjs.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { root, run } from './shell.mjs';

const NAMES = ['cmake-js', 'node-addon-api'];
const folder = join(root, 'build-tools');

function locate(from) {
  try {
    const { resolve } = createRequire(join(from, 'package.json'));
    const [cmakeJs, headers] = NAMES.map((name) => dirname(resolve(`${name}/package.json`)));
    return { cmakeJs: join(cmakeJs, 'bin', 'cmake-js'), headers };
  } catch {
    return undefined;
  }
}

/** Paths of cmake-js and of the folder that has napi.h; undefined where they are not installed. */
export function buildTools() {
  return locate(root) ?? locate(folder);
}

/**
 * Installs them with npm, unless they are there; no script of theirs runs.
 * @returns undefined, or what npm printed where it failed
 */
export function fetchBuildTools() {
  if (buildTools()) return undefined;
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const dependencies = Object.fromEntries(NAMES.map((name) => [name, devDependencies[name]]));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  // npm gives the settings of the install that this is a part of to its scripts: --global too.
  const place = ['--prefix', folder, '--global=false', '--omit=dev'];
  const args = ['install', ...place, '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
  // The npm that runs this script, or the one on PATH.
  const npm = process.env.npm_execpath ?? '';
  const own = /npm-cli\.c?js$/.test(npm) && existsSync(npm);
  const { status, output } = own
    ? run(process.execPath, [npm, ...args], { quiet: true, cwd: folder })
    : run('npm', args, { quiet: true, cwd: folder });
  if (status !== 0) return output.trim() || `npm ended with exit code ${status}`;
  return buildTools() ? undefined : `npm installed nothing into ${folder}`;
}
