/**
 * The command line from end to end: train, eval, predict,
 * merge; bad input; Ctrl-C and resume; determinism.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { native } from '../../src/native';
import { makeFiles, run, start } from './command';

jest.setTimeout(300_000);

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cli-'));
const { model, train, dev } = makeFiles(dir);
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

const at = (...names: string[]) => path.join(dir, ...names);
const adapterBytes = (output: string) => fs.readFileSync(path.join(output, 'adapter_model.safetensors'));
const trainArgs = (output: string, ...more: string[]) => [
  ...['train', '--model', model, '--train', train, '--output', output, '--quiet'],
  ...['--epochs', '2', '--lr', '2e-3', '--r', '4', '--max-length', '40', ...more],
];

describe('the main job', () => {
  const output = at('adapter');

  it('trains an adapter, with figures and a log', async () => {
    const { code, stdout, stderr } = await run(trainArgs(output, '--dev', dev, '--json', at('train.json')));
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/10 steps, \d+ samples\/s/);
    expect(stdout).toMatch(/accuracy 0\.\d+/);
    const figures = JSON.parse(fs.readFileSync(at('train.json'), 'utf8')) as { metrics: object; parameters: object };
    expect(figures).toMatchObject({
      command: 'train',
      method: 'lora',
      training: { steps: 10, epochs: 2 },
      output: { kind: 'adapter' },
    });
    expect(Object.keys(figures.metrics)).toEqual(expect.arrayContaining(['accuracy', 'f1', 'matthews', 'loss']));
    const config = JSON.parse(fs.readFileSync(path.join(output, 'adapter_config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 16, task_type: 'SEQ_CLS' });
    const events = fs.readFileSync(path.join(output, 'events.jsonl'), 'utf8').trim().split('\n');
    const kinds = events.map((line) => (JSON.parse(line) as { event: string }).event);
    expect(kinds.filter((kind) => kind === 'step')).toHaveLength(10);
    expect(kinds).toEqual(expect.arrayContaining(['start', 'evaluate', 'checkpoint', 'details', 'end']));
    expect(stdout).toContain(`report: ${path.join(output, 'report.html')}\n`);
    expect(fs.existsSync(path.join(output, 'report.html'))).toBe(true);
  });

  it('measures it', async () => {
    const { code, stdout } = await run(['eval', dev, '--adapter', output, '--json', at('eval.json')]);
    expect(code).toBe(0);
    const { metrics } = JSON.parse(fs.readFileSync(at('train.json'), 'utf8')) as { metrics: { accuracy: number } };
    expect(stdout).toContain(`accuracy ${metrics.accuracy.toFixed(4)}`);
  });

  it('predicts in input order from arguments, standard input and files; the merged model agrees', async () => {
    const texts = ['the plot was so great .', 'well , the cast seems weak to me and so on and on !', 'no'];
    const lines = (stdout: string) =>
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const byArgument = await run(['predict', '--adapter', output, ...texts]);
    expect(byArgument.code).toBe(0);
    expect(lines(byArgument.stdout).map((line) => line['text'])).toEqual(texts);
    expect(lines(byArgument.stdout)[0]).toMatchObject({ label: expect.stringMatching(/positive|negative/) });
    const byInput = await run(['predict', '--adapter', output], { input: `${texts.join('\n')}\n` });
    expect(byInput.stdout).toBe(byArgument.stdout);

    const merged = at('merged');
    expect((await run(['merge', '--adapter', output, '--output', merged])).code).toBe(0);
    // In bf16 the merged weights are rounded once more than the adapter's.
    const inFp32 = async (...from: string[]) =>
      lines((await run(['predict', ...from, '--precision', 'fp32', ...texts])).stdout);
    const byMerged = await inFp32('--model', merged);
    (await inFp32('--adapter', output)).forEach((line, i) => {
      expect(byMerged[i]!['label']).toBe(line['label']);
      expect(byMerged[i]!['probability']).toBeCloseTo(line['probability'] as number, 4);
    });
  });

  it('trains everything, the head alone, and what a pattern names', async () => {
    const kinds: Record<string, string[]> = {
      full: ['--method', 'full'],
      head: ['--method', 'head'],
      'bias-and-norm': ['--trainable', 'bias$|LayerNorm|classifier'],
    };
    for (const [name, args] of Object.entries(kinds)) {
      const base = ['train', '--model', model, '--train', train, '--output', at(name), '--quiet', '--max-steps', '2'];
      const { code, stderr } = await run([...base, '--max-length', '40', '--no-report', ...args]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      const file = name === 'head' ? 'adapter_model.safetensors' : 'model.safetensors';
      expect(fs.existsSync(at(name, file))).toBe(true);
      expect(fs.existsSync(at(name, 'report.html'))).toBe(false);
    }
  });

  it('info says what runs and why', async () => {
    const { code, stdout } = await run(['info']);
    expect(stdout).toMatch(native().info().bf16 ? /precision {2}bf16: / : /precision {2}fp32: /);
    expect(code).toBe(0);
    expect(stdout).toMatch(/amx|avx512|avx2|portable/);
    expect(stdout).toMatch(/cuda/i);
  });
});

describe('the same seed', () => {
  it('gives the same adapter file at 1 and 2 threads, another seed another', async () => {
    const made = async (name: string, seed: string, threads: string) => {
      const args = trainArgs(at(name), '--seed', seed, '--checkpoint-every', '1000');
      expect((await run(args, { env: { FUSED_LORA_THREADS: threads } })).code).toBe(0);
      return adapterBytes(at(name));
    };
    const one = await made('one', '7', '1');
    expect((await made('two', '7', '2')).equals(one)).toBe(true);
    expect((await made('other', '8', '2')).equals(one)).toBe(false);
  });
});

describe('Ctrl-C', () => {
  it('saves a checkpoint and exits 130; --resume ends in the bytes of an uninterrupted run', async () => {
    const steps = ['--epochs', '30', '--checkpoint-every', '1000'];
    expect((await run(trainArgs(at('whole'), ...steps))).code).toBe(0);
    const { child, outcome } = start(trainArgs(at('cut'), ...steps));
    const log = at('cut', 'events.jsonl');
    while (!fs.existsSync(log) || fs.readFileSync(log, 'utf8').split('"event":"step"').length < 6) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (child.exitCode !== null) break;
    }
    child.kill('SIGINT');
    const { code, stderr } = await outcome;
    expect(stderr).toContain('stopping after the running op');
    expect(stderr).toMatch(/go on with: fused-lora train --config \S+run_config\.json --resume\n$/);
    expect(code).toBe(130);
    // A run that was cut off has a report too.
    expect(fs.readFileSync(at('cut', 'report.html'), 'utf8')).toContain('ABORTED');
    expect(fs.readdirSync(at('cut')).some((name) => name.startsWith('checkpoint-'))).toBe(true);
    expect(fs.existsSync(at('cut', 'adapter_model.safetensors'))).toBe(false);

    const again = await run(trainArgs(at('cut'), ...steps));
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/holds checkpoints of an earlier run.*--resume.*--overwrite/);
    // By the command that it told.
    expect((await run(['train', '--config', at('cut', 'run_config.json'), '--resume', '--quiet'])).code).toBe(0);
    expect(adapterBytes(at('cut')).equals(adapterBytes(at('whole')))).toBe(true);
  });
});

describe('bad input ends with code 1, one line that says what to do, and nothing written', () => {
  const file = (name: string, content: string | Buffer) => {
    fs.writeFileSync(at(name), content);
    return at(name);
  };
  const damagedModel = (name: string, damage: (folder: string) => void) => {
    fs.cpSync(model, at(name), { recursive: true });
    damage(at(name));
    return at(name);
  };
  const cases: [string, () => string[], RegExp][] = [
    [
      'an unknown label',
      () => ['--dev', file('l.tsv', 'sentence\tlabel\nx\tpositve\n')],
      /INVALID_DATA.*l.tsv:2: unknown label "positve".*"positive"/,
    ],
    [
      'a missing column',
      () => ['--train', file('c.tsv', 'review\tlabel\nx\t1\n')],
      /INVALID_DATA.*c.tsv:1: has no column for the text.*name it with --text-column/,
    ],
    ['one class', () => ['--train', file('o.tsv', 'sentence\tlabel\nx\t1\ny\t1\n')], /INVALID_DATA.*one label/],
    ['a missing file', () => ['--train', at('none.tsv')], /FILE_NOT_FOUND.*none.tsv/],
    ['a missing model', () => ['--model', at('nothing')], /error \[\w+\].*nothing/],
    ['r = 0', () => ['--r', '0'], /INVALID_LORA.*r is 0/],
    ['r over min(in, out)', () => ['--r', '33'], /INVALID_LORA.*33/],
    ['a pattern that matches nothing', () => ['--target-modules', 'quary'], /INVALID_LORA.*quary.*query/],
    ['a pattern that matches no Linear', () => ['--target-modules', 'LayerNorm'], /INVALID_LORA.*LayerNorm/],
    ['a rate that no training survives', () => ['--lr', '1e30'], /INVALID_ARGUMENT.*--lr is 1e\+30.*usual/],
    ['an option with a typo', () => ['--epoch', '3'], /INVALID_ARGUMENT.*--epoch.*\n?.*--epochs/],
    [
      'truncated weights',
      () => ['--model', damagedModel('t', (d) => fs.truncateSync(path.join(d, 'model.safetensors'), 5000))],
      /INVALID_CHECKPOINT.*model.safetensors/,
    ],
    [
      'a config of the wrong type',
      () => [
        '--model',
        damagedModel('g', (d) =>
          fs.writeFileSync(path.join(d, 'config.json'), '{"model_type": "roberta", "hidden_size": "big"}'),
        ),
      ],
      /INVALID_CONFIG.*hidden_size/,
    ],
    [
      'no tokenizer',
      () => ['--model', damagedModel('k', (d) => fs.rmSync(path.join(d, 'tokenizer.json')))],
      /INVALID_TOKENIZER/,
    ],
  ];
  it.each(cases)('%s', async (name, args, message) => {
    const output = at(`bad ${name}`);
    const own = args();
    // Data that are given again come to the others.
    const others = trainArgs(output);
    if (own[0] === '--train') others.splice(others.indexOf('--train'), 2);
    const { code, stdout, stderr } = await run([...others, ...own]);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(fs.existsSync(path.join(output, 'adapter_model.safetensors'))).toBe(false);
  });

  it('an output folder that is a file', async () => {
    const { code, stderr } = await run(trainArgs(path.join(file('plain', ''), 'run')));
    expect(stderr).toMatch(/FILE_NOT_WRITABLE.*plain/);
    expect(code).toBe(1);
  });

  it('a device that is not there, which is no bad input', async () => {
    const { code, stderr } = await run(trainArgs(at('gpu'), '--device', 'cuda'), { env: { CUDA_VISIBLE_DEVICES: '' } });
    expect(stderr).toMatch(/^error \[DEVICE_UNAVAILABLE\]/);
    expect(code).toBe(2);
  });

  it('a command with a typo', async () => {
    const { code, stderr } = await run(['trian']);
    expect(stderr).toMatch(/trian.*\n?.*train/);
    expect(code).toBe(1);
  });

  it('a model without a trained head', async () => {
    const { code, stderr } = await run(['predict', '--model', model, 'x']);
    expect(stderr).toMatch(/INVALID_ARGUMENT.*no trained head/);
    expect(code).toBe(1);
  });
});
