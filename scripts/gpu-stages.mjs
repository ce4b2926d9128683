/**
 * The steps of scripts/gpu-run.sh, run by the packed Node: build, test, bench, sanitize, sm90a, in
 * the order of their value. A failed step does not keep the others from running. Results are kept
 * by step: stages may be run one call at a time, and with --minutes a call goes on where the one
 * before ended (lib/step-runner.mjs).
 * Usage: node gpu-stages.mjs ROOT [--minutes N [--again]] [--stage NAME]... [--quick] [--emulated]
 *                                 [--dry]
 * Tests alone, on a machine with Node: test-gpu.mjs.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { run, which } from './lib/shell.mjs';
import { ledgerRow, outcomeOf, readState, runSteps, withLedgerRow, writeState } from './lib/step-runner.mjs';

const STAGES = ['build', 'test', 'bench', 'sanitize', 'sm90a'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stage: { type: 'string', multiple: true },
    minutes: { type: 'string' },
    again: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    emulated: { type: 'boolean', default: false },
    dry: { type: 'boolean', default: false },
  },
});
const root = resolve(positionals[0] ?? '.');
const pack = join(root, '.gpu-run');
const work = join(root, 'build-gpu');
const logs = join(work, 'logs');
const out = process.env.OUT ?? join(root, 'gpu-run-out');
const js = join(work, 'js');
const native = join(work, 'native');
const addon = join(js, 'build/Release/fused-lora.node');

const say = (message) => process.stdout.write(`[gpu-run] ${message}\n`);
const stages = values.stage ?? STAGES;
const unknown = stages.find((stage) => !STAGES.includes(stage));
if (unknown !== undefined) wrong(`--stage ${unknown}: it must be one of ${STAGES.join(', ')}`);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
if (minutes !== undefined && !(minutes > 0)) wrong(`--minutes ${values.minutes}: it must be a number above 0`);
/** The first day's choice: fewer sizes and rounds. */
const quick = values.quick || minutes !== undefined;

function wrong(message) {
  say(message);
  process.exit(2);
}

mkdirSync(logs, { recursive: true });
mkdirSync(out, { recursive: true });

const facts = JSON.parse(readFileSync(join(pack, 'facts.json'), 'utf8'));
const gpu = line('nvidia-smi', ['--query-gpu=name,driver_version,memory.total,clocks.max.sm', '--format=csv,noheader']);
say(gpu === null ? 'NO GPU on this machine (nvidia-smi failed): only what needs none runs' : `GPU: ${gpu}`);
if (values.emulated) say('--emulated: the kernels run on the CPU; figures of such a run mean nothing');
const device = gpu !== null ? 'cuda' : values.emulated ? 'emulated' : 'cpu';
const capability = line('nvidia-smi', ['--query-gpu=compute_cap', '--format=csv,noheader']);
const nvcc = [
  which('nvcc'),
  ...[process.env.CUDA_HOME, '/usr/local/cuda', join(root, '.cache/cuda')].map(
    (home) => home && join(home, 'bin/nvcc'),
  ),
].find((file) => file && existsSync(file));
const python = which('python3');

const machine = {
  cpu: `${cpus()[0]?.model ?? 'unknown'} (${cpus().length} threads)`,
  nvcc: nvcc ? run(nvcc, ['--version'], { quiet: true, cwd: root }).output.trim().split('\n').at(-1) : null,
  compiler: line('c++', ['--version']),
  torch: python ? line(python, ['-c', 'import importlib.metadata as m; print(m.version("torch"))']) : null,
};

/** First line that a program prints, or null. */
function line(command, args) {
  const { status, output } = run(command, args, { quiet: true, cwd: root, timeoutMs: 60_000 });
  return status === 0 ? (output.trim().split('\n')[0] ?? null) : null;
}

