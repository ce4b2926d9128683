/**
 * Options of fineTune settled once: defaults, what is refused before anything is read, the hub
 * asked once, and the table of options (src/task/options).
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type FineTuneOptions, FusedLoraError, fineTune, type LoraConfig } from '../../src';
import { withLora } from '../../src/cli/method';
import { libraryOptions, recordedDefaults } from '../../src/cli/table_options';
import { trainCommand } from '../../src/cli/train';
import { FINE_TUNE_KEYS, OPTION_ROWS } from '../../src/task/options/option_table';
import { loraWithDefaults, resolveFineTune } from '../../src/task/options/resolve_fine_tune';
import { planTraining } from '../../src/task/plan_training';
import { commitOf, HubServer } from '../io/hub/server';
import { temporaryFolder } from '../io/temporary';
import { reviews, TINY } from './tasks';

const dir = temporaryFolder();

/** The train command's options for the library, as its action makes them. */
function parsed(...args: string[]): FineTuneOptions {
  const command = trainCommand().exitOverride();
  command.action(() => {});
  command.parse(args, { from: 'user' });
  return withLora(command.opts(), libraryOptions(OPTION_ROWS, command.opts())) as unknown as FineTuneOptions;
}

describe('defaults', () => {
  it('are there whether fineTune, plan or the command line asks', () => {
    const run = resolveFineTune({ model: TINY });
    expect(run).toMatchObject({
      task: undefined,
      method: 'lora',
      lora: { resolved: { r: 8, loraAlpha: 16, targetModules: 'all-linear', bias: 'none', loraDropout: 0 } },
      trainer: { epochs: 3, learningRate: 5e-4, warmupRatio: 0.06, weightDecay: 0.01, seed: 0, schedule: 'linear' },
      sizes: {},
      modelSettings: { seed: 0 },
    });
    const typed = resolveFineTune(parsed('--model', TINY, '--train', 'x.tsv', '--output', 'o', '--device', 'cpu'));
    expect(typed.lora).toEqual(run.lora);
    expect(typed.trainer).toEqual(run.trainer);
    expect(resolveFineTune({ model: TINY }, 'planTraining').settings).toEqual(run.settings);
  });

  it('of the rate go by the method, and undefined is as good as nothing', () => {
    const rate = (options: object) => resolveFineTune({ model: TINY, ...options }).trainer.learningRate;
    expect([{}, { method: 'head' }, { method: 'full' }, { method: { trainable: 'bias' } }].map(rate)).toEqual([
      5e-4, 1e-3, 5e-5, 5e-5,
    ]);
    const run = resolveFineTune({ model: TINY, learningRate: undefined, epochs: undefined, lora: undefined } as never);
    expect(run.trainer).toMatchObject({ learningRate: 5e-4, epochs: 3 });
  });

  it('of the adapter are filled in by flags, and PEFT rules where a configuration is given', () => {
    const given = (lora?: LoraConfig) => resolveFineTune({ model: TINY, ...(lora && { lora }) }).lora!.resolved;
    expect(loraWithDefaults({ r: 4 })).toEqual({ r: 4, loraAlpha: 16, targetModules: 'all-linear' });
    expect(loraWithDefaults({ pattern: 'att_q' })).toEqual({ r: 8, pattern: 'att_q' });
    expect(given({ r: 4 })).toMatchObject({ r: 4, loraAlpha: 8, targetModules: ['query', 'value'] });
    expect(parsed('--model', 'm', '--train', 't', '--output', 'o', '--preset', 'att_q').lora).toEqual({
      r: 8,
      pattern: 'att_q',
    });
  });

  it('of what takes each other’s place are not recorded', () => {
    const settings = resolveFineTune({ model: TINY, maxSteps: 5, warmupSteps: 2, batchSize: 4 }).settings;
    const recorded = recordedDefaults(OPTION_ROWS, settings);
    expect(recorded).toMatchObject({ 'max-steps': 5, 'warmup-steps': 2, lr: 5e-4, r: 8, alpha: 16, seed: 0 });
    expect(Object.keys(recorded)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(epochs|warmup-ratio)$/)]),
    );
    expect(recorded).not.toHaveProperty('batch-size');
  });
});

