import { splitExamples } from '../../../src';
import { errorMessage } from '../../io/temporary';

const examples = Array.from({ length: 200 }, (_, i) => ({ text: `text ${i}`, label: i % 10 === 0 ? 'rare' : 'usual' }));
const count = (part: typeof examples, label: string) => part.filter((example) => example.label === label).length;

test('a split has the same share of each class, every example once, in its order', () => {
  const { train, dev } = splitExamples(examples, 0.1);
  expect([count(dev, 'rare'), count(dev, 'usual'), count(train, 'rare'), count(train, 'usual')]).toEqual([
    2, 18, 18, 162,
  ]);
  const at = (part: typeof examples) => part.map((example) => examples.indexOf(example));
  expect([...at(train), ...at(dev)].sort((a, b) => a - b)).toEqual([...examples.keys()]);
  for (const part of [train, dev]) expect(at(part)).toEqual(at(part).toSorted((a, b) => a - b));
});

test('it is a function of the seed', () => {
  const dev = (seed: number) => splitExamples(examples, 0.1, { seed }).dev.map(({ text }) => text);
  expect(dev(1)).toEqual(dev(1));
  expect(dev(1)).not.toEqual(dev(2));
});

test('its size is the share of all, though no class divides; a class of one stays in train', () => {
  const odd = ['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c', 'd'].map((label, i) => ({ text: String(i), label }));
  const { train, dev } = splitExamples(odd, 0.2);
  expect(dev).toHaveLength(2);
  expect(new Set(train.map(({ label }) => label))).toEqual(new Set(['a', 'b', 'c', 'd']));
});

test('labels that are no classes are not looked at', () => {
  const numbers = Array.from({ length: 50 }, (_, i) => ({ text: String(i), label: i / 7 }));
  expect(splitExamples(numbers, 0.2, { task: 'regression' }).dev).toHaveLength(10);
  expect(
    splitExamples(
      numbers.map(({ text, label }) => ({ text, label: [label] })),
      0.2,
    ).dev,
  ).toHaveLength(10);
});

test.each([0, 1, -0.1, 1.5, Number.NaN])('a share of %p', (share) => {
  expect(errorMessage('INVALID_ARGUMENT', () => splitExamples(examples, share))).toMatch(/share above 0 and below 1/);
});

test('a share that leaves nothing', () => {
  expect(errorMessage('INVALID_ARGUMENT', () => splitExamples(examples.slice(0, 4), 0.1))).toMatch(
    /of 4 examples leaves none/,
  );
});
