/**
 * The stages of scripts/gpu-run.sh, run by the packed Node: build, test, sanitize, bench. Every
 * step has a time limit, and a failed one does not keep the others from running. Results are kept
 * by step, so that stages may be run one call at a time.
 * Usage: node gpu-stages.mjs ROOT [--stage NAME]... [--quick] [--emulated]
 * Tests alone, on a machine with Node: test-gpu.mjs.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { run, which } from './lib/shell.mjs';

const STAGES = ['build', 'test', 'sanitize', 'bench'];
const minute = 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stage: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    emulated: { type: 'boolean', default: false },
  },
});
const root = resolve(positionals[0] ?? '.');
const pack = join(root, '.gpu-run');
const work = join(root, 'build-gpu');
const logs = join(work, 'logs');
const out = process.env.OUT ?? join(root, 'gpu-run-out');
const js = join(work, 'js');
const native = join(work, 'native');
const stages = values.stage ?? STAGES;

const say = (message) => process.stdout.write(`[gpu-run] ${message}\n`);
const unknown = stages.find((stage) => !STAGES.includes(stage));
if (unknown !== undefined) {
  say(`--stage ${unknown}: it must be one of ${STAGES.join(', ')}`);
  process.exit(2);
}
mkdirSync(logs, { recursive: true });
mkdirSync(out, { recursive: true });

const facts = JSON.parse(readFileSync(join(pack, 'facts.json'), 'utf8'));
const gpu = line('nvidia-smi', ['--query-gpu=name,driver_version,memory.total,clocks.max.sm', '--format=csv,noheader']);
say(gpu === null ? 'NO GPU on this machine (nvidia-smi failed): only what needs none runs' : `GPU: ${gpu}`);
if (values.emulated) say('--emulated: the kernels run on the CPU; figures of such a run mean nothing');
const device = gpu !== null ? 'cuda' : values.emulated ? 'emulated' : 'cpu';
const nvcc = [
  which('nvcc'),
  ...[process.env.CUDA_HOME, '/usr/local/cuda', join(root, '.cache/cuda')].map(
    (home) => home && join(home, 'bin/nvcc'),
  ),
].find((file) => file && existsSync(file));
if (!nvcc) say('nvcc not found: the CUDA kernels are not built');
const python = which('python3');

/** Steps of this call and of earlier ones on the same pack, by name. */
const stateFile = join(work, 'steps.json');
const state = existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, 'utf8')) : {};
const steps = state.packedAt === facts.packedAt ? state.steps : {};

/**
 * Runs a program with a time limit; its output goes to a
 * log, of which the end is shown where it failed.
 */
function step(stage, name, command, args, { limitMs, env = {} }) {
  say(`${stage}: ${name}`);
  const started = Date.now();
  const { status, output } = run(command, args, {
    quiet: true,
    cwd: root,
    timeoutMs: limitMs,
    env: { ...process.env, ...env },
  });
  const lines = output.trimEnd().split('\n');
  writeFileSync(join(logs, `${name}.txt`), output);
  const summary = /^(\d+) passed, (\d+) failed$/m.exec(lines.slice(-8).join('\n'));
  steps[name] = {
    stage,
    ok: status === 0,
    exitCode: status,
    seconds: (Date.now() - started) / 1000,
    ranAt: new Date().toISOString(),
    device,
    ...(summary && { passed: Number(summary[1]), failed: Number(summary[2]) }),
    skipped: lines.filter((text) => /^(\[fused-lora\] )?skipped/.test(text.trim())),
    ...(status !== 0 && { output: lines.slice(-200).join('\n') }),
  };
  writeFileSync(stateFile, `${JSON.stringify({ packedAt: facts.packedAt, steps })}\n`);
  if (status !== 0) {
    say(`${name} FAILED with exit code ${status}; the end of its output:`);
    process.stdout.write(`${lines.slice(-40).join('\n')}\n`);
  }
  return status === 0;
}

/** First line that a program prints, or null. */
function line(command, args) {
  const { status, output } = run(command, args, { quiet: true, cwd: root, timeoutMs: minute });
  return status === 0 ? (output.trim().split('\n')[0] ?? null) : null;
}

function build() {
  // The addon that an earlier call linked stays: what is built is not linked again.
  cpSync(join(pack, 'js'), js, { recursive: true });
  const configured = step(
    'build',
    'configure',
    'cmake',
    [
      ...['-S', join(pack, 'source'), '-B', native, ...(which('ninja') ? ['-G', 'Ninja'] : [])],
      ...[`-DFUSED_LORA_CUDA=${nvcc ? 'on' : 'off'}`, ...(nvcc ? [`-DFUSED_LORA_NVCC=${nvcc}`] : [])],
      ...['-DFUSED_LORA_CUDA_ARCHS=80;90a', `-DFUSED_LORA_NODE_HEADERS=${join(pack, 'headers')}`],
      `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(js, 'build/Release')}`,
    ],
    { limitMs: 2 * minute },
  );
  if (!configured) return;
  const targets =
    device === 'emulated'
      ? []
      : ['--target', 'fused_lora', 'fused_lora_test', ...(nvcc ? ['fused_lora_hopper_gemm'] : [])];
  step('build', 'compile', 'cmake', ['--build', native, '--parallel', String(availableParallelism()), ...targets], {
    limitMs: 9 * minute,
  });
}

