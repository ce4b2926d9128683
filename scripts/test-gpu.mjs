/**
 * npm run test:gpu: everything that needs a GPU. Native tests of every op
 * and of programs against the reference, whole models against the CPU, and
 * compute-sanitizer's four tools over a small list. Where there is no GPU it
 * says so and why, and exits with 0. The last line is `N passed, N failed`.
 * Usage: node scripts/test-gpu.mjs [--stage native|models|sanitize]... [--addon FOLDER]
 *                                  [--native FILE] [--js FOLDER] [--json FILE]
 *   --addon   folder that holds build/Release/fused-lora.node (default: the package)
 *   --native  the native test executable (default: build/fused_lora_test)
 *   --tool    one of compute-sanitizer's instead of all four
 *   --js      FOLDER holds compiled test/gpu/whole_model.js and node_modules
 *             (default: the sources, through tsx)
 *   --small   small models only
 * With a package for machines that have no Node: gpu-run.mjs.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, root, run, say, which } from './lib/shell.mjs';
import { refusalOf } from './lib/step-runner.mjs';

const STAGES = ['native', 'models', 'sanitize'];
/**
 * Of compute-sanitizer, in this order, on the --small list; all of them together get three minutes.
 */
const TOOLS = ['memcheck', 'racecheck', 'initcheck', 'synccheck'];
const TOOL_SECONDS = 45;
const minute = 60_000;

const { values } = parseArgs({
  options: {
    stage: { type: 'string', multiple: true },
    addon: { type: 'string', default: root },
    native: { type: 'string', default: join(root, 'build/fused_lora_test') },
    tool: { type: 'string' },
    js: { type: 'string' },
    small: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const stages = values.stage ?? STAGES;
const unknown = stages.find((stage) => !STAGES.includes(stage));
if (values.tool !== undefined && !TOOLS.includes(values.tool))
  fail(`--tool ${values.tool}: it must be one of ${TOOLS.join(', ')}`);
if (unknown !== undefined) fail(`--stage ${unknown}: it must be one of ${STAGES.join(', ')}`);

const results = [];
const env = { ...process.env, FUSED_LORA_PREBUILD: resolve(values.addon) };

function finish() {
  const sum = (of) => results.reduce((total, result) => total + result[of], 0);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ cuda, results }, null, 2)}\n`);
  process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`, () => {
    process.exit(sum('failed') > 0 ? 1 : 0);
  });
}

/**
 * Runs a program whose last line is `N passed, N failed`.
 * @param refusal says from its output why this machine does not let it run; then it is skipped
 */
function tests(name, command, args, timeoutMs, refusal) {
  const started = Date.now();
  const { status, output } = run(command, args, { quiet: true, timeoutMs, env });
  const refused = refusal?.(output);
  if (refused !== undefined) {
    say(`refused ${name}: ${refused}`);
    skip(name, `refused: ${refused}`);
    return;
  }
  const lines = output.trimEnd().split('\n');
  const summary = /^(\d+) passed, (\d+) failed$/m.exec(lines.slice(-8).join('\n'));
  const passed = Number(summary?.[1] ?? 0);
  const broken = !summary || (status !== 0 && Number(summary[2]) === 0);
  const failed = Number(summary?.[2] ?? 0) + (broken ? 1 : 0);
  const seconds = (Date.now() - started) / 1000;
  const skipped = lines.filter((line) => /^skipped /.test(line));
  if (failed > 0) process.stdout.write(`${output}\n`);
  else for (const line of lines.filter((text) => /^(ok|skipped|on) /.test(text))) console.log(`  ${line}`);
  if (broken) say(`${name} ended with exit code ${status}${summary ? '' : ' and no summary line'}`);
  say(`${failed === 0 ? 'ok  ' : 'FAIL'} ${name}: ${passed} passed, ${failed} failed (${seconds.toFixed(1)} s)`);
  results.push({ name, passed, failed, seconds, skipped });
}

function skip(name, reason) {
  say(`skipped ${name}: ${reason}`);
  results.push({ name, passed: 0, failed: 0, seconds: 0, skipped: [reason] });
}

function cudaInfo() {
  const file = join(resolve(values.addon), 'build/Release/fused-lora.node');
  try {
    return require(file).info().cuda;
  } catch (error) {
    return { built: false, available: false, reason: `${file} does not load: ${error.message}` };
  }
}

const require = createRequire(values.js ? join(resolve(values.js), 'package.json') : join(root, 'package.json'));
const cuda = cudaInfo();
if (!cuda.available) {
  say(`skipped all GPU tests: ${cuda.reason}`);
  results.push({ name: 'all', passed: 0, failed: 0, seconds: 0, skipped: [cuda.reason] });
  finish();
} else {
  say(`on ${cuda.device}`);
  if (stages.includes('native'))
    tests('native tests', values.native, ['--backend', 'cuda', '/cuda', 'cuda', 'hopperGemm'], 10 * minute);
  if (stages.includes('models')) {
    const script = values.js
      ? [join(resolve(values.js), 'test/gpu/whole_model.js')]
      : ['--require', require.resolve('tsx/cjs'), join(root, 'test/gpu/whole_model.ts')];
    if (values.small) script.push('--small');
    tests('whole models', process.execPath, script, 10 * minute);
    // Once more with every launch by itself: what graphs hide would show here.
    env.FUSED_LORA_CUDA_GRAPHS = 'off';
    tests('whole models, graphs off', process.execPath, [...script, '--only', 'training', '--runs', '1'], 5 * minute);
    delete env.FUSED_LORA_CUDA_GRAPHS;
  }
  if (stages.includes('sanitize')) sanitize();
  finish();
}

function sanitize() {
  const sanitizer = ['compute-sanitizer', '/usr/local/cuda/bin/compute-sanitizer'].find(
    (c) => which(c) ?? existsSync(c),
  );
  if (sanitizer === undefined) {
    const reason = 'it is not on PATH (it comes with the CUDA toolkit)';
    say(`refused compute-sanitizer: ${reason}`);
    skip('compute-sanitizer', reason);
    return;
  }
  for (const tool of TOOLS.filter((each) => (values.tool ?? each) === each)) {
    // A graph that can not be updated is an answer of CUDA's that is expected, not a fault.
    const api = tool === 'memcheck' ? ['--report-api-errors', 'no'] : [];
    const args = ['--tool', tool, ...api, '--error-exitcode', '9', '--print-limit', '20'];
    const what = [values.native, '--small', '--backend', 'cuda', 'compare/cuda', 'recordedStep', 'update/'];
    tests(`compute-sanitizer ${tool}`, sanitizer, [...args, ...what], TOOL_SECONDS * 1000, refusalOf);
  }
}
