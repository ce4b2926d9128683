/**
 * The package as users get it: packed, installed by npm into an empty folder
 * with no compiler, CMake or Python on the PATH and no network but a local
 * registry, and used from every kind of program. Its addon is the one that was
 * built for the tests.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { KINDS, type MadeAdapter, makeAdapter } from '../serve/adapters';
import { TINY } from '../task/tasks';
import { runDockerfile, shell } from './dockerfile';
import { type Registry, startRegistry } from './registry';

const ROOT = path.join(__dirname, '..', '..');
const PLATFORM = `${process.platform}-${process.arch}`;
const BUILT = path.join(ROOT, 'build', 'Release', 'fused-lora.node');
const NPM = path.join(
  path.dirname(fs.realpathSync(execFileSync('sh', ['-c', 'command -v npm']).toString().trim())),
  'npm-cli.js',
);

let work: string;
let project: string;
let registry: Registry;
let env: NodeJS.ProcessEnv;
let installed: { status: number | null; output: string };

/** The tarballs of scripts/packages.mjs, of dist/ and the addon that was built for the tests. */
function makePackages(): void {
  const script = path.join(ROOT, 'scripts', 'packages.mjs');
  execFileSync(process.execPath, [script, 'main', PLATFORM, '--prebuilt', BUILT, '--out', path.join(work, 'packages')]);
}

/** Packages of all platforms, of which npm has to choose: ours, and others without an addon. */
function platformPackages(): string {
  const folder = path.join(work, 'platforms');
  const staged = path.join(work, 'packages', 'staged');
  const own = JSON.parse(fs.readFileSync(path.join(staged, PLATFORM, 'package.json'), 'utf8'));
  const main = JSON.parse(fs.readFileSync(path.join(staged, 'main', 'package.json'), 'utf8'));
  for (const name of Object.keys(main.optionalDependencies)) {
    const place = path.join(folder, name);
    if (name === own.name) fs.cpSync(path.join(staged, PLATFORM), place, { recursive: true });
    else {
      const [system, cpu] = (name.split('/')[1] as string).split('-') as [string, string];
      const os = system.replace('musl', '');
      const libc = system === 'linux' ? { libc: ['glibc'] } : system === 'linuxmusl' ? { libc: ['musl'] } : {};
      fs.mkdirSync(place, { recursive: true });
      fs.writeFileSync(
        path.join(place, 'package.json'),
        JSON.stringify({ ...own, name, os: [os], cpu: [cpu], libc: undefined, ...libc }),
      );
    }
  }
  fs.cpSync(path.join(staged, 'main'), path.join(folder, 'fused-lora'), { recursive: true });
  return folder;
}

/** Asynchronous: the registry answers in this process. */
function npmInstall(folder: string, tarball: string): Promise<{ status: number | null; output: string }> {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{"name": "project", "private": true}\n');
  const args = [NPM, 'install', tarball, '--registry', registry.url, '--no-audit', '--no-fund', '--foreground-scripts'];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: folder, env });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString();
      });
    child.on('close', (status) => resolve({ status, output }));
  });
}

/** What cmake-build.mjs fetches before it builds from source, in the installed package. */
async function fetchedTools(folder: string): Promise<{ cmakeJs: string; headers: string }> {
  const script = `
    import { buildTools, fetchBuildTools } from ${JSON.stringify(path.join(folder, 'scripts/lib/build-tools.mjs'))};
    const before = buildTools();
    const failed = fetchBuildTools();
    console.log(JSON.stringify({ before, failed, tools: buildTools() }));`;
  // As npm runs the script of a package that is installed with --global.
  const settings = { npm_execpath: NPM, npm_config_registry: registry.url, npm_config_global: 'true' };
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { env: { ...env, ...settings } });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  await new Promise((resolve) => child.on('close', resolve));
  const { before, failed, tools } = JSON.parse(output);
  expect([before, failed]).toEqual([undefined, undefined]);
  return tools;
}

function node(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: project, env, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.trim();
}

const write = (name: string, text: string) => fs.writeFileSync(path.join(project, name), text);
/** 2 · 3 by the kernel, on whatever names the import gives. */
const USE = `linear({ x: { data: Float32Array.of(2), shape: [1, 1] }, weight: { data: Float32Array.of(3), shape: [1, 1] } }).then(({ y }) => console.log(y.data[0], typeof fineTune));`;

const hasCmake = spawnSync('cmake', ['--version']).status === 0;
if (!hasCmake) console.warn('skipped: configuring a build from source needs CMake on the PATH');
const ready = fs.existsSync(BUILT) && fs.existsSync(path.join(ROOT, 'dist', 'index.js'));
if (!ready) console.warn('skipped: the package test needs the addon and dist/ (npm test builds both)');

