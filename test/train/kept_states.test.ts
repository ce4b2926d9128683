/**
 * States of frozen layers: kept within limits, in memory and in a folder, found again by content;
 * runs with them end in the bytes of runs without, where the model has no dropout.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type FineTuneOptions, fineTune, KeptStates } from '../../src';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { tinyModel } from '../study/tiny';
import { reviews, taggedSentences } from '../task/tasks';

jest.setTimeout(180_000);

const dir = temporaryFolder();
const model = tinyModel(dir);
const state = (value: number) => new Float32Array(256).fill(value);

test('keeps within the limits, by part and text', () => {
  using kept = new KeptStates({ memoryBytes: 2100 });
  kept.put('one', 'a', state(1));
  kept.put('one', 'b', state(2));
  kept.put('one', 'c', state(3));
  kept.put('one', 'a', state(9));
  expect(kept.get('one', 'a')).toEqual(state(1));
  expect(kept.get('one', 'b')).toEqual(state(2));
  expect([kept.get('one', 'c'), kept.get('two', 'a')]).toEqual([undefined, undefined]);
  expect(kept.bytes).toEqual({ memory: 2048, folder: 0 });
  expect(errorMessage('INVALID_ARGUMENT', () => new KeptStates({ memoryBytes: -1 }))).toContain('memoryBytes');
});

test('in a folder a later object finds what was written, up to where a writer was cut off', () => {
  const folder = path.join(dir, 'kept');
  {
    using first = new KeptStates({ folder, memoryBytes: 0, folderBytes: 2500 });
    first.put('part', 'a', state(1));
    first.put('part', 'b\0ÿ', state(2));
    first.put('part', 'c', state(3));
    expect(first.get('part', 'a')).toEqual(state(1));
    expect(first.get('part', 'c')).toBeUndefined();
  }
  const [file] = fs.readdirSync(path.join(folder, 'part'));
  fs.appendFileSync(path.join(folder, 'part', file as string), Buffer.from([1, 0, 0, 0, 255, 255]));
  using later = new KeptStates({ folder, memoryBytes: 0 });
  expect([later.get('part', 'a'), later.get('part', 'b\0ÿ')]).toEqual([state(1), state(2)]);
  later.put('part', 'd', state(4));
  expect(later.get('part', 'd')).toEqual(state(4));
  expect(fs.readdirSync(path.join(folder, 'part'))).toHaveLength(2);
});

const common: Omit<FineTuneOptions, 'outputDir'> = {
  ...{ model, train: reviews(48, 1), dev: reviews(24, 2), epochs: 2, batchSize: 8, learningRate: 1e-2 },
  ...{ device: 'cpu', precision: 'fp32' },
};
const words = { train: taggedSentences(24, 1), dev: taggedSentences(12, 2), task: 'token-classification' } as const;

test.each([
  ['the head', { method: 'head' }],
  ['the head of words', { method: 'head', ...words }],
  ['an adapter on the upper layer', { lora: { r: 2, targetModules: ['query', 'value'], layersToTransform: [1] } }],
  ['the upper layer', { method: { trainable: 'layer\\.1\\.|classifier' } }],
] as [string, Partial<FineTuneOptions>][])('%s: the same bytes with and without', async (name, options) => {
  const folder = (kind: string) => path.join(dir, `${name}-${kind}`);
  using kept = new KeptStates();
  const run = async (kind: string, keepFrozen: FineTuneOptions['keepFrozen']) => {
    const told: string[] = [];
    const onNotice = (line: string) => void told.push(line);
    const { textModel, metrics } = await fineTune({
      ...common,
      ...options,
      outputDir: folder(kind),
      keepFrozen: keepFrozen ?? false,
      onNotice,
    });
    textModel.model.dispose();
    const file = ['adapter_model.safetensors', 'model.safetensors'].find((one) =>
      fs.existsSync(path.join(folder(kind), one)),
    );
    return { metrics, bytes: fs.readFileSync(path.join(folder(kind), file as string)), told: told.join('\n') };
  };
  const without = await run('without', false);
  const first = await run('first', kept);
  const { memory } = kept.bytes;
  const second = await run('second', kept);
  expect(first.told).toContain('frozen layers run once for each text');
  for (const one of [first, second]) {
    expect(one.metrics).toEqual(without.metrics);
    expect(one.bytes.equals(without.bytes)).toBe(true);
  }
  expect(memory).toBeGreaterThan(0);
  expect(kept.bytes.memory).toBe(memory);
});

test('what begins at the bottom has nothing to keep, and says so', async () => {
  const told: string[] = [];
  const onNotice = (line: string) => void told.push(line);
  using keepFrozen = new KeptStates();
  const { textModel } = await fineTune({
    ...common,
    outputDir: path.join(dir, 'all'),
    keepFrozen,
    onNotice,
    maxSteps: 1,
  });
  textModel.model.dispose();
  expect(told.join('\n')).toContain('nothing is kept');
  expect(keepFrozen.bytes).toEqual({ memory: 0, folder: 0 });
});
