import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { FusedLoraError } from '../../src/base/errors';
import { Parameter } from '../../src/graph/parameter';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { argmaxRows } from '../../src/metrics/metrics';
import { native } from '../../src/native';
import { type LossOptions, trace } from '../../src/nn';
import { listCheckpoints } from '../../src/train/checkpoint';
import { Evaluator } from '../../src/train/evaluate';
import type { StepEvent } from '../../src/train/events';
import { Trainer } from '../../src/train/trainer';
import { tinyData, tinyModel, tinyOptions, trainedBytes } from './fixtures';

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'trainer-'));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error('no error'),
    (e: unknown) => e as Error,
  );
  return error instanceof FusedLoraError ? error.code : String(error);
}

describe('Trainer', () => {
  it('learns what the second token says, and tells of every step', async () => {
    const model = tinyModel();
    const data = tinyData(64, model.numLabels);
    const events: StepEvent[] = [];
    using trainer = new Trainer({
      ...tinyOptions(model),
      epochs: 20,
      callbacks: [{ onStep: (e) => void events.push(e) }],
    });
    const result = await trainer.train(data);
    expect(result.steps).toBe(160);
    expect(events.map((e) => e.step)).toEqual(Array.from({ length: 160 }, (_, i) => i + 1));
    expect(events[0]).toMatchObject({ totalSteps: 160, learningRate: 0 });
    expect(events.at(-1)).toMatchObject({ epoch: 20, secondsLeft: 0 });

    using evaluator = new Evaluator({ trace: (o) => trace(model, o) });
    const { logits, loss } = await evaluator.run(data);
    const right = logits.filter((row, i) => argmaxRows(row, model.numLabels)[0] === (i * 5) % model.numLabels);
    expect(right.length / logits.length).toBeGreaterThan(0.9);
    expect(loss).toBeLessThan(events[0]!.loss);
  });

  it('gives the same bytes for the same seed, at 1, 2 and 3 threads', async () => {
    const { threads } = native().info();
    const runs: Buffer[] = [];
    for (const count of [1, 2, 3, 2]) {
      native().setThreads(count);
      const model = tinyModel();
      using trainer = new Trainer(tinyOptions(model));
      await trainer.train(tinyData(40, model.numLabels));
      runs.push(trainedBytes(model));
    }
    native().setThreads(threads);
    for (const run of runs.slice(1)) expect(run.equals(runs[0]!)).toBe(true);

    const other = tinyModel();
    using trainer = new Trainer({ ...tinyOptions(other), seed: 4 });
    await trainer.train(tinyData(40, other.numLabels));
    expect(trainedBytes(other).equals(runs[0]!)).toBe(false);
  });

  it('resumes to the bytes of an uninterrupted run', async () => {
    const whole = tinyModel();
    using uninterrupted = new Trainer({ ...tinyOptions(whole), gradientAccumulation: 2 });
    await uninterrupted.train(tinyData(40, whole.numLabels));

    for (const stopAt of [1, 2, 4]) {
      const options = {
        gradientAccumulation: 2,
        outputDir: path.join(dir, String(stopAt)),
        checkpointEvery: 1,
      } as const;
      const first = tinyModel();
      const controller = new AbortController();
      using begun = new Trainer({
        ...tinyOptions(first),
        ...options,
        signal: controller.signal,
        callbacks: [{ onStep: (e) => void (e.step === stopAt && controller.abort()) }],
      });
      expect(await codeOf(begun.train(tinyData(40, first.numLabels)))).toBe('ABORTED');
      const second = tinyModel();
      using resumed = new Trainer({ ...tinyOptions(second), ...options, resume: true });
      const result = await resumed.train(tinyData(40, second.numLabels));
      expect(result.steps).toBe(6);
      expect(trainedBytes(second).equals(trainedBytes(whole))).toBe(true);
    }
  });

  it('keeps the newest checkpoints only', async () => {
    const model = tinyModel();
    using trainer = new Trainer({ ...tinyOptions(model), outputDir: dir, checkpointEvery: 1, checkpointLimit: 3 });
    await trainer.train(tinyData(40, model.numLabels));
    expect(listCheckpoints(dir).map((c) => c.step)).toEqual([8, 9, 10]);
  });

  it('refuses to resume another run, and a damaged checkpoint', async () => {
    const model = tinyModel();
    using trainer = new Trainer({ ...tinyOptions(model), outputDir: dir, precision: 'fp32' });
    await trainer.train(tinyData(40, model.numLabels));
    const again = (change: object, data = tinyData(40, model.numLabels)) => {
      const other = tinyModel();
      return codeOf(
        new Trainer({ ...tinyOptions(other), outputDir: dir, resume: true, precision: 'fp32', ...change }).train(data),
      );
    };
    expect(await again({ seed: 5 })).toBe('STATE_MISMATCH');
    expect(await again({}, tinyData(48, model.numLabels))).toBe('STATE_MISMATCH');
    expect(await again({ precision: 'bf16' })).toBe('STATE_MISMATCH');
    // Of what the checkpoint does not say, nobody knows that it is the same.
    expect(await again({ identity: { base: 'another' } })).toBe('STATE_MISMATCH');
    const newest = listCheckpoints(dir).at(-1)!.path;
    fs.truncateSync(path.join(newest, 'optimizer.safetensors'), 100);
    expect(await again({})).toBe('INVALID_CHECKPOINT');
    fs.writeFileSync(path.join(newest, 'state.json'), '{');
    expect(await again({})).toBe('INVALID_CHECKPOINT');
  });

  it('tells which field of a damaged state.json is wrong, and is never at fault itself', async () => {
    const model = tinyModel();
    using trainer = new Trainer({ ...tinyOptions(model), outputDir: dir, epochs: 1 });
    await trainer.train(tinyData(16, model.numLabels));
    const file = path.join(listCheckpoints(dir).at(-1)!.path, 'state.json');
    const good = JSON.parse(fs.readFileSync(file, 'utf8')) as object;
    for (const [wrong, says] of [
      [{ identity: null }, /"identity" is null/],
      [{ identity: { seed: [] } }, /"identity\.seed" is \[\]/],
      [{ step: 1.5 }, /"step" is 1\.5; expected an integer of at least 0/],
      [{ microBatch: -1 }, /"microBatch" is -1/],
      [{ step: 10 ** 9 }, /"step" is 1000000000, and the run has 2 steps/],
      [{ lossSum: '1' }, /"lossSum" is "1"/],
      [{ bestMetric: {} }, /"bestMetric" is \{\}/],
      [{ forwardNumber: undefined }, /"forwardNumber" is missing/],
    ] as const) {
      fs.writeFileSync(file, JSON.stringify({ ...good, ...wrong }));
      using other = new Trainer({ ...tinyOptions(model), outputDir: dir, epochs: 1, resume: true });
      const error = (await other.train(tinyData(16, model.numLabels)).catch((e: unknown) => e)) as FusedLoraError;
      expect([error.code, error.message]).toEqual(['INVALID_CHECKPOINT', expect.stringMatching(says)]);
      expect(error.message).toContain(file);
    }
  });

  it('a model can not be disposed of in part while a step runs', async () => {
    const model = tinyModel();
    const planned = plan(trace(model, { training: true, loss: true }), { train: true, precision: 'fp32' });
    using program = new Program(planned, { backend: 'cpu' });
    const batch = await tinyData(8, model.numLabels).epoch(0).at(0);
    const step = (number: number) =>
      program.apply({
        groups: [{ learningRate: 1e-3, weightDecay: 0, beta1: 0.9, beta2: 0.999, eps: 1e-8 }],
        groupOf: () => 0,
        step: number,
      });
    await program.accumulate(batch, { zeroGradients: true });
    await step(1);
    const running = program.accumulate(batch, { zeroGradients: true });
    expect(() => model.dispose()).toThrow(/a step that uses it is running, and nothing was disposed/);
    await running;
    // A part of it gone would be DISPOSED here.
    expect((await step(2)).applied).toBe(true);
    model.dispose();
    expect(model.parameters().every((p) => p.data().every(Number.isFinite))).toBe(true);
  });

  it('brings back the best state and stops early', async () => {
    const model = tinyModel();
    const scores = [0.5, 0.9, 0.6, 0.7, 0.8];
    let calls = 0;
    let atBest: Buffer | undefined;
    using trainer = new Trainer({
      ...tinyOptions(model),
      epochs: 5,
      metricForBest: 'accuracy',
      earlyStoppingPatience: 2,
      evaluate: async () => {
        if (calls === 1) atBest = trainedBytes(model);
        return { accuracy: scores[calls++]! };
      },
    });
    const result = await trainer.train(tinyData(40, model.numLabels));
    expect(calls).toBe(4);
    expect(result).toMatchObject({ stoppedEarly: true, bestMetric: 0.9, bestStep: 10, steps: 20 });
    expect(trainedBytes(model).equals(atBest!)).toBe(true);
  });

  it('a loss that is not finite changes nothing and names the examples', async () => {
    const model = tinyModel();
    const classifier = model.namedParameters().find(([name]) => name.endsWith('out_proj.weight'))![1];
    classifier.setData(classifier.data().map(() => Number.NaN));
    const before = trainedBytes(model);
    using trainer = new Trainer(tinyOptions(model));
    const run = trainer.train(tinyData(40, model.numLabels));
    await expect(run).rejects.toMatchObject({
      code: 'NON_FINITE_LOSS',
      message: expect.stringMatching(/step 1: .*examples: \d+/),
    });
    expect(trainedBytes(model).equals(before)).toBe(true);
  });

  it('accumulating micro-batches gives the gradient of the whole batch', async () => {
    const norms: number[][] = [];
    for (const [batchSize, gradientAccumulation] of [
      [8, 1],
      [4, 2],
    ] as const) {
      const model = tinyModel({ dropout: 0 });
      const source = tinyData(32, model.numLabels);
      const batches = source.epoch(0);
      const examples = Array.from({ length: batches.length }, (_, i) => batches.at(i));
      // The same examples in the same order, cut into pieces.
      const pieces = examples.flatMap((batch) => cut(batch, batchSize));
      const seen: number[] = [];
      using trainer = new Trainer({
        ...tinyOptions(model),
        epochs: 1,
        gradientAccumulation,
        callbacks: [{ onStep: (e) => void seen.push(e.gradientNorm) }],
      });
      await trainer.train({
        numExamples: 32,
        fingerprint: 'pieces',
        epoch: () => ({ length: pieces.length, at: (i) => pieces[i]! }),
      });
      norms.push(seen);
    }
    expect(norms[1]).toHaveLength(norms[0]!.length);
    for (const [i, norm] of norms[0]!.entries()) expect(norms[1]![i]).toBeCloseTo(norm, 4);
  });

  describe('one objective whatever the split', () => {
    const weights = [0.25, 9, 1, 2.5, 0.5];
    /** Loss and gradient norm of the first step on 8 rows, cut into micro-batches. */
    async function firstStep(lossOptions: LossOptions, cuts: readonly number[]): Promise<[number, number]> {
      const model = tinyModel({ dropout: 0 });
      const batch = tinyData(8, model.numLabels).epoch(0).at(0);
      const pieces = cuts.map((size, i) => {
        const before = cuts.slice(0, i).reduce((sum, x) => sum + x, 0);
        return slice(batch, before, before + size);
      });
      const seen: StepEvent[] = [];
      using trainer = new Trainer({
        ...tinyOptions(model),
        trace: (o) => trace(model, { ...o, lossOptions }),
        precision: 'fp32',
        maxSteps: 1,
        gradientAccumulation: cuts.length,
        callbacks: [{ onStep: (e) => void seen.push(e) }],
      });
      await trainer.train({
        numExamples: 8,
        fingerprint: 'pieces',
        epoch: () => ({ length: pieces.length, at: (i) => pieces[i]! }),
      });
      return [seen[0]!.loss, seen[0]!.gradientNorm];
    }
    const classWeights = (values: number[]) =>
      new Parameter([values.length], Float32Array.from(values), { requiresGrad: false, name: 'classWeights' });

    it.each([
      ['plain', {}],
      ['label smoothing', { labelSmoothing: 0.2 }],
      ['class weights', { weighted: true }],
      ['class weights and label smoothing', { labelSmoothing: 0.2, weighted: true }],
    ])('%s', async (_, { weighted = false, ...options }: { labelSmoothing?: number; weighted?: boolean }) => {
      const { numLabels } = tinyModel();
      const lossOptions = { ...options, ...(weighted && { classWeights: classWeights(weights.slice(0, numLabels)) }) };
      const [loss, norm] = await firstStep(lossOptions, [8]);
      for (const cuts of [
        [4, 4],
        [1, 1, 1, 1, 1, 1, 1, 1],
        [5, 3],
        [1, 6, 1],
      ]) {
        const [again, normAgain] = await firstStep(lossOptions, cuts);
        expect(Math.abs(again - loss) / loss).toBeLessThan(1e-6);
        expect(Math.abs(normAgain - norm) / norm).toBeLessThan(1e-5);
      }
    });

    it('the evaluator measures the same loss in batches of any size', async () => {
      const model = tinyModel();
      const lossOptions = { classWeights: classWeights(weights.slice(0, model.numLabels)), labelSmoothing: 0.1 };
      const batch = tinyData(8, model.numLabels).epoch(0).at(0);
      const losses: number[] = [];
      for (const size of [8, 3, 1]) {
        const pieces = cut(batch, size);
        using evaluator = new Evaluator({ trace: (o) => trace(model, { ...o, lossOptions }), precision: 'fp32' });
        const source = {
          numExamples: 8,
          fingerprint: '',
          epoch: () => ({ length: pieces.length, at: (i: number) => pieces[i]! }),
        };
        losses.push((await evaluator.run(source)).loss);
      }
      for (const loss of losses) expect(Math.abs(loss - losses[0]!) / losses[0]!).toBeLessThan(1e-6);
    });

    it('a class weight of 0 beside smoothing is refused by name', () => {
      const model = tinyModel();
      const lossOptions = { classWeights: classWeights([1, 0, 1].slice(0, model.numLabels)), labelSmoothing: 0.1 };
      expect(() => new Trainer({ ...tinyOptions(model), trace: (o) => trace(model, { ...o, lossOptions }) })).toThrow(
        /classWeights has a 0 \(class 1\) beside labelSmoothing 0.1/,
      );
    });
  });

  it.each([
    [{ epochs: 0 }, /epochs is 0/],
    [{ maxSteps: 0 }, /maxSteps is 0/],
    [{ gradientAccumulation: 1.5 }, /gradientAccumulation is 1.5/],
    [{ earlyStoppingPatience: 2 }, /needs metricForBest/],
    [{ metricForBest: 'accuracy' }, /needs evaluate/],
    [{ maxGradNorm: -1 }, /maxGradNorm is -1/],
    [{ learningRate: Number.POSITIVE_INFINITY }, /learningRate is Infinity/],
  ])('refuses %j', (change, message) => {
    expect(() => new Trainer({ ...tinyOptions(tinyModel()), ...change })).toThrow(message);
  });

  it('says which folder can not be written', async () => {
    const file = path.join(dir, 'file');
    fs.writeFileSync(file, '');
    const model = tinyModel();
    using trainer = new Trainer({ ...tinyOptions(model), outputDir: path.join(file, 'run') });
    await expect(trainer.train(tinyData(16, model.numLabels))).rejects.toMatchObject({ code: 'FILE_NOT_WRITABLE' });
  });
});