describe('what is wrong by itself is told before data and model are read', () => {
  const touched: string[] = [];
  const train = () => {
    touched.push('train');
    return reviews(8, 1);
  };
  const cases: [object, RegExp][] = [
    [{ learningRate: 2 }, /learningRate is 2/],
    [{ epochs: 0 }, /epochs is 0/],
    [{ batchSize: 0 }, /batchSize is 0/],
    [{ tokenBudget: 1.5 }, /tokenBudget is 1.5/],
    [{ lora: { r: 0 } }, /r is 0; a rank/],
    [{ lora: { loraAlpha: -1 } }, /loraAlpha is -1/],
    [{ lora: { targetModules: '(' } }, /targetModules holds "\("/],
    [{ lora: { pattern: 'query(4000)' } }, /rank 4000/],
    [{ method: 'lorra' }, /method is "lorra"/],
    [{ method: { trainable: '(' } }, /trainable holds/],
    [{ ratePatterns: [{ pattern: '(', learningRate: 1 }] }, /ratePatterns holds "\(", which is no regular expression/],
    [{ schedule: 'step' }, /no schedule 'step'/],
    [{ warmupRatio: -1 }, /warmupRatio is -1/],
    [{ warmupSteps: 1.5 }, /warmupSteps is 1.5/],
    [{ weightDecay: -1 }, /weightDecay is -1/],
    [{ beta2: 1 }, /beta2 is 1/],
    [{ maxGradNorm: -1 }, /maxGradNorm is -1/],
    [{ seed: -1 }, /seed is -1/],
    [{ evaluateEvery: 0 }, /evaluateEvery is 0/],
    [{ maxLength: 2 }, /maxLength is 2/],
    [{ hiddenDropout: 1 }, /hiddenDropout is 1/],
    [{ labelSmoothing: 1 }, /labelSmoothing is 1/],
    [{ classWeights: [1, Number.NaN] }, /classWeights is \[1, NaN\]/],
    [{ classWeights: [0, 0] }, /classWeights is \[0, 0\]/],
    [{ classWeights: [1, 2], labelNames: ['a', 'b', 'c'] }, /classWeights has 2 numbers, the model 3 classes/],
    [{ classWeights: [1, 2], task: 'regression' }, /classWeights is for tasks with one class/],
    [{ labelNames: ['a', 'a'] }, /labelNames has a name twice/],
    [{ labelNames: 'a,b' }, /labelNames is "a,b"; it must be a list/],
    [{ task: 'sequence-clasification' }, /task is "sequence-clasification".*sequence-classification meant/],
    [{ devSplit: 1 }, /devSplit is 1/],
    [{ stream: true, shuffleWindow: 0 }, /shuffleWindow is 0/],
    [{ textColumn: '' }, /textColumn is ""/],
    [{ labelColumn: -1 }, /labelColumn is -1/],
    [{ delimiter: ',,' }, /delimiter is ",,"/],
    [{ device: 'tpu' }, /device is 'tpu'/],
    [{ precision: 'fp8' }, /precision is 'fp8'/],
    [{ metricForBest: 'accuracy' }, /metricForBest needs evaluate/],
    [
      { dev: train, metricForBest: 'accurcy' },
      /metricForBest is 'accurcy' \(was accuracy meant\?\).*accuracy, f1, matthews/,
    ],
    [
      { dev: train, metricForBest: 'f1', task: 'regression' },
      /metricForBest is 'f1', evaluation of regression gives loss, mse/,
    ],
    [{ earlyStoppingPatience: 2 }, /earlyStoppingPatience needs metricForBest/],
    [{ model: undefined }, /model is undefined/],
    [{ model: {} }, /model is an object that openTextModel did not give/],
    [{ outputDir: undefined }, /outputDir is undefined/],
  ];
  test.each(cases)('%j', async (options, message) => {
    const outputDir = path.join(dir, 'never');
    const run = fineTune({
      model: path.join(dir, 'no', 'model'),
      train,
      outputDir,
      device: 'cpu',
      ...options,
    } as never);
    const error = await run.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(FusedLoraError);
    expect((error as Error).message).toMatch(message);
    expect(touched).toEqual([]);
    expect(fs.existsSync(outputDir)).toBe(false);
  });

  it('a column that a file lacks, of dev too, before the rows of train', async () => {
    const dev = path.join(dir, 'dev.csv');
    fs.writeFileSync(dev, 'text,rating\nfine,1\n');
    // Its last row is no row of two columns, which is told when it is read.
    const broken = path.join(dir, 'train.csv');
    fs.writeFileSync(broken, `text,label\n${`${'good '.repeat(50)},1\n`.repeat(2000)}a,b,c\n`);
    const options = { model: TINY, train: broken, outputDir: path.join(dir, 'columns'), device: 'cpu' } as const;
    await expect(fineTune({ ...options, dev })).rejects.toThrow(/dev\.csv:1: has no column for the label/);
    await expect(fineTune(options)).rejects.toThrow(/train\.csv:2002: has 3 columns/);
  });
});

