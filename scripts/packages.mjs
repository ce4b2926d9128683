/**
 * Makes the tarballs of all packages into packages/: fused-lora itself, one with a native addon for
 * each platform, and the one with CUDA kernels; the same sources give the same bytes. Addons are
 * built by zig, that with CUDA by nvcc and gcc; each is held to what lib/platforms.mjs allows.
 * Usage: node scripts/packages.mjs [NAME …] [--jobs N] [--no-cuda] [--out FOLDER] [--trial]
 *          [--prebuilt FILE]
 *   NAME         main, or a platform such as linux-x64; default: all
 *   --out        default: packages
 *   --trial      not to be published: compiled quickly, for size and without AVX-512, into
 *                .cache/trial; for run-tests.mjs, which has little time
 *   --prebuilt   for tests: takes FILE as the addon and dist/ as it is, and checks neither
 * They are run by test-platform.mjs, and published as docs/releasing.md says.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkBinary } from './lib/check-binary.mjs';
import { makeGlibcStubs } from './lib/glibc-stubs.mjs';
import { BY_DEFAULT, GLIBC, PLATFORMS, packageOf } from './lib/platforms.mjs';
import { fail, mustRun, root, run, say } from './lib/shell.mjs';
import { findNvcc } from './lib/system.mjs';
import { packagingTools } from './setup-packaging.mjs';

/** Code for each of these, and PTX of the first for what comes later. */
const CUDA_ARCHITECTURES = ['80', '86', '89', '90', '90a'];

const { values, positionals } = parseArgs({
  options: {
    jobs: { type: 'string', default: String(availableParallelism()) },
    cuda: { type: 'boolean', default: true },
    out: { type: 'string' },
    trial: { type: 'boolean', default: false },
    prebuilt: { type: 'string' },
  },
  allowPositionals: true,
  allowNegative: true,
});
const all = ['main', ...Object.keys(PLATFORMS)].filter((name) => values.cuda || !PLATFORMS[name]?.cuda);
const wanted = positionals.length > 0 ? positionals : all;
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) fail(`there is no package ${unknown.join(', ')}; there are ${all.join(', ')}`);

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const folder = resolve(values.out ?? join(root, values.trial ? '.cache/trial' : 'packages'));
const staged = values.prebuilt || values.trial ? join(folder, 'staged') : join(root, '.cache', 'staged');
const tools = values.prebuilt ? undefined : packagingTools();
mkdirSync(folder, { recursive: true });
const made = wanted.map((name) => (name === 'main' ? makeMain() : makePlatform(name)));
for (const { file, bytes, unpacked } of made)
  say(`${file}: ${megabytes(bytes)} MB, ${megabytes(unpacked)} MB unpacked`);

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(2);
}

function makeMain() {
  if (!values.prebuilt && run(process.execPath, ['scripts/build-ts.mjs']).status !== 0)
    fail('Compiling src failed, see above.');
  const place = emptyFolder('main');
  const kept = own.files.filter((name) => !name.startsWith('!') && existsSync(join(root, name)));
  for (const name of ['README.md', 'LICENSE', ...kept])
    cpSync(join(root, name), join(place, name), { recursive: true });
  const { private: _, scripts, ...rest } = own;
  const cuda = Object.keys(PLATFORMS).filter((name) => PLATFORMS[name].cuda);
  writeJson(join(place, 'package.json'), {
    ...rest,
    scripts: { 'build:native': scripts['build:native'] },
    optionalDependencies: { ...own.optionalDependencies, ...byPackage(BY_DEFAULT, own.version) },
    peerDependencies: { ...own.peerDependencies, ...byPackage(cuda, own.version) },
    peerDependenciesMeta: { ...own.peerDependenciesMeta, ...byPackage(cuda, { optional: true }) },
  });
  return pack(place);
}

function byPackage(names, value) {
  return Object.fromEntries(names.map((name) => [packageOf(name), value]));
}

