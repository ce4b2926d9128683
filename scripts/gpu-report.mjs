/**
 * Puts the logs of scripts/gpu-run.sh together: gpu-run.json for programs, gpu-run.txt for people.
 * Usage: node gpu-report.mjs FACTS LOGS DEVICE OUT
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

const [factsFile, logs, device, out] = process.argv.slice(2);
const text = (name) => (existsSync(join(logs, name)) ? readFileSync(join(logs, name), 'utf8').trim() : null);

const steps = (text('steps.tsv') ?? '')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => {
    const [name, exitCode, seconds] = line.split('\t');
    const log = text(`${name}.txt`) ?? '';
    const lines = log.split('\n');
    const summary = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1) ?? '');
    return {
      name,
      ok: exitCode === '0',
      exitCode: Number(exitCode),
      seconds: Number(seconds),
      ...(summary && { passed: Number(summary[1]), failed: Number(summary[2]) }),
      skipped: summary ? lines.filter((entry) => /\bskip/i.test(entry)) : [],
      ...(exitCode !== '0' && { output: lines.slice(-200).join('\n') }),
    };
  });

const benchmarks = {};
for (const file of readdirSync(logs).filter((name) => /^bench-.*\.json$/.test(name))) {
  benchmarks[file.slice('bench-'.length, -'.json'.length)] = JSON.parse(readFileSync(join(logs, file), 'utf8'));
}

const report = {
  ...JSON.parse(readFileSync(factsFile, 'utf8')),
  ranAt: new Date().toISOString(),
  device,
  gpu: text('gpu.txt'),
  cpu: `${cpus()[0]?.model ?? 'unknown'} (${cpus().length} threads)`,
  nvcc: text('nvcc.txt'),
  compiler: text('compiler.txt'),
  torch: text('torch.txt'),
  steps,
  benchmarks,
};
writeFileSync(join(out, 'gpu-run.json'), `${JSON.stringify(report, null, 2)}\n`);

const rows = [
  ['commit', `${report.commit ?? 'unknown'}${report.uncommittedChanges ? ' with uncommitted changes' : ''}`],
  ['GPU', report.gpu ?? 'none: only the CPU parts ran'],
  ['CPU', report.cpu],
  ['nvcc', report.nvcc?.split('\n')[0] ?? 'none: CUDA kernels were not built'],
  ['compiler', report.compiler ?? 'unknown'],
  ['PyTorch', report.torch ?? 'none'],
  ...steps.map((step) => {
    const counts = step.passed === undefined ? '' : `, ${step.passed} passed, ${step.failed} failed`;
    return [step.name, `${step.ok ? 'ok' : `FAILED (exit code ${step.exitCode})`}, ${step.seconds} s${counts}`];
  }),
];
const width = Math.max(...rows.map(([name]) => name.length));
const parts = [rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')];
for (const step of steps) {
  if (step.skipped.length > 0) parts.push(`${step.name} skipped:\n${step.skipped.join('\n')}`);
  if (step.name.startsWith('bench-')) parts.push(`${step.name}:\n${text(`${step.name}.txt`) ?? ''}`);
}
const page = `${parts.join('\n\n')}\n`;
writeFileSync(join(out, 'gpu-run.txt'), page);
process.stdout.write(page);
