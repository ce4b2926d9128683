/**
 * Builds the native code with sanitizers and runs what finds most with them: AddressSanitizer and
 * UndefinedBehaviorSanitizer on the native tests and on the addon under Node, ThreadSanitizer on
 * the thread pool and programs. Its last line is `N passed, N failed`, a part counts as one.
 * Usage: node scripts/test-sanitize.mjs [--all] [--only address|thread]
 *   --all   every native test and case, and more of the tests under Node
 *   --only  the sanitizers of memory and undefined behaviour, or that of threads
 * The flags: cmake/CompileFlags.cmake. Where no sanitizer can be linked, it says so and passes.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildTools } from './lib/build-tools.mjs';
import { fail, mustRun, root, run, say, which } from './lib/shell.mjs';

const { values } = parseArgs({ options: { all: { type: 'boolean', default: false }, only: { type: 'string' } } });
const chosen = (name) => values.only === undefined || values.only === name;
const compiler = process.env.CXX ?? 'c++';
let passed = 0;
let failed = 0;

/** Whether programs that the compiler links with this sanitizer run here. */
function works(sanitizer) {
  const folder = mkdtempSync(join(tmpdir(), 'sanitizer-'));
  const program = join(folder, 'program');
  writeFileSync(join(folder, 'main.cc'), 'int main() { return 0; }\n');
  const built = run(compiler, [`-fsanitize=${sanitizer}`, join(folder, 'main.cc'), '-o', program], { quiet: true });
  const { status, output } = built.status === 0 ? run(program, [], { quiet: true }) : built;
  rmSync(folder, { recursive: true });
  if (status !== 0) say(`skip ${sanitizer}: ${output.trim().split('\n')[0]}`);
  return status === 0;
}

/** Path of a runtime library of the compiler. */
function library(name) {
  const { output } = run(compiler, [`-print-file-name=${name}`], { quiet: true });
  return output.trim();
}

function build(folder, sanitizer, targets) {
  const tools = buildTools() ?? fail('node-addon-api is not installed. Run: npm ci --ignore-scripts');
  const startedAt = Date.now();
  const settings = [
    `-DFUSED_LORA_SANITIZE=${sanitizer}`,
    '-DFUSED_LORA_CUDA=off',
    `-DFUSED_LORA_NODE_HEADERS=${join(tools.headers, '..', 'node-api-headers', 'include')};${tools.headers}`,
    // Where node-gyp-build looks in the folder that FUSED_LORA_PREBUILD names.
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(folder, 'build', 'Release')}`,
  ];
  const generator = which('ninja') ? ['-G', 'Ninja'] : [];
  mustRun('Configuring', 'cmake', ['-S', root, '-B', folder, ...generator, ...settings]);
  const parallel = ['--parallel', String(availableParallelism())];
  mustRun('Building', 'cmake', ['--build', folder, ...parallel, '--target', ...targets]);
  say(`built with ${sanitizer} (${((Date.now() - startedAt) / 1000).toFixed(0)} s)`);
}

function part(name, command, args, env) {
  const startedAt = Date.now();
  const options = { quiet: true, timeoutMs: 30 * 60_000, env: { ...process.env, ...env } };
  const { status, output } = run(command, args, options);
  // A report of a sanitizer may come from a child process that a test expects to end.
  const ok = status === 0 && !/ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:/.test(output);
  if (!ok) process.stdout.write(`${output}\n`);
  say(`${ok ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
  ok ? passed++ : failed++;
}

/** All but the comparisons of kernels, which take minutes with a sanitizer. */
const NATIVE_TESTS = [
  'program/',
  'contract/',
  'fuzz/',
  'runtime/',
  'threadPool/',
  'update/',
  'recordedStep/',
  'gradientSum/',
];
const halt = 'halt_on_error=1:abort_on_error=0';

if (chosen('address') && works('address,undefined')) {
  const folder = join(root, 'build-sanitize', 'address');
  build(folder, 'address,undefined', ['fused_lora_test', 'fused_lora']);
  const options = {
    ASAN_OPTIONS: `${halt}:detect_stack_use_after_return=1:allocator_may_return_null=1`,
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
  part(
    'native tests with address,undefined',
    join(folder, 'fused_lora_test'),
    values.all ? ['--small'] : ['--small', ...NATIVE_TESTS],
    options,
  );
  const tests = values.all ? ['test/native', 'test/kernels', 'test/train', 'test/graph', 'test/lora'] : addonTests();
  // Node is not built with the sanitizer: its runtime has to be there first. What V8 keeps to the
  // end of the process is no leak.
  const preload = [library('libasan.so'), library('libubsan.so'), library('libstdc++.so.6')].join(':');
  const jest = join(root, 'node_modules/jest/bin/jest.js');
  part('the addon with address,undefined', process.execPath, [jest, '--ci', '--runInBand', ...tests], {
    ...options,
    ASAN_OPTIONS: `${options.ASAN_OPTIONS}:detect_leaks=0`,
    LD_PRELOAD: preload,
    FUSED_LORA_PREBUILD: folder,
  });
}

if (chosen('thread') && works('thread')) {
  const folder = join(root, 'build-sanitize', 'thread');
  build(folder, 'thread', ['fused_lora_test']);
  const tests = values.all
    ? ['--small']
    : ['--small', 'threadPool/', 'runtime/', 'program/', 'update/', 'gradientSum/'];
  part('threads and programs with thread', join(folder, 'fused_lora_test'), ['--backend', 'cpu', ...tests], {
    TSAN_OPTIONS: `${halt}:second_deadlock_stack=1`,
    FUSED_LORA_THREADS: '4',
  });
}

/** Tests that give the addon most to do, in little time. */
function addonTests() {
  return ['test/native/arguments', 'test/native/run_op', 'test/kernels'].filter((name) =>
    existsSync(join(root, `${name}.test.ts`)),
  );
}

process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
