/** The least dimension that is enough: the search on known values, and one whole run of it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { intrinsicDimension } from '../../src';
import { tableOf } from '../../src/cli/intrinsic_dim';
import { leastDimension, rungsOf } from '../../src/study/intrinsic/search';
import { failure, temporaryFolder } from '../io/temporary';
import { reviews } from '../task/tasks';
import { tinyModel } from './tiny';

jest.setTimeout(180_000);

test.each([
  [10, 7],
  [57, 57],
  [320, 300],
  [5000, 4999],
])('finds %d of values that are enough from %d on, within a step', async (_, from) => {
  const { least, tried } = await leastDimension(
    { from: 10, to: 10_000, refine: 3 },
    async (dimension) => dimension,
    (value) => value >= from,
  );
  expect(least).toBeGreaterThanOrEqual(from);
  // Half powers of ten, halved three times.
  expect(least as number).toBeLessThanOrEqual(Math.max(10, from * 10 ** (1 / 16) + 1));
  expect(new Set(tried.map(({ dimension }) => dimension)).size).toBe(tried.length);
});

test('ends at the highest where none is enough', async () => {
  expect(rungsOf({ from: 10, to: 500, refine: 0 })).toEqual([10, 32, 100, 316, 500]);
  expect(rungsOf({ from: 10, to: 10, refine: 0 })).toEqual([10]);
  const none = await leastDimension(
    { from: 10, to: 500, refine: 2 },
    async () => 0,
    () => false,
  );
  expect(none.least).toBeUndefined();
  expect(none.tried).toHaveLength(5);
});

test('a whole search writes results, a page and points, and goes on where it was', async () => {
  const dir = temporaryFolder();
  const outputDir = path.join(dir, 'dimension');
  const told: string[] = [];
  const options = {
    ...{ models: [tinyModel(dir)], train: reviews(72, 1), dev: reviews(40, 2), outputDir, epochs: 2, batchSize: 8 },
    ...{ structures: ['did'] as const, seeds: 2, rates: [2e-2], fullRates: [2e-3], from: 4, to: 64, refine: 1 },
    ...{ device: 'cpu' as const, onNotice: (line: string) => void told.push(line) },
  };
  const results = await intrinsicDimension(options);
  const [{ full, weights, layers, searches, pretrainingSteps }] = results.models as [(typeof results.models)[number]];
  expect([results.metric, full.value.count, layers, pretrainingSteps]).toEqual(['accuracy', 2, 4, null]);
  expect(weights).toBeGreaterThan(98_304);
  const [{ least, tried }] = searches as [(typeof searches)[number]];
  const enough = tried.filter((one) => one.enough).map(({ dimension }) => dimension);
  expect(least).toBe(enough.length > 0 ? Math.min(...enough) : null);
  for (const one of tried) expect(one.enough).toBe(one.value.mean >= 0.9 * full.value.mean);
  expect(tableOf(results)).toContain('DID');
  const page = fs.readFileSync(path.join(outputDir, 'report.html'), 'utf8');
  expect(page).toContain('dimension of the subspace');
  expect(page).not.toMatch(/<script|https?:/);
  const points = fs.readdirSync(path.join(outputDir, 'runs')).filter((name) => name.includes('did-'));
  for (const name of points) {
    const size = fs.statSync(path.join(outputDir, 'runs', name, 'adapter_model.safetensors')).size;
    expect(size).toBeLessThan(1000);
  }
  told.splice(0);
  expect(await intrinsicDimension(options)).toEqual(results);
  expect(told).toEqual([]);
  expect(await failure('INVALID_ARGUMENT', intrinsicDimension({ ...options, share: 0.8 }))).toContain('other options');
  await failure('INVALID_ARGUMENT', intrinsicDimension({ ...options, rates: [] }));
});
