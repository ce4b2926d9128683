/**
 * Packs what a GPU machine without Node and without network needs into
 * .gpu-run/: this Node binary, the library, benchmarks and GPU tests as built
 * JavaScript with their packages, the Python peers, the native sources and the
 * Node-API headers. There, from the repository's root: bash scripts/gpu-run.sh
 * That script calls gpu-stages.mjs.
 * Usage: node scripts/gpu-run.mjs [--binaries]
 *   --binaries  builds with CUDA here and packs the programs too: where they run, nothing is
 *               compiled there
 */
import {
  cpSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGzip, gzipSync } from 'node:zlib';
import { fail, mustRun, root, run, say } from './lib/shell.mjs';
import { contentHash, isFresh, listFiles, writeStamp } from './lib/stamp.mjs';

const { values } = parseArgs({ options: { binaries: { type: 'boolean', default: false } } });
const pack = join(root, '.gpu-run');
const limitBytes = 60e6;

const require = createRequire(join(root, 'package.json'));

async function packNode() {
  const target = '.gpu-run/node.gz';
  const hash = contentHash([], [process.execPath, process.version, String(statSync(process.execPath).size)]);
  if (isFresh('.cache/stamp-gpu-node.json', hash, [target])) return;
  say(`packing Node ${process.version}`);
  mkdirSync(pack, { recursive: true });
  await pipeline(createReadStream(process.execPath), createGzip({ level: 9 }), createWriteStream(join(root, target)));
  writeStamp('.cache/stamp-gpu-node.json', hash, [target]);
}

function packJavaScript() {
  say('compiling src, benchmarks and the GPU tests');
  const js = join(pack, 'js');
  rmSync(js, { recursive: true, force: true });
  const config = join(root, '.cache', 'tsconfig.gpu.json');
  mkdirSync(dirname(config), { recursive: true });
  const compilerOptions = { noEmit: false, declaration: false, outDir: js, rootDir: '..', types: ['node'] };
  const include = ['../src', '../benchmarks', '../test/gpu'];
  writeFileSync(config, JSON.stringify({ extends: '../tsconfig.json', compilerOptions, include }));
  mustRun('Compiling src and benchmarks', process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    config,
  ]);
  cpSync(join(root, 'package.json'), join(js, 'package.json'));
  for (const folder of ['benchmarks/data', 'benchmarks/peers'])
    cpSync(join(root, folder), join(js, folder), {
      recursive: true,
      filter: (file) => !/node_modules|__pycache__|\.ts$/.test(file),
    });

  const wanted = Object.keys(require('./package.json').dependencies);
  const packed = new Set();
  while (wanted.length > 0) {
    const name = wanted.pop();
    if (packed.has(name)) continue;
    packed.add(name);
    const folder = join(root, 'node_modules', name);
    if (!existsSync(folder)) fail(`${name} is not in node_modules. Run: node scripts/setup.mjs`);
    const kept = (file) => !/\.(map|ts|cts|mts|md)$/.test(file) && !file.slice(folder.length).startsWith('/src');
    cpSync(folder, join(js, 'node_modules', name), { recursive: true, filter: kept });
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    wanted.push(...Object.keys(manifest.dependencies ?? {}));
  }
}

function packNative() {
  const source = join(pack, 'source');
  rmSync(source, { recursive: true, force: true });
  for (const path of ['CMakeLists.txt', 'cmake', 'native'])
    cpSync(join(root, path), join(source, path), { recursive: true });
  const headers = join(pack, 'headers');
  rmSync(headers, { recursive: true, force: true });
  mkdirSync(headers, { recursive: true });
  const folders = [require('node-api-headers').include_dir, dirname(require.resolve('node-addon-api/package.json'))];
  for (const folder of folders) {
    for (const file of listFiles([folder], '/').filter((name) => name.endsWith('.h') && dirname(name) === folder)) {
      cpSync(file, join(headers, basename(file)));
    }
  }
}

/** What is packed is of the packed sources: the build brings it up to date first. */
function packBinaries() {
  const target = join(pack, 'binaries');
  rmSync(target, { recursive: true, force: true });
  if (!values.binaries) return;
  say('building with CUDA');
  mustRun('The native build', process.execPath, [join(root, 'scripts/cmake-build.mjs'), '--test', '--cuda', 'on']);
  mustRun('The Hopper benchmark', 'cmake', ['--build', join(root, 'build'), '--target', 'fused_lora_hopper_gemm']);
  mkdirSync(target, { recursive: true });
  for (const file of ['Release/fused-lora.node', 'fused_lora_test', 'fused_lora_hopper_gemm'])
    writeFileSync(join(target, `${basename(file)}.gz`), gzipSync(readFileSync(join(root, 'build', file))));
}

function writeFacts() {
  const git = (args) => {
    const { status, output } = run('git', args, { quiet: true });
    return status === 0 ? output.trim() : null;
  };
  const changes = git(['status', '--porcelain']);
  const facts = {
    commit: git(['rev-parse', 'HEAD']),
    uncommittedChanges: changes === null ? null : changes !== '',
    node: process.version,
    packedAt: new Date().toISOString(),
  };
  writeFileSync(join(pack, 'facts.json'), `${JSON.stringify(facts, null, 2)}\n`);
}

await packNode();
packJavaScript();
packNative();
packBinaries();
writeFacts();
rmSync(join(pack, 'scripts'), { recursive: true, force: true });
for (const file of ['gpu-stages.mjs', 'test-gpu.mjs', 'lib/shell.mjs', 'lib/step-runner.mjs'])
  cpSync(join(root, 'scripts', file), join(pack, 'scripts', file));

const bytes = listFiles(['.gpu-run']).reduce((sum, file) => sum + statSync(file).size, 0);
say(
  `.gpu-run: ${(bytes / 1e6).toFixed(1)} MB. On the GPU machine, from the repository's root: bash scripts/gpu-run.sh`,
);
if (bytes > limitBytes) fail(`The pack is larger than ${limitBytes / 1e6} MB.`);
