/**
 * Builds the addon that the npm package ships: prebuilds/<platform>-<arch>/fused-lora.node,
 * stripped, with libstdc++ inside, and checks what it asks of the machine: which glibc, which
 * libraries, which symbols it exports, and for which GPUs it has code.
 * Usage: node scripts/prebuild.mjs [--cuda auto|on|off]   (default: FUSED_LORA_CUDA, else auto)
 * Who takes it at install: install.mjs.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gpuCode } from './lib/fatbin.mjs';
import { compareVersions, dynamicSymbols, makeGlibcStubs } from './lib/glibc-stubs.mjs';
import { fail, mustRun, root, say } from './lib/shell.mjs';
import { findNvcc } from './lib/system.mjs';

/** The oldest glibc that the binary may ask for: that of Node 20's own binaries. */
const GLIBC = '2.28';
const MOST_BYTES = 25e6;
/** What every Linux that runs Node has. */
const LIBRARIES = [
  'ld-linux-x86-64.so.2',
  'libc.so.6',
  'libdl.so.2',
  'libgcc_s.so.1',
  'libm.so.6',
  'libpthread.so.0',
  'librt.so.1',
];
/** Code for each of these, and PTX of the first for what comes later. */
const CUDA_ARCHITECTURES = ['80', '86', '89', '90', '90a'];

const { values } = parseArgs({
  options: { cuda: { type: 'string', default: process.env.FUSED_LORA_CUDA ?? 'auto' } },
});
const withCuda = values.cuda === 'on' || (values.cuda === 'auto' && findNvcc(root) !== undefined);
const build = join(root, 'build-prebuild');
const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'fused-lora.node');
const portable = process.platform === 'linux' && process.arch === 'x64';

const settings = [
  `--CDFUSED_LORA_CUDA=${values.cuda}`,
  '--CDFUSED_LORA_TEST=OFF',
  '--CDFUSED_LORA_CUDA_LINEINFO=OFF',
  `--CDFUSED_LORA_CUDA_ARCHS=${CUDA_ARCHITECTURES.join(';')}`,
];
if (portable) {
  const stubs = join(build, 'glibc');
  makeGlibcStubs(stubs, GLIBC);
  settings.push(`--CDFUSED_LORA_GLIBC_STUBS=${stubs}`);
}
const cmakeJs = join(
  dirname(createRequire(join(root, 'package.json')).resolve('cmake-js/package.json')),
  'bin/cmake-js',
);
const common = ['--directory', root, '--out', build, '--log-level', 'warn', ...settings];
mustRun('Configuring the prebuild', process.execPath, [cmakeJs, 'configure', ...common]);
mustRun('Building the prebuild', process.execPath, [
  cmakeJs,
  'build',
  ...common,
  '--parallel',
  String(availableParallelism()),
]);

const built = join(build, 'Release/fused-lora.node');
if (portable) check(built);
rmSync(dirname(target), { recursive: true, force: true });
mkdirSync(dirname(target), { recursive: true });
copyFileSync(built, target);
say(`prebuilds/${process.platform}-${process.arch}/fused-lora.node: ${(statSync(target).size / 1e6).toFixed(2)} MB`);

/** Ends the process where the binary asks for more than it may. */
function check(file) {
  const bytes = statSync(file).size;
  if (bytes > MOST_BYTES) fail(`${file} has ${bytes} bytes, more than ${MOST_BYTES}`);

  if (!/no symbols/.test(mustRun('Reading the symbol table', 'objdump', ['-t', file]))) fail(`${file} is not stripped`);

  const needed = [...mustRun('Reading libraries', 'objdump', ['-p', file]).matchAll(/NEEDED\s+(\S+)/g)].map(
    ([, name]) => name,
  );
  const foreign = needed.filter((name) => !LIBRARIES.includes(name));
  if (foreign.length > 0) fail(`${file} needs ${foreign.join(', ')}, which not every machine has`);

  const symbols = dynamicSymbols(file);
  const exported = symbols.filter(
    ({ defined, name }) => defined && !/^(napi_register_module_v1|node_api_module_get_api_version_v1)$/.test(name),
  );
  if (exported.length > 0)
    fail(
      `${file} exports ${exported
        .slice(0, 5)
        .map(({ name }) => name)
        .join(', ')}; only the module's entry may be seen`,
    );

  if (withCuda) {
    const wanted = [...CUDA_ARCHITECTURES.map((arch) => `sm_${arch}`), `compute_${CUDA_ARCHITECTURES[0]}`];
    const code = gpuCode(file);
    const missing = wanted.filter((name) => !code.has(name));
    if (missing.length > 0) fail(`${file} has no code for ${missing.join(', ')}; it has ${[...code].join(', ')}`);
    const text = readFileSync(file);
    // The static CUDA runtime opens the driver by name; nothing else of CUDA's is asked for.
    if (!text.includes('libcuda.so.1')) fail(`${file} has no static CUDA runtime in it`);
    if (text.includes('libcublas')) fail(`${file} names cuBLAS, which no kernel may need`);
    say(`GPU code: ${[...code].sort().join(', ')}`);
  } else {
    say('GPU code: none (no nvcc, or --cuda off)');
  }

  // Without a version: found in Node itself (napi_), or in nothing that is known.
  const strange = symbols.filter(
    ({ defined, version, weak, name }) => !defined && !weak && version === undefined && !/^(napi|node_api)_/.test(name),
  );
  if (strange.length > 0)
    fail(`${file} needs ${strange.map(({ name }) => name).join(', ')}, which glibc ${GLIBC} does not have`);

  const glibc =
    symbols
      .flatMap(({ version }) => (version?.startsWith('GLIBC_') ? [version.slice(6)] : []))
      .sort(compareVersions)
      .at(-1) ?? '0';
  if (compareVersions(glibc, GLIBC) > 0) fail(`${file} needs glibc ${glibc}, newer than ${GLIBC}`);
  say(`needs glibc ${glibc} or newer (at most ${GLIBC} is allowed); libraries: ${needed.join(', ')}`);
}