/** What scripts/test-gpu.mjs is told. */
const testArguments = () => [
  join(pack, 'scripts/test-gpu.mjs'),
  ...['--addon', device === 'emulated' ? join(native, 'emulated') : js, '--js', js],
  ...['--native', join(native, device === 'emulated' ? 'fused_lora_emulated_test' : 'fused_lora_test')],
];

function test() {
  // What needs no GPU first: a build that is wrong on the CPU is wrong altogether.
  const cpu = ['--backend', 'cpu', 'compare/cpu', 'program/', 'cuda'];
  step('test', 'native-tests-cpu', join(native, 'fused_lora_test'), cpu, { limitMs: 4 * minute });
  const only = (stage, limitMs, extra = []) =>
    step('test', `gpu-${stage}`, process.execPath, [...testArguments(), '--stage', stage, ...extra], { limitMs });
  only('native', 6 * minute);
  only('models', 8 * minute, device === 'emulated' ? ['--small'] : []);
}

function sanitize() {
  const args = [...testArguments(), '--stage', 'sanitize'];
  step('sanitize', 'compute-sanitizer', process.execPath, args, { limitMs: 4 * minute });
}

function bench() {
  const quick = values.quick || device !== 'cuda' ? ['--quick'] : [];
  const env = {
    ...(python && { FUSED_LORA_PEERS_PYTHON: process.env.FUSED_LORA_PEERS_PYTHON ?? python }),
    ...(device === 'emulated' && { FUSED_LORA_PREBUILD: join(native, 'emulated') }),
    FUSED_LORA_NATIVE_BUILD: native,
  };
  const benchmark = (name, file, args) =>
    step(
      'bench',
      name,
      process.execPath,
      [join(js, 'benchmarks', file), ...args, '--json', join(logs, `${name}.json`), ...quick],
      { limitMs: 9 * minute, env },
    );
  benchmark('bench-gpu-layer', 'gpu.js', ['--only', 'layer']);
  benchmark('bench-gpu-step', 'gpu.js', ['--only', 'step']);
  benchmark('bench-gpu-hopper', 'gpu.js', ['--only', 'hopper']);
  if (device === 'cpu') benchmark('bench-linear-cpu', 'linear.js', ['--device', 'cpu']);
}

const bodies = { build, test, sanitize, bench };
for (const stage of STAGES) {
  if (!stages.includes(stage)) continue;
  if (stage !== 'build' && !existsSync(js)) {
    say(`${stage}: nothing is built; run the stage build first`);
    process.exitCode = 1;
    break;
  }
  bodies[stage]();
}
report();

function report() {
  const benchmarks = {};
  for (const file of readdirSync(logs).filter((name) => /^bench-.*\.json$/.test(name))) {
    benchmarks[file.slice('bench-'.length, -'.json'.length)] = JSON.parse(readFileSync(join(logs, file), 'utf8'));
  }
  const result = {
    ...facts,
    ranAt: new Date().toISOString(),
    device,
    gpu,
    cpu: `${cpus()[0]?.model ?? 'unknown'} (${cpus().length} threads)`,
    nvcc: nvcc ? run(nvcc, ['--version'], { quiet: true, cwd: root }).output.trim().split('\n').at(-1) : null,
    compiler: line('c++', ['--version']),
    torch: python ? line(python, ['-c', 'import torch; print(torch.__version__)']) : null,
    steps,
    benchmarks,
  };
  writeFileSync(join(out, 'gpu-run.json'), `${JSON.stringify(result, null, 2)}\n`);

  const rows = [
    ['commit', `${result.commit ?? 'unknown'}${result.uncommittedChanges ? ' with uncommitted changes' : ''}`],
    ['GPU', result.gpu ?? `none: ${device === 'emulated' ? 'the kernels ran on the CPU' : 'only what needs none ran'}`],
    ['CPU', result.cpu],
    ['nvcc', result.nvcc ?? 'none: CUDA kernels were not built'],
    ['compiler', result.compiler ?? 'unknown'],
    ['PyTorch', result.torch ?? 'none'],
    ...Object.entries(steps).map(([name, s]) => {
      const counts = s.passed === undefined ? '' : `, ${s.passed} passed, ${s.failed} failed`;
      return [
        `${s.stage}: ${name}`,
        `${s.ok ? 'ok' : `FAILED (exit code ${s.exitCode})`}, ${s.seconds.toFixed(1)} s${counts}`,
      ];
    }),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const parts = [rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')];
  for (const [name, s] of Object.entries(steps)) {
    if (s.skipped.length > 0) parts.push(`${name} skipped:\n${[...new Set(s.skipped)].join('\n')}`);
    if (s.stage === 'bench') parts.push(`${name}:\n${readFileSync(join(logs, `${name}.txt`), 'utf8').trim()}`);
  }
  const page = `${parts.join('\n\n')}\n`;
  writeFileSync(join(out, 'gpu-run.txt'), page);
  process.stdout.write(page);
  if (Object.values(steps).some(({ ok }) => !ok)) process.exitCode = 1;
}
