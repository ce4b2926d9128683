/**
 * Runs every check: types, lints, native tests, package entry points, jest. Its last line is `N
 * passed, N failed`; each check that has no tests of its own counts as one. Expects
 * scripts/setup.mjs --test to have run.
 * GPUs have their own: test-gpu.mjs.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, runBeside, say, which } from './lib/shell.mjs';
import { listFiles } from './lib/stamp.mjs';

const minute = 60_000;
const total = { passed: 0, failed: 0 };
const bin = (file) => join(root, 'node_modules', file);

function count(name, passed, failed, startedAt) {
  total.passed += passed;
  total.failed += failed;
  say(
    `${failed === 0 ? 'ok  ' : 'FAIL'} ${name}: ${passed} passed, ${failed} failed (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`,
  );
}

/** What is run two at a time: each of it uses one core, or little more. */
const jobs = [];

/** A check that counts as one test; its output is shown where it fails. */
function check(name, command, args) {
  jobs.push(async () => {
    const startedAt = Date.now();
    const { status, output } = await runBeside(command, args, { timeoutMs: 10 * minute });
    if (status !== 0) process.stdout.write(`${output}\n`);
    count(name, status === 0 ? 1 : 0, status === 0 ? 0 : 1, startedAt);
  });
}

async function runJobs() {
  const lane = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  };
  await Promise.all([lane(), lane()]);
}

function clangFormat() {
  // Other versions format a few constructs differently; 14 is Debian 12's.
  const version = which('clang-format') ? run('clang-format', ['--version'], { quiet: true }).output : '';
  if (!/version 14\./.test(version)) {
    say('skip clang-format: version 14 is not installed');
    return;
  }
  const sources = listFiles(['native']).filter((file) => /\.(cc|h|cu|cuh)$/.test(file));
  if (sources.length > 0) check('clang-format', 'clang-format', ['--dry-run', '--Werror', ...sources]);
}

/** One of the native test executables, all of it or the tests that `args` choose. */
async function nativeTests(name, executable, args, env = {}) {
  const startedAt = Date.now();
  const options = { timeoutMs: 15 * minute, env: { ...process.env, ...env } };
  const { status, output } = await runBeside(join(root, executable), args, options);
  const lines = output.trimEnd().split('\n');
  const summary = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1) ?? '');
  const passed = Number(summary?.[1] ?? 0);
  const failed = Number(summary?.[2] ?? 0);
  // A crash, a missing summary or an exit code that its
  // counts do not explain is a failure of its own.
  const broken = !summary || (status !== 0 && failed === 0);
  if (broken || failed > 0) {
    process.stdout.write(`${output}\n`);
  } else {
    for (const line of lines) if (/\bskip/i.test(line)) say(line);
  }
  if (broken) say(`${name} ended with exit code ${status}${summary ? '' : ' and no summary line'}`);
  count(name, passed, failed + (broken ? 1 : 0), startedAt);
}

/** Of the CUDA kernels on the CPU: one core, whatever the machine has. */
function emulatedTests(name, args, env) {
  jobs.push(() => nativeTests(name, 'build/fused_lora_emulated_test', args, env));
}

/**
 * Packages as zig builds them, quickly compiled, and three steps on each: of the platforms that
 * FUSED_LORA_TEST_PLATFORMS names, `none` for none. Unasked in CI alone: zig builds its C++ library
 * for each platform first, a minute of processor time.
 */
async function platforms() {
  const some = 'linux-x64 linuxmusl-x64 linux-arm64';
  const asked = process.env.FUSED_LORA_TEST_PLATFORMS || (process.env.CI === 'true' ? some : 'none');
  if (asked === 'none' || process.platform !== 'linux' || process.arch !== 'x64') {
    say(`skip packages by platform: tried on Linux on x86-64 where FUSED_LORA_TEST_PLATFORMS names some (${some})`);
    return;
  }
  const names = [];
  // Of linux-x64 come the numbers that the others are compared with.
  for (const name of new Set(['linux-x64', ...asked.split(/[\s,]+/).filter((name) => name !== '')])) {
    const args = ['scripts/test-platform.mjs', name, '--fetch'];
    const { status, output } = await runBeside(process.execPath, args, { timeoutMs: 10 * minute });
    if (status === 0) names.push(name);
    else say(`skip package ${name}: what it is built or run by can not be had:\n${output.trim()}`);
    if (status !== 0 && name === 'linux-x64') return;
  }
  const trial = ['--steps', '3', '--packages', '.cache/trial'];
  for (const [what, ...args] of [
    ['building packages', 'scripts/packages.mjs', 'main', ...names, '--trial'],
    [`packages of ${names.join(', ')}`, 'scripts/test-platform.mjs', ...names, ...trial],
  ]) {
    const startedAt = Date.now();
    const { status, output } = await runBeside(process.execPath, args, { timeoutMs: 20 * minute });
    if (status !== 0) process.stdout.write(`${output}\n`);
    count(what, status === 0 ? 1 : 0, status === 0 ? 0 : 1, startedAt);
    if (status !== 0) return;
  }
}