describe('once labels are known', () => {
  it('a metric of entities is refused for tags that are none, before the first step', async () => {
    const train = [
      { tokens: ['a', 'b'], labels: ['x', 'y'] },
      { tokens: ['c'], labels: ['x'] },
    ];
    const options = { model: TINY, train, dev: train, task: 'token-classification', device: 'cpu' } as const;
    const steps: number[] = [];
    const callbacks = [{ onStep: ({ step }: { step: number }) => void steps.push(step) }];
    const run = fineTune({ ...options, metricForBest: 'precision', outputDir: path.join(dir, 'tags'), callbacks });
    await expect(run).rejects.toThrow(/metricForBest is 'precision'.*gives loss, accuracy, f1, matthews/);
    expect(steps).toEqual([]);
  });
});

describe('the hub', () => {
  const server = new HubServer();
  const before = { ...process.env };
  beforeAll(async () => {
    await server.start();
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    const files = Object.fromEntries(names.map((name) => [name, fs.readFileSync(path.join(TINY, name))]));
    server.repositories.set('models/someone/tiny', { refs: { main: commitOf('a') }, files });
    Object.assign(process.env, { HF_ENDPOINT: server.endpoint, HF_HOME: path.join(dir, 'hf') });
  });
  afterAll(async () => {
    process.env = before;
    await server.stop();
  });
  const asked = () => server.requests.filter(({ path: p }) => /^\/api\/models\/someone\/tiny\/revision/.test(p)).length;

  it('is asked once for the model of a run and of a plan', async () => {
    const options = { model: 'someone/tiny', train: reviews(8, 1), device: 'cpu', method: 'head' } as const;
    const { textModel } = await fineTune({ ...options, maxSteps: 1, outputDir: path.join(dir, 'hub') });
    textModel.model.dispose();
    expect(asked()).toBe(1);
    server.requests.length = 0;
    await planTraining({ ...options, batchSizes: [4], measureSeconds: 0 });
    expect(asked()).toBe(1);
  });
});

describe('the table of options', () => {
  it('has an effect, a help and a flag of its own for each', () => {
    const flags = OPTION_ROWS.flatMap(({ flags }) => flags?.split(' ')[0] ?? []);
    expect(new Set(flags).size).toBe(flags.length);
    for (const { name, help, effect } of OPTION_ROWS)
      expect([name, help !== '', effect !== '']).toEqual([name, true, true]);
    expect(Object.keys(FINE_TUNE_KEYS)).toEqual(expect.arrayContaining(['model', 'lora', 'method', 'beta1', 'signal']));
  });

  it('is what train takes, no more and no less', () => {
    const long = trainCommand().options.map(({ long }) => long);
    expect(long.sort()).toEqual(OPTION_ROWS.flatMap(({ flags }) => flags?.split(' ')[0] ?? []).sort());
  });
});
