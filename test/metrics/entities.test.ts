import * as fs from 'node:fs';
import * as path from 'node:path';
import { RANDOM_SITE, RandomStream } from '../../src/base/philox';
import { areEntityTags, type Entity, entityMetrics, findEntities } from '../../src/metrics/entities';
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

  it('of well-formed tags are the same in every scheme, as in seqeval.scheme', () => {
    const words = 40;
    const random = new RandomStream(1, RANDOM_SITE.synthetic);
    const entities: Entity[] = [];
    for (let start = random.below(2); start < words - 5; ) {
      const end = start + 1 + random.below(4);
      entities.push({ type: random.pick(['PER', 'a-b']), start, end });
      // Beside each other now and then.
      start = end + random.below(3);
    }
    const tagged = (begin: string, inside: string, last: string, single: string, type: boolean) => {
      const tags = new Array<string>(words).fill('O');
      for (const { start, end, type: name } of entities) {
        for (let i = start; i < end; i++) {
          const prefix = end - start === 1 ? single : i === start ? begin : i === end - 1 ? last : inside;
          tags[i] = type ? `${prefix}-${name}` : prefix;
        }
      }
      return tags;
    };
    for (const scheme of ['BIIB', 'BIES', 'BILU', 'BMES', 'BMEW']) {
      const [begin, inside, last, single] = [...scheme] as [string, string, string, string];
      const tags = tagged(begin, inside, last, single, true);
      expect(findEntities(tags)).toEqual(entities);
      expect(areEntityTags([...new Set(tags)])).toBe(true);
      expect(entityMetrics([tags], [tags])).toEqual({ precision: 1, recall: 1, f1: 1 });
      const bare = tagged(begin, inside, last, single, false);
      expect(findEntities(bare)).toEqual(entities.map((entity) => ({ ...entity, type: '_' })));
      expect(areEntityTags([...new Set(bare)])).toBe(true);
    }
  });

  it.each<[string, boolean, string[]]>([
    ['IOB', true, ['O', 'B-PER', 'I-PER']],
    ['IOB1, whose B is rare', true, ['O', 'I-PER']],
    ['IOE', true, ['O', 'I-PER', 'E-PER']],
    ['single words alone', true, ['O', 'S-PER']],
    ['BILOU', true, ['B-PER', 'I-PER', 'L-PER', 'O', 'U-LOC']],
    ['BMES', true, ['B-PER', 'M-PER', 'E-PER', 'S-LOC']],
    ['word segmentation', true, ['B', 'E', 'M', 'S']],
    ['keyphrases', true, ['B', 'I', 'O']],
    ['parts of speech', false, ['NOUN', 'VERB', 'O']],
    ['O alone', false, ['O']],
    ['sizes', false, ['S', 'M', 'L']],
    ['sizes with a number', false, ['S-1', 'M-1', 'L-2']],
    ['prefixes of two schemes', false, ['B-PER', 'L-PER', 'M-PER', 'O']],
    ['letters', false, ['B', 'S', 'O']],
    ['a tag among others', false, ['B-PER', 'PER', 'O']],
  ])('%s: %s', (_, are, names) => {
    expect(areEntityTags(names)).toBe(are);
  });

  it('refuse sentences of different lengths', () => {
    expect(errorMessage('INVALID_SHAPE', () => entityMetrics([['O', 'O']], [['O']]))).toMatch(/sentence 0 has 2/);
  });
});