/** `import` and `require` of the built package must give the same names and the same objects. */
function entryPoints() {
  for (const entry of ['index', 'kernels', 'serve/index']) {
    if (!existsSync(join(root, 'dist', `${entry}.js`))) continue;
    const script = `
      import { createRequire } from 'node:module';
      const required = createRequire(${JSON.stringify(join(root, 'package.json'))})('./dist/${entry}.js');
      const imported = await import(${JSON.stringify(join(root, 'dist', `${entry}.mjs`))});
      const names = Object.keys(required).filter((name) => name !== '__esModule');
      if (names.length === 0) throw new Error('${entry} exports nothing');
      const differ = names.filter((name) => imported[name] !== required[name]);
      if (differ.length > 0) throw new Error('import and require differ in: ' + differ.join(', '));`;
    check(`entry point ${entry}: import equals require`, process.execPath, ['--input-type=module', '--eval', script]);
  }
}

function jest() {
  const startedAt = Date.now();
  const report = join(root, 'build', 'jest.json');
  rmSync(report, { force: true });
  const args = [bin('jest/bin/jest.js'), '--json', `--outputFile=${report}`, '--passWithNoTests'];
  const { status } = runJest(args);
  if (!existsSync(report)) {
    say(`jest ended with exit code ${status} and wrote no report`);
    count('jest', 0, 1, startedAt);
    return;
  }
  const result = JSON.parse(readFileSync(report, 'utf8'));
  for (const file of result.testResults) {
    for (const test of file.assertionResults) {
      if (test.status === 'pending' || test.status === 'todo') say(`skip ${test.fullName}`);
    }
  }
  // A test file that does not even load has no failed test to count.
  const broken = result.numRuntimeErrorTestSuites ?? 0;
  const failed = result.numFailedTests + broken;
  const unexplained = status !== 0 && failed === 0 ? 1 : 0;
  if (unexplained) say(`jest ended with exit code ${status} though no test failed`);
  count('jest', result.numPassedTests, failed + unexplained, startedAt);
}

/**
 * Jest's progress goes to the terminal (stderr); --json's
 * copy on stdout is dropped: the file has it.
 */
function runJest(args) {
  return run('sh', ['-c', '"$0" "$@" 2>&1 >/dev/null', process.execPath, ...args], { timeoutMs: 40 * minute });
}

// First: the most time of it goes to zig's libraries, which it builds on one core.
jobs.push(platforms);
const emulated = [
  '--backend',
  'cuda',
  'update/',
  'program/',
  'recordedStep/',
  'compare/cuda/',
  'cudaLaunch/',
  'cudaGroup/',
  'coverage/cuda',
  'segments/cuda/',
];
emulatedTests('CUDA kernels on the CPU', [...emulated, 'exact/queriesAlone']);
// No result depends on which of a grid's blocks and threads
// come first, and none waits for a later block.
emulatedTests('CUDA kernels on the CPU, from the last block on', ['--small', ...emulated], {
  FUSED_LORA_EMULATOR_ORDER: 'backward',
});
// The kernels for compute capability 9.0, by themselves and in the ops that use them when asked to.
const hopper = { FUSED_LORA_EMULATOR_FAULT: 'capability=90', FUSED_LORA_CUDA_PATH: 'sm90a' };
const hopperOps = [
  ...['compare/cuda/linear/bf16', 'compare/cuda/linearBackwardInput/bf16'],
  ...['compare/cuda/loraLinear/bf16', 'compare/cuda/loraLinearBackward/bf16'],
];
const onCuda = ['--backend', 'cuda'];
emulatedTests('Hopper kernels on the CPU', [...onCuda, 'hopperGemm/'], hopper);
emulatedTests('ops by Hopper kernels on the CPU', ['--small', ...onCuda, ...hopperOps], hopper);
emulatedTests(
  'Hopper kernels on the CPU, from the last block on',
  ['--small', ...onCuda, 'hopperGemm/', ...hopperOps],
  {
    ...hopper,
    FUSED_LORA_EMULATOR_ORDER: 'backward',
  },
);
check('types', process.execPath, [bin('typescript/bin/tsc'), '--noEmit']);
check('biome', process.execPath, [bin('@biomejs/biome/bin/biome'), 'check', '--diagnostic-level=error']);
check('direction of knowledge', process.execPath, ['scripts/lint-directions.mjs']);
check('heads, comments and prose', process.execPath, ['scripts/lint-words.mjs', '--all']);
check('op signatures', process.execPath, ['scripts/generate-ops.mjs', '--check']);
check('instruction sets', process.execPath, ['scripts/lint-isa.mjs']);
check('machine code', process.execPath, ['scripts/lint-sass.mjs']);
check('licences', process.execPath, ['scripts/lint-licences.mjs']);
clangFormat();
// Sanitizers take four minutes more than CI has: `npm run test:sanitize`, by hand.
entryPoints();
// What npm, bundlers and TypeScript make of package.json; both pack the package as npm does.
check('publint', process.execPath, [bin('publint/src/cli.js'), '--strict']);
check('types for every resolution', process.execPath, [bin('@arethetypeswrong/cli/dist/index.js'), '--pack', '.']);
await runJobs();
await nativeTests('native tests', 'build/fused_lora_test', []);
// A process runs one instruction set; the run above had the best of this CPU.
const isas = run(join(root, 'build/fused_lora_test'), ['--isas'], { quiet: true }).output.trim().split('\n');
for (const isa of isas.slice(0, -1))
  await nativeTests(
    `CPU kernels on ${isa}`,
    'build/fused_lora_test',
    ['--backend', 'cpu', '--small', 'products/', 'compare/', 'segments/'],
    {
      FUSED_LORA_CPU_ISA: isa,
    },
  );
jest();

process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`, () => {
  process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
});
