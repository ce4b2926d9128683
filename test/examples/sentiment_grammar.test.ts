import { makeSentimentTask } from '../../examples/sentiment_grammar';
import { DEV_GRAMMAR, TRAIN_GRAMMAR } from '../../examples/sentiment_grammar/grammar';
import { DEV_OPINIONS, TRAIN_OPINIONS } from '../../examples/sentiment_grammar/lexicon';

const { train, dev, labelNames } = makeSentimentTask();
const words = (text: string) => text.split(' ');
const bag = (text: string) => words(text).sort().join(' ');

/**
 * A bag-of-words logistic regression, by plain gradient descent. @returns its accuracy on `test`.
 */
function bagOfWords(learn: typeof train, test: typeof train, epochs = 10): number {
  const weight = new Map<string, number>();
  const score = (text: string) => words(text).reduce((sum, word) => sum + (weight.get(word) ?? 0), 0);
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const { text, label } of learn) {
      const slope = (label === 'positive' ? 1 : 0) - 1 / (1 + Math.exp(-score(text)));
      for (const word of words(text)) weight.set(word, (weight.get(word) ?? 0) + 0.05 * slope);
    }
  }
  return test.filter(({ text, label }) => score(text) > 0 === (label === 'positive')).length / test.length;
}

it('has 4,800 and 800 sentences, balanced, none twice', () => {
  expect(train).toHaveLength(4800);
  expect(dev).toHaveLength(800);
  expect(labelNames).toEqual(['negative', 'positive']);
  for (const part of [train, dev]) {
    expect(part.filter(({ label }) => label === 'positive')).toHaveLength(part.length / 2);
    for (const { text } of part) {
      expect(words(text).length).toBeGreaterThanOrEqual(4);
      expect(words(text).length).toBeLessThanOrEqual(30);
    }
  }
  expect(new Set([...train, ...dev].map(({ text }) => text)).size).toBe(5600);
});

it('is a function of the seed', () => {
  expect(makeSentimentTask(0).dev[7]).toEqual(dev[7]);
  expect(makeSentimentTask(1).dev[7]).not.toEqual(dev[7]);
});

it('dev has no opinion word and no template of train', () => {
  const all = (o: typeof TRAIN_OPINIONS) => [...o.positive, ...o.negative];
  const known = new Set(all(TRAIN_OPINIONS));
  expect(all(DEV_OPINIONS).filter((word) => known.has(word))).toEqual([]);
  expect(new Set(all(TRAIN_OPINIONS)).size).toBe(all(TRAIN_OPINIONS).length);
  const templates = (g: typeof TRAIN_GRAMMAR) => [...g.clauses.said, ...g.clauses.denied, ...g.contrasts, ...g.frames];
  expect(templates(DEV_GRAMMAR).filter((t) => templates(TRAIN_GRAMMAR).includes(t))).toEqual([]);
  for (const { text } of dev) expect(words(text).some((word) => known.has(word))).toBe(false);
});

it('a bag of words can not solve it', () => {
  expect(bagOfWords(train, train)).toBeLessThan(0.8);
  expect(bagOfWords(train, dev)).toBeLessThan(0.6);
  // It is the word order: a third of the sentences have a
  // twin of the same words and the other label.
  for (const part of [train, dev]) {
    const labels = new Map<string, Set<unknown>>();
    for (const { text, label } of part) labels.set(bag(text), (labels.get(bag(text)) ?? new Set()).add(label));
    const twins = part.filter(({ text }) => labels.get(bag(text))?.size === 2);
    expect(twins.length / part.length).toBeGreaterThan(0.3);
  }
});
