/** plan, bench and report on the command line. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { TrainingPlan } from '../../src/task/plan_training';
import { temporaryFolder } from '../io/temporary';
import { logOf } from '../report/records';
import { makeFiles, run } from './command';

jest.setTimeout(300_000);

const dir = temporaryFolder();
const { model, train } = makeFiles(dir);
const at = (...names: string[]) => path.join(dir, ...names);

describe('plan', () => {
  it('tells what a run trains and costs, with the steps and time of the data', async () => {
    const args = [
      'plan',
      '--model',
      model,
      '--train',
      train,
      '--batch-size',
      '8,16',
      '--epochs',
      '2',
      '--measure',
      '0.1',
    ];
    const { code, stdout, stderr } = await run([
      ...[...args, '--r', '4', '--max-length', '40', '--json', at('plan.json')],
      ...['--ranks', '4', '--network', '25'],
    ]);
    expect(code).toBe(0);
    expect(stderr.trimEnd().split('\n')).toEqual([
      'task: sequence-classification (the default)',
      'labels: negative 80, positive 80 (rows of train) (the data)',
      'length: at most 40 tokens (--max-length), 0 of 160 texts are longer and cut',
      'new: classifier (not in the checkpoint); saved with the result',
    ]);
    expect(stdout).toMatch(/^1 {3}roberta: EncoderModel$/m);
    expect(stdout).toMatch(/^0 {5}embeddings: Embeddings$/m);
    expect(stdout).toMatch(/^1 {9}\{0-1\}: 2 × EncoderLayer$/m);
    expect(stdout).toMatch(/encoder\.layer\.\{0-1\}\.attention\.self\.query\.lora_A +1 +2 × 128$/m);
    const plan = JSON.parse(fs.readFileSync(at('plan.json'), 'utf8')) as TrainingPlan;
    expect(stdout).toContain(`thereof learnable: ${plan.parameters.learnable.toLocaleString('en-US')}`);
    expect(plan.batches.map(({ batchSize, steps }) => [batchSize, steps])).toEqual([
      [8, 40],
      [16, 20],
    ]);
    for (const batch of plan.batches) {
      expect(batch.largest.T).toBeGreaterThanOrEqual(batch.mean.T);
      expect(batch.arenaBytes).toBeGreaterThan(batch.savedBytes);
      expect(batch.peakBytes).toBe(batch.arenaBytes + plan.weightBytes + plan.optimizerBytes);
      expect(batch.measured!.secondsInAll).toBeCloseTo(batch.steps! * batch.measured!.secondsPerStep, 10);
    }
    expect(stdout).toContain('On 4 ranks of as many threads each');
    for (const { distributed: ranks, ...whole } of plan.batches) {
      const gradients = 4 * plan.parameters.learnable;
      expect(ranks).toMatchObject({ ranks: 4, sentBytes: (6 / 4) * gradients, wireBytes: 6 * gradients });
      // A share has a quarter of the sequences, the longest of them here.
      expect(ranks!.largest.S).toBe(whole.batchSize / 4);
      expect(4 * ranks!.largest.T).toBeGreaterThanOrEqual(whole.largest.T);
      const onTheWire = (8 * ranks!.sentBytes) / 25e9;
      expect(ranks!.secondsPerStep).toBeGreaterThan(onTheWire);
      expect(ranks!.secondsInAll).toBeCloseTo(whole.steps! * ranks!.secondsPerStep!, 10);
    }
    expect(plan.optimizerBytes).toBe(12 * plan.parameters.learnable);
    expect(plan.weightBytes).toBe(4 * plan.parameters.total);
    // Nothing is written but what was asked for.
    expect(fs.readdirSync(dir).sort()).toEqual(['dev.tsv', 'model', 'plan.json', 'train.tsv']);
  });

  it('counts gradients that a rank of several shares holds, and what it sends of them', async () => {
    const planned = async (...more: string[]) => {
      const file = at('shares.json');
      const method = ['--method', 'full', '--batch-size', '16', '--max-length', '40', '--measure', '0'];
      const { code, stdout } = await run([
        'plan',
        '--model',
        model,
        '--train',
        train,
        ...method,
        ...more,
        '--json',
        file,
      ]);
      expect(code).toBe(0);
      const plan = JSON.parse(fs.readFileSync(file, 'utf8')) as TrainingPlan;
      fs.rmSync(file);
      return { ranks: plan.batches[0]!.distributed!, gradients: 4 * plan.parameters.learnable, stdout };
    };
    const { ranks: alike, gradients } = await planned('--ranks', '2');
    expect(alike).toMatchObject({ shares: 2, heldBytes: 0, wireBytes: 2 * gradients });
    // Ranks of two and three: the first adds its own up, the other holds two beside the last.
    const { ranks: uneven, stdout } = await planned('--ranks', '2', '--shares', '5');
    expect(uneven).toMatchObject({ shares: 5, heldBytes: 2 * gradients, largest: { S: 3 } });
    expect(stdout).toContain('every one with 2 or 3 shares of each batch');
    // The first sends a slice of one gradient and of the sum, the other slices of three.
    expect(uneven).toMatchObject({ sentBytes: 2 * gradients, wireBytes: 3 * gradients });
    const arena = ({ peakBytes, heldBytes }: typeof uneven) => peakBytes - heldBytes;
    expect(arena(uneven)).toBeLessThan(arena(alike) + gradients);
    // The first rank alone has two: their sum is one.
    const { ranks: first } = await planned('--ranks', '1', '--shares', '4');
    expect(first).toMatchObject({ heldBytes: 2 * gradients, wireBytes: 0 });
    const wrong = await run(['plan', '--model', model, '--shares', '2']);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('shares are planned with ranks')]);
  });

  it('of adapters that are there takes no options of a run', async () => {
    const { code, stderr } = await run(['plan', '--adapter', 'one', '--adapter', 'two', '--r', '4']);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/--r is of a run, and --adapter asks what trained adapters share/);
  });

  it('plans a configuration without weights and data, and measures nothing where it is told so', async () => {
    const args = ['plan', '--model', path.join(model, 'config.json'), '--method', 'full', '--max-length', '32'];
    const { code, stdout, stderr } = await run([...args, '--measure', '0', '--batch-size', '4', '--json']);
    expect(code).toBe(0);
    expect(stderr).toContain('labels: LABEL_0, LABEL_1 (the default)\nlength: at most 32 tokens (--max-length)\n');
    const plan = JSON.parse(stdout) as TrainingPlan;
    expect(plan.batches).toHaveLength(1);
    expect(plan.batches[0]).toMatchObject({ largest: { T: 128, S: 4 }, mean: { T: 128, S: 4 } });
    expect(plan.batches[0]).not.toHaveProperty('measured');
    expect(plan.batches[0]).not.toHaveProperty('steps');
    expect(plan.parameters.learnable).toBe(plan.parameters.total);
  });

  it.each([
    [['--batch-size', '0'], /whole number from 1/],
    [['--measure', '-1'], /measureSeconds is -1/],
    [['--method', 'full', '--r', '4'], /--r belongs to --method lora/],
  ])('%j', async (more, message) => {
    const { code, stderr } = await run(['plan', '--model', model, ...more]);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});

test('bench measures both sides of layers and steps', async () => {
  const args = ['bench', '--tokens', '64', '--hidden-size', '64', '--rounds', '3', '--json', at('bench.json')];
  const { code, stdout } = await run(args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/One LoRA layer, 64 tokens, r = 8/);
  const { layers, step } = JSON.parse(fs.readFileSync(at('bench.json'), 'utf8')) as {
    layers: { pass: string; fused: number; separate: number }[];
    step: { fused: number; separate: number };
  };
  expect(layers.map(({ pass }) => pass)).toEqual(['forward', 'backward', 'forward', 'backward', 'forward', 'backward']);
  for (const { fused, separate } of [...layers, step]) {
    expect(fused).toBeGreaterThan(0);
    expect(separate).toBeGreaterThan(0);
  }
});

describe('report', () => {
  const runs = ['one', 'two'].map((name) => at('runs', name));
  beforeAll(() => {
    runs.forEach((folder, i) => {
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, 'events.jsonl'), logOf({ rate: 1e-3 * (i + 1) }));
    });
  });

  it('shows one run, and compares several; what is no run is left out', async () => {
    const output = at('report.html');
    expect(await run(['report', runs[0]!, '--output', output])).toMatchObject({
      code: 0,
      stderr: '',
      stdout: `${output}\n`,
    });
    expect(fs.readFileSync(output, 'utf8')).toContain('<h1>one</h1>');
    const { code, stderr } = await run(['report', ...runs, model, '--output', output]);
    expect([code, stderr]).toEqual([0, `${model}: has no events.jsonl, left out\n`]);
    expect(fs.readFileSync(output, 'utf8')).toContain('2 runs compared');
  });

  it('is an error without a run', async () => {
    const { code, stderr } = await run(['report', model]);
    expect(stderr).toMatch(/has no events\.jsonl, left out\nerror \[FILE_NOT_FOUND\]/);
    expect(code).toBe(1);
  });
});
