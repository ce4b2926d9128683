/**
 * Fuzzes the readers of files (Jazzer.js, test/fuzz) and the native checks of calls and programs
 * (libFuzzer, native/fuzz), from the stored corpus on. What is found goes to build-fuzz; it becomes
 * a file of the corpus once it is fixed, if it harms no other software.
 * Usage: node scripts/fuzz.mjs [--seconds 60] [--glibc FOLDER] [TARGET ...]
 *   TARGET   one of test/fuzz/targets.ts, or callOp, runProgram; all of them by default
 *   --glibc  where the system's is older than the 2.38 that Jazzer.js needs: a folder into which
 *            libc6, libstdc++6 and libgcc-s1 of a newer Debian are unpacked (dpkg -x)
 * Jazzer.js, 30 MB, is installed into .cache when it is first asked for; libFuzzer needs clang++.
 * The corpus is run again by test/fuzz/corpus.test.ts and fused_lora_test fuzz/.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, mustRun, root, run, say, which } from './lib/shell.mjs';

const JAZZER = '4.0.0';
/** Folder of the corpus, and what one input of it is at most. */
const NATIVE = { callOp: 'ops', runProgram: 'programs' };

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, glibc: { type: 'string' } },
  allowPositionals: true,
});
const readers = readdirSync(join(root, 'test', 'fuzz', 'corpus'));
const all = [...readers, ...Object.keys(NATIVE)];
const wanted = positionals.length > 0 ? positionals : all;
const unknown = wanted.find((name) => !all.includes(name));
if (unknown) fail(`there is no target ${unknown}; there are ${all.join(', ')}`);

const work = join(root, 'build-fuzz');
const limits = [`-max_total_time=${values.seconds}`, '-timeout=20', '-rss_limit_mb=3000', '-print_final_stats=1'];

function folders(target, stored) {
  const found = join(work, 'found', target);
  mkdirSync(found, { recursive: true });
  return { found, dirs: [found, stored], artifacts: `-artifact_prefix=${join(work, `${target}-`)}` };
}

function jazzer() {
  const folder = join(root, '.cache', 'jazzer');
  const cli = join(folder, 'node_modules', '@jazzer.js', 'core', 'dist', 'cli.js');
  if (!existsSync(cli)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private": true}\n');
    say(`installing @jazzer.js/core ${JAZZER}`);
    const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--save-exact'];
    mustRun('Installing Jazzer.js', 'npm', [...args, `@jazzer.js/core@${JAZZER}`]);
  }
  const { buildSync } = createRequire(join(root, 'package.json'))('esbuild');
  const bundle = join(work, 'bundle', 'fuzz.cjs');
  buildSync({
    entryPoints: [join(root, 'test', 'fuzz', 'fuzz.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    packages: 'external',
    logLevel: 'error',
  });
  // Reports find their parts there (src/own_files.ts).
  cpSync(join(root, 'src', 'report', 'assets'), join(work, 'bundle', 'report', 'assets'), { recursive: true });
  return { cli, bundle };
}

function native() {
  const compiler = ['clang++', 'clang++-14', 'clang++-15', 'clang++-16'].find(which);
  if (!compiler)
    return say('skip callOp, runProgram: clang++ was not found (Debian packages clang, libclang-rt-14-dev)');
  const folder = join(work, 'native');
  const generator = which('ninja') ? ['-G', 'Ninja'] : [];
  const settings = ['-DFUSED_LORA_FUZZ=ON', '-DFUSED_LORA_CUDA=off', `-DCMAKE_CXX_COMPILER=${compiler}`];
  mustRun('Configuring', 'cmake', ['-S', root, '-B', folder, ...generator, ...settings]);
  const targets = Object.keys(NATIVE).map((name) => `fused_lora_fuzz_${name}`);
  const parallel = ['--parallel', String(availableParallelism())];
  mustRun('Building', 'cmake', ['--build', folder, ...parallel, '--target', ...targets]);
  return folder;
}

/** Node, on the C library that the fuzzer needs. */
function nodeFor() {
  const version = process.report.getReport().header.glibcVersionRuntime ?? '2.38';
  if (values.glibc === undefined) {
    if (Number(version.split('.')[1]) < 38)
      fail(`Jazzer.js needs glibc 2.38 and this is ${version}: give --glibc, or callOp and runProgram alone`);
    return [process.execPath, []];
  }
  const libraries = join(
    resolve(values.glibc),
    'usr',
    'lib',
    `${{ x64: 'x86_64', arm64: 'aarch64' }[process.arch]}-linux-gnu`,
  );
  const loader = readdirSync(libraries).find((name) => /^ld-linux-.*\.so\.\d$/.test(name));
  if (!loader) fail(`${libraries} has no ld-linux: unpack libc6 there`);
  return [join(libraries, loader), ['--library-path', libraries, process.execPath]];
}

let failed = 0;
function report(target, { status, output }) {
  const lines = output.trimEnd().split('\n');
  const figures = lines.filter((line) => /^stat::number_of_executed_units|^#\d+\s+DONE/.test(line));
  say(`${status === 0 ? 'ok  ' : 'FAIL'} ${target}: ${figures.join(' ').replace(/\s+/g, ' ')}`);
  if (status === 0) return;
  failed++;
  process.stdout.write(`${lines.slice(-60).join('\n')}\n`);
}

const script = wanted.filter((name) => readers.includes(name));
if (script.length > 0) {
  const [node, loaded] = nodeFor();
  const { cli, bundle } = jazzer();
  for (const target of script) {
    const { dirs, artifacts } = folders(target, join(root, 'test', 'fuzz', 'corpus', target));
    const args = [...loaded, cli, bundle, ...dirs, '--includes', work, '--', ...limits, '-max_len=8192', artifacts];
    const env = { ...process.env, FUSED_LORA_FUZZ_TARGET: target, NODE_PATH: join(root, 'node_modules') };
    report(target, run(node, args, { quiet: true, env, cwd: work }));
  }
}
const compiled = wanted.filter((name) => name in NATIVE);
const folder = compiled.length > 0 ? native() : undefined;
if (folder) {
  for (const target of compiled) {
    const { dirs, artifacts } = folders(target, join(root, 'native', 'fuzz', 'corpus', NATIVE[target]));
    const env = { ...process.env, ASAN_OPTIONS: 'allocator_may_return_null=1', FUSED_LORA_THREADS: '2' };
    const args = [...dirs, ...limits, '-max_len=512', artifacts];
    report(target, run(join(folder, `fused_lora_fuzz_${target}`), args, { quiet: true, env, cwd: work }));
  }
}
process.exitCode = failed > 0 ? 1 : 0;
