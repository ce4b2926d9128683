/**
 * A registry on this machine (verdaccio) that has the tarballs of packages/ and hands on to npm's
 * for everything else: what a release looks like to package managers before anybody else sees it.
 * Who installs from it: installs.mjs.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fail, mustRun, root, say } from '../lib/shell.mjs';
import { nodeProgram } from './managers.mjs';

const VERDACCIO = 'verdaccio@6.10.4';
const CACHE = join(root, '.cache', 'release');
/** Nobody is asked who he is; npm publishes only with some token. */
const TOKEN = 'nobody';

/** The tarballs of a release for `platforms`, theirs first; ends where one is missing. */
export function tarballs(version, folder, platforms) {
  const names = platforms.map((name) => `fused-lora-${name}-${version}.tgz`);
  const wanted = [...names, `fused-lora-${version}.tgz`];
  const missing = wanted.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) fail(`${folder} lacks ${missing.join(', ')}. Run: npm run packages`);
  return wanted.map((name) => join(folder, name));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function install() {
  const folder = join(CACHE, 'verdaccio');
  const program = join(folder, 'node_modules', 'verdaccio', 'bin', 'verdaccio');
  if (existsSync(program)) return program;
  say(`installing ${VERDACCIO} from npm into .cache/release`);
  mkdirSync(folder, { recursive: true });
  // Asked for by the tag `cjs`, which mirrors of npm's registry may lack: the last of that form.
  const overrides = { 'node-fetch': '2.7.0' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, overrides }));
  const args = ['install', VERDACCIO, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
  mustRun(`Installing ${VERDACCIO}`, 'npm', args, { cwd: folder });
  return program;
}

/**
 * Starts it and publishes the tarballs.
 * @returns its address, and close()
 */
export async function startRegistry(files) {
  const program = install();
  const storage = join(CACHE, 'storage');
  // What came from npm's registry stays; our own is published anew.
  for (const name of existsSync(storage) ? readdirSync(storage) : [])
    if (name === 'fused-lora' || name === '@fused-lora') rmSync(join(storage, name), { recursive: true });
  rmSync(join(storage, '.verdaccio-db.json'), { force: true });
  mkdirSync(storage, { recursive: true });
  const npmsRegistry = mustRun('npm config', 'npm', ['config', 'get', 'registry']).trim();
  const everybody = { access: '$all', publish: '$all', unpublish: '$all' };
  const config = {
    storage,
    // A file that is never written: there are no users.
    auth: { htpasswd: { file: join(CACHE, 'htpasswd'), max_users: -1 } },
    uplinks: { npm: { url: npmsRegistry, timeout: '60s', maxage: '1d' } },
    packages: { '@fused-lora/*': everybody, 'fused-lora': everybody, '**': { access: '$all', proxy: 'npm' } },
    max_body_size: '100mb',
    log: { type: 'stdout', format: 'pretty', level: 'warn' },
  };
  // JSON is YAML too.
  const configFile = join(CACHE, 'verdaccio.yaml');
  writeFileSync(configFile, JSON.stringify(config, null, 2));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  // It wants a newer Node than this package does.
  const child = spawn(nodeProgram(24), [program, '--config', configFile, '--listen', `127.0.0.1:${port}`], {
    cwd: CACHE,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let ended = false;
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      output += data;
    });
  child.on('close', () => {
    ended = true;
  });
  for (let waited = 0; !(await answers(url)); waited += 100) {
    if (ended || waited > 60_000) fail(`${VERDACCIO} does not answer:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  for (const file of files) {
    const args = ['publish', file, '--registry', url, '--access', 'public', '--ignore-scripts', '--provenance=false'];
    const token = { [`npm_config_${url.replace(/^http:/, '')}:_authToken`]: TOKEN };
    mustRun(`Publishing ${file} here`, 'npm', args, { env: { ...process.env, ...token } });
  }
  const close = () =>
    new Promise((resolve) => {
      if (ended) return resolve();
      child.on('close', resolve);
      child.kill();
    });
  return { url, close };
}

async function answers(url) {
  try {
    return (await fetch(`${url}-/ping`)).ok;
  } catch {
    return false;
  }
}