(ready ? describe : describe.skip)('the packed package', () => {
  beforeAll(async () => {
    work = fs.mkdtempSync(path.join(os.tmpdir(), 'package-'));
    project = path.join(work, 'project');
    // node alone, and what npm's shell needs.
    const bin = path.join(work, 'bin');
    fs.mkdirSync(bin);
    fs.symlinkSync(process.execPath, path.join(bin, 'node'));
    fs.symlinkSync('/bin/sh', path.join(bin, 'sh'));
    fs.symlinkSync(NPM, path.join(bin, 'npm'));
    env = { PATH: bin, HOME: work, npm_config_cache: path.join(work, 'cache'), npm_config_update_notifier: 'false' };
    makePackages();
    registry = await startRegistry(path.join(ROOT, 'node_modules'), platformPackages());
    const tarball = fs.readdirSync(path.join(work, 'packages')).find((name) => /^fused-lora-\d/.test(name));
    installed = await npmInstall(project, path.join(work, 'packages', tarball as string));
  }, 300_000);
  afterAll(async () => {
    await registry.close();
    fs.rmSync(work, { recursive: true });
  });

  test('installs with no compiler, CMake or Python on the PATH', () => {
    expect([installed.status, installed.output]).toEqual([0, expect.not.stringMatching(/error/i)]);
    const folder = path.join(project, 'node_modules', 'fused-lora');
    // npm chose by os, cpu and libc, and ran no script.
    expect(fs.readdirSync(path.join(project, 'node_modules', '@fused-lora'))).toEqual([PLATFORM]);
    expect(fs.existsSync(path.join(folder, 'build'))).toBe(false);
    expect(JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).scripts).toEqual({
      'build:native': expect.any(String),
    });
    for (const left of ['test', 'native/bench', 'native/emulator', 'native/test', 'assets', 'benchmarks', 'src'])
      expect([left, fs.existsSync(path.join(folder, left))]).toEqual([left, false]);
  });

  test('works by require', () => {
    write(
      'a.cjs',
      `const { fineTune } = require('fused-lora'); const { linear } = require('fused-lora/kernels'); ${USE}`,
    );
    expect(node('a.cjs')).toBe('6 function');
  });

  test('works by import', () => {
    write('a.mjs', `import { fineTune } from 'fused-lora'; import { linear } from 'fused-lora/kernels'; ${USE}`);
    expect(node('a.mjs')).toBe('6 function');
  });

  test('works in a worker thread', () => {
    write('w.mjs', `import { Worker } from 'node:worker_threads'; new Worker(new URL('a.mjs', import.meta.url));`);
    expect(node('w.mjs')).toBe('6 function');
  });

  test('works in a bundle, with the package left outside of it or inside', () => {
    const esbuild = require('esbuild') as typeof import('esbuild');
    const header = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
    write(
      'entry.ts',
      `import { fineTune } from 'fused-lora'; import { linear } from 'fused-lora/kernels'; const n: number = 1; void n; ${USE}`,
    );
    for (const format of ['esm', 'cjs'] as const) {
      for (const inside of [false, true]) {
        const outfile = path.join(project, `bundle-${inside}.${format === 'esm' ? 'mjs' : 'cjs'}`);
        esbuild.buildSync({
          entryPoints: [path.join(project, 'entry.ts')],
          bundle: true,
          platform: 'node',
          logLevel: 'error',
          format,
          outfile,
          // docs/bundlers.md: either setting.
          ...(inside ? { banner: format === 'esm' ? { js: header } : {} } : { external: ['fused-lora'] }),
        });
        expect(node(path.basename(outfile))).toBe('6 function');
      }
    }
  });

  test('the command runs', () => {
    const output = node(path.join('node_modules', 'fused-lora', 'dist', 'cli', 'main.js'), 'info');
    expect(output).toMatch(/fused-lora \d+\.\d+\.\d+/);
  });

  test('a server says which packages it needs beside it, and that is all that it lacks', () => {
    const tell = `createServer({ adapters: { mood: 'm' } }).catch(({ code, message }) => console.log(code, message));`;
    const told =
      'INVALID_ARGUMENT a server needs packages that are not installed: fastify, @fastify/swagger, prom-client. Run: npm install fastify @fastify/swagger prom-client';
    write('s.cjs', `const { createServer } = require('fused-lora/serve'); ${tell}`);
    expect(node('s.cjs')).toBe(told);
    write('s.mjs', `import { createServer } from 'fused-lora/serve'; ${tell}`);
    expect(node('s.mjs')).toBe(told);
    const page = path.join(project, 'node_modules', 'fused-lora', 'dist', 'serve', 'page');
    expect(fs.readdirSync(page).sort()).toEqual(['page.css', 'page.html', 'page.js']);
  });

  test('the Dockerfile of docs/serving.md, step by step', async () => {
    const context = path.join(work, 'context');
    fs.cpSync(TINY, path.join(context, 'model'), { recursive: true });
    makeAdapter(path.join(context, 'mood'), KINDS['mood'] as MadeAdapter);
    const settings = { ...env, npm_config_registry: registry.url, npm_config_audit: 'false' };
    const image = await runDockerfile('docs/serving.md', context, path.join(work, 'image'), settings);
    expect([image.nodeVersion >= 20, image.port]).toEqual([true, 8080]);
    const [program = '', ...args] = image.command;
    const command = path.join(image.folder, program);
    const child = spawn(command, [...args, '--port', '0'], { cwd: image.folder, env });
    let said = '';
    child.stderr.on('data', (data: Buffer) => {
      said += data.toString();
    });
    const ended = new Promise((resolve) => child.on('close', resolve));
    while (!/ready at \S+/.test(said) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const port = /ready at \S+:(\d+)/.exec(said)?.[1];
    const healthcheck = image.healthcheck.replace(`:${image.port}`, `:${port}`);
    expect([said, (await shell(healthcheck, image.folder, env)).status]).toEqual([expect.stringContaining('ready'), 0]);
    const body = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"inputs":"a film"}' };
    expect(await (await fetch(`http://127.0.0.1:${port}/predict`, body)).json()).toHaveLength(2);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect((await shell(healthcheck, image.folder, env)).status).toBe(1);
  }, 120_000);

  test('what it uses of the hub client is inside, with its licences', () => {
    expect(fs.readdirSync(path.join(project, 'node_modules'))).not.toContain('@huggingface');
    const vendor = path.join(project, 'node_modules', 'fused-lora', 'dist', 'vendor');
    expect(fs.readFileSync(path.join(vendor, 'LICENSES.txt'), 'utf8')).toContain('@huggingface/hub 2.');
    write(
      'hub.mjs',
      `import * as hub from ${JSON.stringify(path.join(vendor, 'huggingface_hub.js'))};
      console.log(typeof hub.downloadFile, typeof hub.listFiles, typeof hub.modelInfo, typeof hub.datasetInfo);`,
    );
    expect(node('hub.mjs')).toBe('function function function function');
  });

  test('reports have their styles and scripts', () => {
    write('events.jsonl', '{"event":"step","step":1,"totalSteps":1,"loss":1}');
    node(path.join('node_modules', 'fused-lora', 'dist', 'cli', 'main.js'), 'report', 'events.jsonl');
    const report = fs.readFileSync(path.join(project, 'report.html'), 'utf8');
    expect(report).toContain('var uPlot=');
    expect(report).toContain('prefers-color-scheme: dark');
  });

  test.each(['node16', 'bundler'] as const)('types check under moduleResolution %s', (moduleResolution) => {
    write(
      'types.mts',
      `import { fineTune, type FineTuneResult } from 'fused-lora';
       import { linear } from 'fused-lora/kernels';
       export const result: Promise<FineTuneResult> = fineTune({ model: 'm', train: [{ text: 'a', label: 'b' }], outputDir: 'o' });
       // @ts-expect-error: the output folder is required
       void fineTune({ model: 'm', train: [] });
       export const y: Promise<number> = linear({ x: { data: new Float32Array(1), shape: [1, 1] }, weight: { data: new Float32Array(1), shape: [1, 1] } }).then((r) => r.seconds);
      `,
    );
    const compilerOptions = {
      module: moduleResolution === 'node16' ? 'node16' : 'esnext',
      moduleResolution,
      target: 'es2023',
      strict: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['types.mts'] }));
    const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', project], { cwd: project, encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, '']);
  });

  /** What a program prints that needs the addon, when something is wrong with it. */
  function failure(): string {
    const script = `require('fused-lora/kernels').linear({ x: { data: Float32Array.of(2), shape: [1, 1] }, weight: { data: Float32Array.of(3), shape: [1, 1] } }).catch((e) => console.log(e.code, e.message))`;
    return node('--eval', script);
  }

  test('without its package, or with one that does not load or is of another version, it says so', () => {
    const addons = path.join(project, 'node_modules', '@fused-lora');
    const addon = path.join(addons, PLATFORM, 'fused-lora.node');
    fs.renameSync(addons, `${addons}-aside`);
    expect(failure()).toMatch(
      new RegExp(
        `^ADDON_NOT_FOUND .*no package @fused-lora/${PLATFORM}.*--omit=optional.*npm install @fused-lora/${PLATFORM}@`,
      ),
    );
    fs.renameSync(`${addons}-aside`, addons);

    const bytes = fs.readFileSync(addon);
    fs.writeFileSync(addon, 'no ELF');
    expect(failure()).toMatch(/^ADDON_NOT_FOUND .*fused-lora\.node: .+\. Install it/);
    fs.writeFileSync(addon, bytes);

    const version = path.join(project, 'node_modules', 'fused-lora', 'dist', 'base', 'version.js');
    const text = fs.readFileSync(version, 'utf8');
    fs.writeFileSync(version, text.replace(/'\d+\.\d+\.\d+'/, "'99.0.0'"));
    expect(failure()).toMatch(
      new RegExp(
        `^ADDON_NOT_FOUND fused-lora 99\\.0\\.0 found @fused-lora/${PLATFORM} \\d+\\.\\d+\\.\\d+ .*one version`,
      ),
    );
    fs.writeFileSync(version, text);
  });

  test('where nothing was built, a release is tried by the addon of the package', () => {
    const place = path.join(work, 'release');
    const script = `
      const { makeAdapter } = await import(${JSON.stringify(path.join(ROOT, 'scripts/release/program.mjs'))});
      const { createRequire } = await import('node:module');
      const { addonFile } = createRequire(import.meta.url)(${JSON.stringify(path.join(ROOT, 'dist/native.js'))});
      const made = await makeAdapter(${JSON.stringify(place)}, ${JSON.stringify(path.join(work, 'packages'))}, 'none');
      console.log(JSON.stringify({ made, file: addonFile(), left: process.env.FUSED_LORA_PREBUILD ?? null }));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect([status, status === 0 ? '' : stderr]).toEqual([0, '']);
    const { made, file, left } = JSON.parse(stdout.trim().split('\n').at(-1) as string);
    expect({ file, left }).toEqual({ file: path.join(`${place}-addon`, 'fused-lora.node'), left: null });
    // Both probabilities too: what programs print is compared with this.
    const [product, label, ...probabilities] = JSON.parse(made.expected);
    expect([made.adapter, product, label]).toEqual([place, 6, expect.any(String)]);
    expect([probabilities.length, probabilities[0] + probabilities[1]]).toEqual([2, expect.closeTo(1, 5)]);
    expect(fs.existsSync(path.join(place, 'adapter_model.safetensors'))).toBe(true);
  });

  test('a build from source without a compiler says what is missing', () => {
    const folder = path.join(project, 'node_modules', 'fused-lora');
    const { status, stderr } = spawnSync(process.execPath, ['scripts/cmake-build.mjs'], {
      cwd: folder,
      env,
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    for (const part of ['a C++20 compiler', 'CMake', 'apt-get install g++ cmake make']) expect(stderr).toContain(part);
    expect(fs.existsSync(path.join(project, 'node_modules', 'cmake-js'))).toBe(false);
    expect(registry.requests.filter((url) => !/^\/[@\w]/.test(url))).toEqual([]);
  });

  (hasCmake ? test : test.skip)('a build from source fetches its tools by npm, and no headers of Node', async () => {
    const folder = path.join(project, 'node_modules', 'fused-lora');
    const tools = await fetchedTools(folder);
    expect(tools.cmakeJs).toBe(path.join(folder, 'build-tools', 'node_modules', 'cmake-js', 'bin', 'cmake-js'));
    const settings = ['--CDFUSED_LORA_CUDA=off', '--CDFUSED_LORA_TEST=OFF', '--log-level', 'warn'];
    const place = ['--directory', folder, '--out', path.join(work, 'source-build')];
    const headers = `--CDFUSED_LORA_NODE_HEADERS=${tools.headers}`;
    const args = [tools.cmakeJs, 'configure', ...place, ...settings, headers];
    // A proxy that nobody answers at, a home without headers, and no npm_config_nodedir.
    const proxy = 'http://127.0.0.1:9';
    const offline = { PATH: process.env['PATH'], HOME: work, http_proxy: proxy, https_proxy: proxy };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env: offline, encoding: 'utf8' });
    expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, '']);
    expect(fs.existsSync(path.join(work, 'source-build', 'CMakeCache.txt'))).toBe(true);
    expect(fs.existsSync(path.join(work, '.cmake-js'))).toBe(false);
  });
});
