/** The plan of an epoch is made once, however often its length and batches are asked for. */
import { EncodedSource, StreamedSource } from '../../../src';
import * as batchPlan from '../../../src/data/batch/batch_plan';

jest.mock('../../../src/data/batch/batch_plan', () => {
  const actual = jest.requireActual('../../../src/data/batch/batch_plan');
  return { ...actual, planBatches: jest.fn(actual.planBatches) };
});
const planBatches = jest.mocked(batchPlan.planBatches);

const positions = { offset: 2 };
const examples = Array.from({ length: 40 }, (_, i) => ({
  inputIds: new Int32Array(3 + (i % 5)),
  tokenTypeIds: new Int32Array(3 + (i % 5)),
  label: i % 2,
}));

beforeEach(() => planBatches.mockClear());

test('in memory: to count the steps of a run, and when its epochs come', async () => {
  const source = new EncodedSource(examples, { positions, tokenBudget: 20, seed: 1 });
  const lengths = [0, 1, 2].map((epoch) => source.epoch(epoch).length);
  for (const epoch of [0, 1, 2]) {
    const batches = source.epoch(epoch);
    expect(batches).toHaveLength(lengths[epoch]!);
    const seen = Array.from({ length: batches.length }, (_, i) => [...batches.at(i).exampleIndices]).flat();
    expect(seen.sort((a, b) => a - b)).toEqual([...examples.keys()]);
  }
  expect(planBatches).toHaveBeenCalledTimes(3);
});

test('for evaluation: once for all epochs', () => {
  const source = new EncodedSource(examples, { positions, shuffle: false });
  for (const epoch of [0, 1, 0, 7]) expect(source.epoch(epoch)).toHaveLength(2);
  expect(planBatches).toHaveBeenCalledTimes(1);
});

test('of a long run plans are let go, and made anew the same', () => {
  const source = new EncodedSource(examples, { positions, batchSize: 4, seed: 1 });
  const order = () => [...source.epoch(0).at(0).exampleIndices];
  const first = order();
  for (let epoch = 0; epoch < 30; epoch++) source.epoch(epoch);
  expect(order()).toEqual(first);
  expect(planBatches).toHaveBeenCalledTimes(31);
});

test('streamed: a window is planned when it is read, not to count batches', async () => {
  const shard = async function* () {
    yield examples;
  };
  const encode = async (some: readonly (typeof examples)[number][]) => some;
  const source = await StreamedSource.open([shard], encode, { positions, batchSize: 8, shuffleWindow: 16, seed: 1 });
  const batches = source.epoch(0);
  const { length } = batches;
  expect(source.epoch(0)).toHaveLength(length);
  expect(planBatches).not.toHaveBeenCalled();
  let seen = 0;
  for (let i = 0; i < batches.length; i++) seen += (await batches.at(i)).sizes.S;
  await batches.close();
  expect(seen).toBe(examples.length);
  expect(planBatches.mock.calls.length).toBeLessThanOrEqual(4);
});
