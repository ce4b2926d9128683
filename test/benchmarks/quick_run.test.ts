/**
 * The suite on a tiny model, without any peer: every benchmark runs, says what it lacks, and gives
 * the figures that targets.json asks for.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { benchmark as distributed } from '../../benchmarks/distributed';
import { reportHtml } from '../../benchmarks/lib/html';
import { measure } from '../../benchmarks/lib/main';
import { type Benchmark, isMissing, type Result } from '../../benchmarks/lib/result';
import { readTargets } from '../../benchmarks/lib/targets';
import { benchmark as load } from '../../benchmarks/load';
import { benchmark as methods } from '../../benchmarks/methods';
import { benchmark as predict } from '../../benchmarks/predict';
import { benchmark as scale } from '../../benchmarks/scale';
import { benchmark as step } from '../../benchmarks/step';

const MINUTES = 60_000;
const before = process.env['FUSED_LORA_PEERS_PYTHON'];

beforeAll(() => {
  process.env['FUSED_LORA_PEERS_PYTHON'] = path.join(os.tmpdir(), 'there-is-no-python-here');
});
afterAll(() => {
  if (before === undefined) delete process.env['FUSED_LORA_PEERS_PYTHON'];
  else process.env['FUSED_LORA_PEERS_PYTHON'] = before;
});

const results = new Map<string, Result>();
const run = async (benchmark: Benchmark) => {
  const result = await measure(benchmark, { quick: true, device: 'cpu', model: 'tiny' });
  results.set(result.benchmark, result);
  return result;
};
const numberOf = (result: Result, figure: string) => {
  const value = result.figures[figure];
  expect(typeof value).toBe('number');
  return value as number;
};
const noPeer = { missing: expect.stringContaining('npm run bench:peers') };

test(
  'step: shares of the peak, a profile that adds up, and no peer',
  async () => {
    const result = await run(step);
    expect(numberOf(result, 'step.usefulShareFp32')).toBeGreaterThan(0);
    expect(result.figures['step.fp32OverPeerFp32']).toEqual(noPeer);
    expect(result.figures['step.sst2OverPeerAsRun']).toEqual(noPeer);
    const profile = result.sections.find(({ title }) => title.startsWith('where a step goes'));
    const milliseconds = (name: string) => Number(profile?.rows.find(([op]) => op === name)?.[2]);
    expect(milliseconds('loraLinear')).toBeGreaterThan(0);
    expect(milliseconds('loraLinear')).toBeLessThan(milliseconds('step'));
    expect(result.machine.threads).toBeGreaterThan(0);
  },
  3 * MINUTES,
);

test(
  'methods: LoRA and the classifier alone learn less, save less and write less than full fine-tuning',
  async () => {
    const result = await run(methods);
    expect(numberOf(result, 'methods.loraOverFullFp32')).toBeGreaterThan(0);
    const rows = result.rows as { name: string; learnable: number; savedBytes: number; fileBytes: number }[];
    const of = (name: string) => rows.find((row) => row.name === name) as (typeof rows)[number];
    const [head, lora, full] = [of('classifier only'), of('LoRA all linears r16'), of('full')];
    expect(head.learnable).toBeLessThan(lora.learnable);
    expect(lora.learnable).toBeLessThan(full.learnable);
    expect(head.savedBytes).toBeLessThan(lora.savedBytes);
    expect(head.fileBytes).toBeLessThan(lora.fileBytes);
    expect(lora.fileBytes).toBeLessThan(full.fileBytes);
  },
  3 * MINUTES,
);

test(
  'scale: memory by the plan grows with the tokens',
  async () => {
    const result = await run(scale);
    const exponent = numberOf(result, 'scale.tokensABatch.memoryExponent');
    expect(exponent).toBeGreaterThan(0.5);
    expect(exponent).toBeLessThan(1.05);
  },
  3 * MINUTES,
);

test(
  'load: times, memory and the event loop',
  async () => {
    const result = await run(load);
    expect(numberOf(result, 'load.untilFirstStepSeconds')).toBeGreaterThan(numberOf(result, 'load.modelLoadSeconds'));
    expect(numberOf(result, 'load.eventLoopDelayP99')).toBeGreaterThanOrEqual(0);
    expect(result.figures['load.peakMemoryOverPeerFp32']).toEqual(noPeer);
  },
  3 * MINUTES,
);

test(
  'predict: sentences/s, and no figure against peers that are not there',
  async () => {
    const result = await run(predict);
    const [single] = result.sections;
    expect(Number(single?.rows[0]?.[2])).toBeGreaterThan(0);
    for (const figure of Object.values(result.figures)) expect(isMissing(figure)).toBe(true);
  },
  3 * MINUTES,
);

test('distributed: no figure where there is no MPI', async () => {
  const { PATH } = process.env;
  process.env['PATH'] = path.join(os.tmpdir(), 'there-is-nothing-here');
  try {
    const { figures } = await run(distributed);
    expect(figures['distributed.loraOverThreads']).toEqual({ missing: expect.stringContaining('mpirun') });
  } finally {
    process.env['PATH'] = PATH;
  }
});

test('every target is a figure of its benchmark', () => {
  expect(results.size).toBe(6);
  // bench:linear has one size for all models, too large for a test; bench:weights starts two dozen
  // processes. Theirs are looked up in what they are written in.
  for (const { run, figure } of readTargets('')) {
    const file = /^linear|^weights/.exec(run)?.[0];
    if (!file) expect(Object.keys(results.get(run)?.figures ?? {})).toContain(figure);
    else expect(fs.readFileSync(path.resolve(__dirname, `../../benchmarks/${file}.ts`), 'utf8')).toContain(figure);
  }
});

test('their results make a report', () => {
  const html = reportHtml([...results.values()], []);
  for (const { question } of results.values()) expect(html).toContain(question);
});
