/**
 * Small tasks that the tiny pretrained encoder learns in
 * seconds, of sentences made from our own words.
 */
import * as path from 'node:path';
import { RANDOM_SITE, RandomStream } from '../../src/base/philox';
import type { TextExample, TokenExample } from '../../src/data/examples/example';

export const TINY = path.join(__dirname, '..', '..', 'assets', 'tiny-roberta');

const NAMES = ['Anna', 'Peter', 'Maria', 'John', 'Lucy', 'David', 'Emma', 'Mark'];
const SURNAMES = ['Miller', 'Scott', 'Baker', 'Stone', 'Hill', 'Fisher'];
const PLACES = [['London'], ['Paris'], ['New', 'York'], ['Rome'], ['Los', 'Angeles'], ['Berlin']];
const VERBS = ['visited', 'left', 'loved', 'hated', 'remembered'];

/** `Anna Miller visited New York .` with tags of persons and places. */
export function taggedSentences(count: number, seed: number): TokenExample[] {
  const random = new RandomStream(seed, RANDOM_SITE.synthetic);
  return Array.from({ length: count }, () => {
    const tokens: string[] = [];
    const labels: string[] = [];
    const add = (words: readonly string[], type?: string) =>
      words.forEach((word, i) => {
        tokens.push(word);
        labels.push(type === undefined ? 'O' : `${i === 0 ? 'B' : 'I'}-${type}`);
      });
    const person = () => (random.below(2) === 0 ? [random.pick(NAMES)] : [random.pick(NAMES), random.pick(SURNAMES)]);
    add(person(), 'PER');
    add([random.pick(VERBS)]);
    add(random.pick(PLACES), 'LOC');
    if (random.below(2) === 0) {
      add(['with']);
      add(person(), 'PER');
    }
    add(['.']);
    return { tokens, labels };
  });
}

const GOOD = ['good', 'great', 'funny', 'beautiful', 'excellent'];
const BAD = ['bad', 'awful', 'boring', 'terrible', 'stupid'];
const PARTS = ['story', 'acting', 'music', 'ending', 'film'];

/** `the story is good .`, labelled by its adjective. */
export function reviews(count: number, seed: number): TextExample[] {
  const random = new RandomStream(seed, RANDOM_SITE.synthetic);
  return Array.from({ length: count }, () => {
    const good = random.below(2) === 1;
    return {
      text: `the ${random.pick(PARTS)} is ${random.pick(good ? GOOD : BAD)} .`,
      label: good ? 'positive' : 'negative',
    };
  });
}

/** The same, with 1 and -1 as numbers to be predicted. */
export function ratings(count: number, seed: number): TextExample[] {
  return reviews(count, seed).map(({ text, label }) => ({ text, label: label === 'positive' ? 1 : -1 }));
}
