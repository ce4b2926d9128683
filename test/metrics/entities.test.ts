import * as fs from 'node:fs';
import * as path from 'node:path';
import { areEntityTags, entityMetrics, findEntities } from '../../src/metrics/entities';
import { errorMessage } from '../io/temporary';

interface Case {
  expected: string[][];
  predicted: string[][];
  entities: [type: string, first: number, last: number][][];
  precision: number;
  recall: number;
  f1: number;
}
const file = path.join(__dirname, '..', 'fixtures', 'metrics', 'entities.json');
const { cases } = JSON.parse(fs.readFileSync(file, 'utf8')) as { cases: Case[] };

describe('entities', () => {
  it('are those that seqeval finds, in tags that need not be well formed', () => {
    expect(cases.length).toBeGreaterThan(50);
    for (const { predicted, entities } of cases) {
      const found = predicted.map((tags) => findEntities(tags).map(({ type, start, end }) => [type, start, end - 1]));
      expect(found).toEqual(entities);
    }
  });

  it('are counted as seqeval counts them', () => {
    for (const { expected, predicted, precision, recall, f1 } of cases) {
      const got = entityMetrics(expected, predicted);
      expect(got.precision).toBeCloseTo(precision, 12);
      expect(got.recall).toBeCloseTo(recall, 12);
      expect(got.f1).toBeCloseTo(f1, 12);
    }
  });

  it('need tags of the kind', () => {
    expect(areEntityTags(['O', 'B-PER', 'I-PER'])).toBe(true);
    expect(areEntityTags(['NOUN', 'VERB', 'O'])).toBe(false);
    expect(areEntityTags(['O'])).toBe(false);
  });

  it('refuse sentences of different lengths', () => {
    expect(errorMessage('INVALID_SHAPE', () => entityMetrics([['O', 'O']], [['O']]))).toMatch(/sentence 0 has 2/);
  });
});