/** A step that runs one program; its output goes to a log. */
function program(stage, name, command, args, { limit, least = Math.min(1, limit), needs = [], env = {} }) {
  return {
    ...{ stage, name, limit, least, needs },
    command: [...Object.entries(env).map(([key, value]) => `${key}=${value}`), command, ...args].join(' '),
    run(timeoutMs) {
      const options = { quiet: true, cwd: root, timeoutMs, env: { ...process.env, ...env } };
      const result = run(command, args, options);
      writeFileSync(join(logs, `${name}.txt`), result.output);
      return { ...result, refused: /^\[fused-lora\] refused (.*)$/m.exec(result.output)?.[1] };
    },
  };
}

/**
 * Programs that came along are used where they run here; else everything is compiled, by ccache
 * where that is there (CMakeLists.txt finds it).
 */
function buildSteps() {
  const unpack = {
    ...{ stage: 'build', name: 'unpack', limit: 1, least: 0, command: 'the programs that came along, where they run' },
    run() {
      // The addon that an earlier call linked stays: what is built is not linked again.
      cpSync(join(pack, 'js'), js, { recursive: true });
      const shipped = join(pack, 'binaries');
      if (device === 'emulated' || !existsSync(shipped)) return { status: 0, output: 'no programs came along' };
      for (const name of readdirSync(shipped)) {
        const file = name === 'fused-lora.node.gz' ? addon : join(native, name.slice(0, -'.gz'.length));
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, gunzipSync(readFileSync(join(shipped, name))));
        chmodSync(file, 0o755);
      }
      const tried = run(testProgram(), ['--list'], { quiet: true, timeoutMs: 60_000 });
      if (tried.status === 0) writeFileSync(shippedRuns, '');
      else rmSync(shippedRuns, { force: true });
      return { status: 0, output: tried.output };
    },
  };
  const targets =
    device === 'emulated'
      ? []
      : ['--target', 'fused_lora', 'fused_lora_test', ...(nvcc ? ['fused_lora_hopper_gemm'] : [])];
  const configure = [
    ...['-S', join(pack, 'source'), '-B', native, ...(which('ninja') ? ['-G', 'Ninja'] : [])],
    ...[`-DFUSED_LORA_CUDA=${nvcc ? 'on' : 'off'}`, ...(nvcc ? [`-DFUSED_LORA_NVCC=${nvcc}`] : [])],
    ...['-DFUSED_LORA_CUDA_ARCHS=80;90;90a', `-DFUSED_LORA_NODE_HEADERS=${join(pack, 'headers')}`],
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${dirname(addon)}`,
  ];
  const compile = ['--build', native, '--parallel', String(availableParallelism()), ...targets];
  const unlessShipped = (step) => ({
    ...step,
    run: (timeoutMs) =>
      existsSync(shippedRuns)
        ? { status: 0, output: 'not needed: the programs that came along run here' }
        : step.run(timeoutMs),
  });
  return [
    unpack,
    unlessShipped(program('build', 'configure', 'cmake', configure, { limit: 2, least: 0, needs: ['unpack'] })),
    unlessShipped(program('build', 'compile', 'cmake', compile, { limit: 9, least: 1, needs: ['configure'] })),
  ];
}

/** Is there where the programs that came along run on this machine. */
const shippedRuns = join(work, 'shipped-programs-run');
const testProgram = () => join(native, device === 'emulated' ? 'fused_lora_emulated_test' : 'fused_lora_test');
const built = { needs: ['compile'] };

/** scripts/test-gpu.mjs with one of its stages. */
function testGpu(stage, name, args, options) {
  const command = [
    join(pack, 'scripts/test-gpu.mjs'),
    ...['--addon', device === 'emulated' ? join(native, 'emulated') : js, '--js', js],
    ...['--native', testProgram(), ...args],
  ];
  return program(stage, name, process.execPath, command, { ...built, ...options });
}

const small = device === 'emulated' ? ['--small'] : [];

function testSteps() {
  // What needs no GPU first: a build that is wrong on the CPU is wrong altogether.
  const cpu = ['--backend', 'cpu', 'compare/cpu', 'program/', 'cuda'];
  return [
    program('test', 'native-tests-cpu', testProgram(), cpu, { ...built, limit: 4 }),
    testGpu('test', 'gpu-native', ['--stage', 'native'], { limit: 6 }),
    testGpu('test', 'gpu-models', ['--stage', 'models', ...small], { limit: 8 }),
  ];
}

function benchmark(stage, name, file, args, { limit, env = {} }) {
  const command = [join(js, 'benchmarks', file), ...args, '--json', join(logs, `${name}.json`)];
  return program(stage, name, process.execPath, [...command, ...(quick || device !== 'cuda' ? ['--quick'] : [])], {
    ...{ limit, ...built },
    env: {
      ...(python && { FUSED_LORA_PEERS_PYTHON: process.env.FUSED_LORA_PEERS_PYTHON ?? python }),
      ...(device === 'emulated' && { FUSED_LORA_PREBUILD: join(native, 'emulated') }),
      FUSED_LORA_NATIVE_BUILD: native,
      ...env,
    },
  });
}

const benchSteps = () => [
  benchmark('bench', 'bench-gpu-linear', 'gpu.js', ['--only', 'linear'], { limit: 9 }),
  benchmark('bench', 'bench-gpu-step', 'gpu.js', ['--only', 'step'], { limit: 9 }),
  ...(device === 'cpu' ? [benchmark('bench', 'bench-linear-cpu', 'linear.js', ['--device', 'cpu'], { limit: 9 })] : []),
];

/** On the `--small` list alone. Some machines refuse it: that is told, and the rest goes on. */
const sanitizeSteps = () =>
  ['memcheck', 'racecheck', ...(minutes === undefined ? ['initcheck', 'synccheck'] : [])].map((tool) =>
    testGpu('sanitize', `sanitize-${tool}`, ['--stage', 'sanitize', '--tool', tool], { limit: 2 }),
  );

/**
 * The kernels for compute capability 9.0: by themselves, in the ops that use them, against
 * cuBLASLt.
 */
function sm90aSteps() {
  if (device === 'cpu' || (device === 'cuda' && capability !== '9.0')) return [];
  const env = {
    FUSED_LORA_CUDA_PATH: 'sm90a',
    ...(device === 'emulated' && { FUSED_LORA_EMULATOR_FAULT: 'capability=90' }),
  };
  const ops = ['linear', 'linearBackwardInput', 'loraLinear', 'loraLinearBackward'];
  const only = ['--backend', 'cuda', 'hopperGemm/', ...ops.map((op) => `compare/cuda/${op}/bf16`), ...small];
  return [
    program('sm90a', 'sm90a-native', testProgram(), only, { ...built, limit: 4, env }),
    testGpu('sm90a', 'sm90a-models', ['--stage', 'models', ...small], { limit: 6, env }),
    benchmark('sm90a', 'bench-gpu-hopper', 'gpu.js', ['--only', 'hopper'], { limit: 9 }),
    benchmark('sm90a', 'bench-sm90a-linear', 'gpu.js', ['--only', 'linear'], { limit: 6, env }),
  ];
}

const stateFile = join(work, 'steps.json');
const steps = [...buildSteps(), ...testSteps(), ...benchSteps(), ...sanitizeSteps(), ...sm90aSteps()].filter(
  ({ stage }) => stages.includes(stage),
);
if (values.dry) {
  for (const { stage, name, limit, least, command } of steps) {
    say(`${stage}: ${name}: ${least} to ${limit} min: ${command.replaceAll(`${root}/`, '')}`);
  }
  process.exit(0);
}
if (!nvcc && !existsSync(join(pack, 'binaries'))) say('nvcc not found: the CUDA kernels are not built');

const done = readState(stateFile, facts.packedAt);
const { left } = runSteps(steps, {
  ...(minutes !== undefined && { minutes }),
  resume: minutes !== undefined && !values.again,
  done,
  say,
  keep: (records) => {
    writeState(stateFile, facts.packedAt, records);
    report(records, []);
  },
});
process.stdout.write(report(done, left));
if (Object.values(done).some((record) => outcomeOf(record) === 'failed')) process.exitCode = 1;

/** Writes gpu-run.json, gpu-run.txt and the row of the ledger; returns the text. */
function report(records, notRun) {
  const benchmarks = {};
  for (const file of readdirSync(logs).filter((name) => /^bench-.*\.json$/.test(name))) {
    benchmarks[file.slice('bench-'.length, -'.json'.length)] = JSON.parse(readFileSync(join(logs, file), 'utf8'));
  }
  const result = {
    ...facts,
    ranAt: new Date().toISOString(),
    device,
    gpu,
    ...machine,
    steps: records,
    notRun: Object.fromEntries(notRun),
    benchmarks,
  };
  writeFileSync(join(out, 'gpu-run.json'), `${JSON.stringify(result, null, 2)}\n`);
  if (device === 'cuda') writeLedger(result, notRun);

  const rows = [
    ['commit', `${result.commit ?? 'unknown'}${result.uncommittedChanges ? ' with uncommitted changes' : ''}`],
    ['GPU', result.gpu ?? `none: ${device === 'emulated' ? 'the kernels ran on the CPU' : 'only what needs none ran'}`],
    ['CPU', result.cpu],
    ['nvcc', result.nvcc ?? 'none'],
    ['compiler', result.compiler ?? 'none'],
    ['PyTorch', result.torch ?? 'none'],
    ...Object.entries(records).map(([name, record]) => {
      const counts = record.passed === undefined ? '' : `, ${record.passed} passed, ${record.failed} failed`;
      const outcome = {
        ok: 'ok',
        refused: `refused: ${record.refused}`,
        failed: `FAILED (exit code ${record.exitCode})`,
      };
      return [`${record.stage}: ${name}`, `${outcome[outcomeOf(record)]}, ${record.seconds.toFixed(1)} s${counts}`];
    }),
    ...notRun.map(([name, reason]) => [name, `not run: ${reason}`]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const parts = [rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')];
  for (const [name, record] of Object.entries(records)) {
    if (record.skipped.length > 0) parts.push(`${name} skipped:\n${[...new Set(record.skipped)].join('\n')}`);
    const log = join(logs, `${name}.txt`);
    if (name.startsWith('bench-') && existsSync(log)) parts.push(`${name}:\n${readFileSync(log, 'utf8').trim()}`);
  }
  const page = `${parts.join('\n\n')}\n`;
  writeFileSync(join(out, 'gpu-run.txt'), page);
  return page;
}

/**
 * Into the ledger of this clone, and beside the results. What it shows as verified stays to people.
 */
function writeLedger(result, notRun) {
  const [name, driver] = (gpu ?? '').split(', ');
  const row = ledgerRow({
    date: result.ranAt.slice(0, 10),
    gpu: name,
    driver,
    nvcc: existsSync(shippedRuns)
      ? 'came built'
      : (/release ([\d.]+)|V([\d.]+)/.exec(result.nvcc ?? '')?.[1] ?? 'none'),
    commit: `${(result.commit ?? 'unknown').slice(0, 12)}${result.uncommittedChanges ? '+' : ''}`,
    steps: result.steps,
    left: notRun,
    file: relative(root, join(out, 'gpu-run.json')),
  });
  writeFileSync(join(out, 'ledger-row.md'), `${row}\n`);
  const ledger = join(root, 'benchmarks/gpu-ledger.md');
  if (existsSync(ledger)) writeFileSync(ledger, withLedgerRow(readFileSync(ledger, 'utf8'), row));
}