function makePlatform(name) {
  const platform = PLATFORMS[name];
  const addon = values.prebuilt ?? build(name);
  if (!values.prebuilt) checkBinary(name, addon, tools, CUDA_ARCHITECTURES);
  const place = emptyFolder(name);
  cpSync(addon, join(place, 'fused-lora.node'));
  cpSync(join(root, 'LICENSE'), join(place, 'LICENSE'));
  const { version, license, engines } = own;
  const description = `The native addon of fused-lora for ${platform.title}.`;
  writeJson(join(place, 'package.json'), {
    ...{ name: packageOf(name), version, description, license, engines },
    os: [platform.os],
    cpu: [platform.cpu],
    ...(platform.libc ? { libc: [platform.libc] } : {}),
    main: './fused-lora.node',
    exports: { '.': './fused-lora.node', './package.json': './package.json' },
    files: ['fused-lora.node'],
    // Yarn's Plug'n'Play: a program can not be loaded out of an archive.
    preferUnplugged: true,
    publishConfig: { access: 'public' },
  });
  writeFileSync(join(place, 'README.md'), readme(name, description));
  const packed = pack(place);
  if (!values.prebuilt && packed.bytes > platform.most)
    fail(`${packed.file} has ${packed.bytes} bytes, more than ${platform.most}`);
  return packed;
}

function readme(name, description) {
  const how = PLATFORMS[name].cuda
    ? `Install it beside fused-lora, of the same version: npm install fused-lora ${packageOf(name)}`
    : 'It is installed with fused-lora, which has the documentation; of itself it does nothing.';
  const parts = PLATFORMS[name].cuda
    ? "It holds parts of gcc's libstdc++ (GPL 3 with the GCC Runtime Library Exception) and NVIDIA's static CUDA runtime."
    : "It holds parts of LLVM's libc++, libc++abi, libunwind and compiler-rt (Apache 2.0 with LLVM's exception)" +
      `${PLATFORMS[name].os === 'win32' ? " and of mingw-w64's runtime (Zope Public License 2.1)" : ''}.`;
  return `# ${packageOf(name)}\n\n${description}\n${how}\n\n${parts}\n`;
}

/** Builds the addon. @returns its path */
function build(name) {
  const place = join(root, 'build-packages', values.trial ? `trial-${name}` : name);
  say(`building ${packageOf(name)}`);
  const settings = [
    '-DCMAKE_BUILD_TYPE=Release',
    '-DFUSED_LORA_TEST=OFF',
    ...(values.trial ? ['-DFUSED_LORA_TRIAL=ON'] : []),
    ...(PLATFORMS[name].cuda ? cuda(place) : zig(name)),
  ];
  const env = {
    ...process.env,
    ZIG_GLOBAL_CACHE_DIR: join(root, '.cache', 'zig'),
    ZIG_LOCAL_CACHE_DIR: join(root, '.cache', 'zig'),
  };
  mustRun(`Configuring ${name}`, 'cmake', ['-S', root, '-B', place, ...settings], { env });
  mustRun(`Building ${name}`, 'cmake', ['--build', place, '--target', 'fused_lora', '--parallel', values.jobs], {
    env,
  });
  return join(place, 'Release', 'fused-lora.node');
}

function zig(name) {
  return [`-DCMAKE_TOOLCHAIN_FILE=${join(root, 'cmake', 'toolchains', `${name}.cmake`)}`];
}

function cuda(place) {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    fail('The package with CUDA kernels is built on Linux on x86-64. Leave it out: --no-cuda');
  if (!findNvcc(root)) mustRun('Installing nvcc', process.execPath, ['scripts/setup-cuda.mjs']);
  const stubs = join(place, 'glibc');
  makeGlibcStubs(stubs, GLIBC);
  return [
    '-DFUSED_LORA_CUDA=on',
    '-DFUSED_LORA_CUDA_LINEINFO=OFF',
    `-DFUSED_LORA_CUDA_ARCHS=${CUDA_ARCHITECTURES.join(';')}`,
    `-DFUSED_LORA_GLIBC_STUBS=${stubs}`,
  ];
}

function emptyFolder(name) {
  const place = join(staged, name);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  return place;
}

function writeJson(file, value) {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** npm's tarballs have no times in them: the same files give the same bytes. */
function pack(place) {
  const out = join(place, '.packed');
  mkdirSync(out);
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', out];
  const [{ unpackedSize }] = JSON.parse(mustRun('npm pack', 'npm', args, { cwd: place }));
  const [file] = readdirSync(out);
  renameSync(join(out, file), join(folder, file));
  rmSync(out, { recursive: true });
  return { file, bytes: statSync(join(folder, file)).size, unpacked: unpackedSize };
}
