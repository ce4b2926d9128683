import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { MaskedSource } from '../../src/data/batch/masked_source';
import { type Group, isTold } from '../../src/distributed/group';
import type { TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import { listCheckpoints } from '../../src/train/checkpoint';
import { Evaluator } from '../../src/train/evaluate';
import { Trainer } from '../../src/train/trainer';
import { memoryGroups, onRanks } from '../distributed/memory_group';
import { tinyData, tinyModel, tinyOptions, trainedBytes } from './fixtures';

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'ranks-'));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

type Options = Partial<ConstructorParameters<typeof Trainer>[0]>;
/** 19 rows in batches of 8: the last batch has 3, so that shares of it may be empty. */
const ROWS = 19;

/** The trained bytes of each rank, or of one process. */
async function train(size: number, options: Options = {}, rows = ROWS): Promise<Buffer[]> {
  const one = async (group?: Group) => {
    const model = tinyModel();
    using trainer = new Trainer({ ...tinyOptions(model), ...(group && { group }), ...options });
    await trainer.train(tinyData(rows, model.numLabels));
    return trainedBytes(model);
  };
  return size === 1 ? [await one()] : onRanks(memoryGroups(size).groups, one);
}

const gradientsOf = (bytes: Buffer) =>
  new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

describe('several ranks', () => {
  it('end with the bytes of one process with as many shares, whatever their number', async () => {
    for (const options of [{}, { gradientAccumulation: 2, maxGradNorm: 0, epochs: 1 }]) {
      const [alone] = await train(1, { shares: 4, ...options });
      for (const size of 'epochs' in options ? [3] : [2, 4]) {
        for (const bytes of await train(size, { shares: 4, ...options })) expect(bytes.equals(alone!)).toBe(true);
      }
      const [whole] = await train(1, options);
      expect(whole!.equals(alone!)).toBe(false);
    }
  });

  it('take a share each unless told otherwise', async () => {
    const [alone] = await train(1, { shares: 2 });
    for (const bytes of await train(2)) expect(bytes.equals(alone!)).toBe(true);
    // More ranks than shares: one of them has nothing to compute.
    for (const bytes of await train(3, { shares: 2 })) expect(bytes.equals(alone!)).toBe(true);
  });

  it('give what one process gives that accumulates the same shares one by one', async () => {
    // One step with dropout: rows 0, 2, 4, ... as a batch, then rows 1, 3, 5, ...
    const steps = { maxSteps: 1, warmupRatio: 0, schedule: 'constant' } as const;
    const [shared] = await train(1, { ...steps, shares: 2 }, 8);
    const model = tinyModel();
    const data = tinyData(8, model.numLabels);
    const halves = {
      numExamples: 8,
      fingerprint: data.fingerprint,
      epoch: () => {
        const batches = data.epoch(0);
        return { length: 2, at: (index: number) => batches.shareAt(0, { index, count: 2 })! };
      },
    };
    using trainer = new Trainer({ ...tinyOptions(model), ...steps, gradientAccumulation: 2 });
    await trainer.train(halves);
    const [a, b] = [gradientsOf(shared!), gradientsOf(trainedBytes(model))];
    // The order of sums within a share is its own here, and goes on from the share before there:
    // rule 12, through one step of AdamW, whose size is the rate.
    const most = a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);
    expect(most).toBeLessThan(1e-4 * 5e-3);
  });

  it('evaluate to the bits of one process, from batches divided among them', async () => {
    const evaluate = async (group?: Group) => {
      const model = tinyModel();
      using evaluator = new Evaluator({ trace: (o) => trace(model, o), ...(group && { group }) });
      return await evaluator.run(tinyData(ROWS, model.numLabels));
    };
    const alone = await evaluate();
    for (const size of [2, 4]) {
      for (const evaluation of await onRanks(memoryGroups(size).groups, evaluate)) {
        expect(evaluation.loss).toBe(alone.loss);
        expect(evaluation.logits).toEqual(alone.logits);
      }
    }
  });

  it('write as rank 0 alone, and go on with the same or another number of ranks', async () => {
    const [whole] = await train(1, { shares: 2 });
    const run = async (size: number, place: string, options: Options) => {
      const called: number[] = [];
      const one = async (group: Group) => {
        const model = tinyModel();
        // Ranks of other machines see other folders.
        const outputDir = path.join(place, group.rank === 0 ? '' : `rank-${group.rank}`);
        const own = { onStep: () => void called.push(group.rank) };
        using trainer = new Trainer({ ...tinyOptions(model), group, outputDir, callbacks: [own], ...options });
        await trainer.train(tinyData(ROWS, model.numLabels));
        return trainedBytes(model);
      };
      const result = await onRanks(memoryGroups(size).groups, one).catch((error) => error);
      return { result, called };
    };
    for (const size of [1, 2, 3]) {
      const place = path.join(dir, `of-${size}`);
      const stop = new AbortController();
      const stopper = [{ onStep: ({ step }: { step: number }) => step === 4 && stop.abort() }];
      const { result: error } = await run(2, place, { signal: stop.signal, callbacks: stopper as never });
      expect(error.code).toBe('ABORTED');
      expect(error.all.map(isTold)).toEqual([false, true]);
      expect(listCheckpoints(place).map(({ step }) => step)).toEqual([3, 4]);
      const { result, called } = await run(size, place, { resume: true });
      for (const bytes of result) expect(bytes.equals(whole!)).toBe(true);
      expect(new Set(called)).toEqual(new Set([0]));
      expect(fs.readdirSync(place).filter((name) => name.startsWith('rank-'))).toEqual([]);
    }
  });

  it('see before the first step that one has other data, settings or models', async () => {
    const cases: [string, (rank: number) => [TaskModel, Options, number]][] = [
      ['data', (rank) => [tinyModel(), {}, ROWS + rank]],
      ['learningRate', (rank) => [tinyModel(), { learningRate: 1e-3 * (1 + rank) }, ROWS]],
    ];
    for (const [what, of] of cases) {
      const one = async (group: Group) => {
        const [model, options, rows] = of(group.rank);
        using trainer = new Trainer({ ...tinyOptions(model), group, ...options });
        await trainer.train(tinyData(rows, model.numLabels));
      };
      const error = await onRanks(memoryGroups(2).groups, one).catch((e) => e);
      expect([error.code, error.message]).toEqual(['STATE_MISMATCH', expect.stringMatching(`${what} is .* on rank 1`)]);
    }
  });

  it('end when rank 0 can not write, with its message', async () => {
    const file = path.join(dir, 'file');
    fs.writeFileSync(file, '');
    const one = async (group: Group) => {
      const model = tinyModel();
      using trainer = new Trainer({ ...tinyOptions(model), group, outputDir: path.join(file, 'below') });
      await trainer.train(tinyData(ROWS, model.numLabels));
    };
    const error = await onRanks(memoryGroups(2).groups, one).catch((e) => e);
    expect(error.all.map(({ code }: { code: string }) => code)).toEqual(['FILE_NOT_WRITABLE', 'RANK_FAILED']);
    expect(error.all.map(isTold)).toEqual([false, true]);
  });

  it('all leave a step that is not finite, with the rows of all of them', async () => {
    const one = async (group: Group) => {
      const model = tinyModel();
      // Read by the rows of one label alone, which not every share has.
      const words = [...model.namedParameters()].find(([name]) => name.endsWith('word_embeddings.weight'))![1];
      words.setData(words.data().map((value, i) => (Math.floor(i / words.shape[1]!) === 4 ? Number.NaN : value)));
      using trainer = new Trainer({
        ...tinyOptions(model),
        group,
      });
      await trainer.train(tinyData(8, model.numLabels));
    };
    const error = await onRanks(memoryGroups(2).groups, one).catch((e) => e);
    expect(error.all.map(({ code }: { code: string }) => code)).toEqual(['NON_FINITE_LOSS', 'NON_FINITE_LOSS']);
    const rows = /Its examples: ([\d, ]+)\./.exec(error.message)![1]!.split(', ').map(Number);
    expect(rows.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(error.all.map(isTold)).toEqual([false, true]);
  });

  it('pretrain: masks are of the example, whichever share it is in', () => {
    const data = tinyData(8, 2);
    const examples = Array.from({ length: 8 }, (_, i) => ({
      inputIds: Int32Array.from({ length: 6 }, (_, t) => 10 + i + t),
      tokenTypeIds: new Int32Array(6),
    }));
    const source = new MaskedSource(examples, {
      positions: { offset: 2 },
      batchSize: 8,
      vocabulary: { maskTokenId: 4, vocabSize: 90, specialTokenIds: new Set([0, 2, 4]) },
    });
    const whole = source.epoch(1).at(0);
    const rowsOf = (batch: typeof whole) =>
      Array.from(batch.exampleIndices, (example, s) => {
        const offsets = batch.tensors['cuSeqlens'] as Int32Array;
        return [example, [...(batch.tensors['inputIds'] as Int32Array).subarray(offsets[s], offsets[s + 1])]];
      });
    const parts = [0, 1, 2].flatMap((index) => rowsOf(source.epoch(1).shareAt(0, { index, count: 3 })!));
    const byExample = (a: unknown[], b: unknown[]) => Number(a[0]) - Number(b[0]);
    expect(parts.sort(byExample)).toEqual(rowsOf(whole).sort(byExample));
    expect(data.numExamples).toBe(8);
  });
});