type TinyBatch = ReturnType<ReturnType<ReturnType<typeof tinyData>['epoch']>['at']>;

/** A batch as several of `size` sequences. */
function cut(batch: TinyBatch, size: number) {
  const { S } = batch.sizes;
  return Array.from({ length: Math.ceil(S / size) }, (_, p) => slice(batch, p * size, Math.min(S, (p + 1) * size)));
}

/** Sequences `first` to `last` (not included) of a batch. */
function slice(batch: TinyBatch, first: number, last: number): TinyBatch {
  const offsets = batch.tensors['cuSeqlens'] as Int32Array;
  const [from, to] = [offsets[first]!, offsets[last]!];
  const tokens = (name: string) => (batch.tensors[name] as Int32Array).slice(from, to);
  return {
    tensors: {
      inputIds: tokens('inputIds'),
      positionIds: tokens('positionIds'),
      tokenTypeIds: tokens('tokenTypeIds'),
      cuSeqlens: offsets.slice(first, last + 1).map((o) => o - from),
      firstToken: offsets.slice(first, last).map((o) => o - from),
      labels: (batch.tensors['labels'] as Int32Array).slice(first, last),
    },
    sizes: { T: to - from, S: last - first, M: 0 },
    exampleIndices: batch.exampleIndices.slice(first, last),
    lossRows: last - first,
  };
}

describe('programs that share frozen weights', () => {
  it('a program built later leaves the packed copies of the first as they are', async () => {
    const model = tinyModel();
    const data = tinyData(16, model.numLabels);
    using trainer = new Trainer({ ...tinyOptions(model), epochs: 1 });
    using evaluator = new Evaluator({ trace: (o) => trace(model, o) });
    await trainer.train(data);
    const { logits } = await evaluator.run(data);
    using fresh = new Evaluator({ trace: (o) => trace(model, o) });
    expect((await fresh.run(data)).logits).toEqual(logits);
  });
});
