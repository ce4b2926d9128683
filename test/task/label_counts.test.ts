/**
 * Rows of each label as a run tells them: of names, of ids, and of lists of 0 and 1. Labels of data
 * that are ids of named classes are told by eval and for dev.
 */

import type { Example } from '../../src/data/examples/example';
import { noteOnIds } from '../../src/data/examples/labels';
import { labelsOfData } from '../../src/data/read/training_data';
import { meaningFigures } from '../../src/task/meaning/describe';
import type { Meaning } from '../../src/task/meaning/types';

async function counts(task: Meaning['task']['value'], names: string[], train: Example[], dev?: Example[]) {
  const labels = await labelsOfData({ train, dev, split: false, classNames: undefined }, task, names.length);
  const decided = <T>(value: T) => ({ value, source: 'option', place: 'x', overridden: [] });
  const meaning = {
    task: decided(task),
    numLabels: decided(names.length),
    labelNames: decided(names),
    maxLength: decided(64),
    truncationSide: decided('right'),
    threshold: decided(0.5),
    leavesHeadOut: false,
    notes: [],
  } as unknown as Meaning;
  return meaningFigures(meaning, { labels }).labels.map(({ train: rows, dev: devRows }) => [rows, devRows]);
}

const texts = (...labels: unknown[]) => labels.map((label, i) => ({ text: `t${i}`, label }) as Example);

test.each<[string, Parameters<typeof counts>, unknown]>([
  [
    'names',
    ['sequence-classification', ['neg', 'pos'], texts('pos', 'neg', 'pos')],
    [
      [1, undefined],
      [2, undefined],
    ],
  ],
  [
    'ids',
    ['sequence-classification', ['neg', 'pos'], texts(1, 0, 1, '1')],
    [
      [1, undefined],
      [3, undefined],
    ],
  ],
  [
    'multi-hot lists, dev too',
    [
      'multi-label-classification',
      ['a', 'b', 'c'],
      texts([0, 0, 1], [0, 0, 1], [1, 0, 1]),
      texts([0, 1, 0], [1, 1, 0]),
    ],
    [
      [1, 1],
      [0, 2],
      [3, 0],
    ],
  ],
  [
    'a name twice in a row',
    ['multi-label-classification', ['a', 'b'], texts(['a', 'a'], ['b'])],
    [
      [1, undefined],
      [1, undefined],
    ],
  ],
])('rows of each label: %s', async (_, args, expected) => {
  expect(await counts(...args)).toEqual(expected);
});

test('labels that are ids of named classes are told', () => {
  expect(noteOnIds(['neg', 'pos'], texts('neg', 'pos'))).toBeUndefined();
  expect(noteOnIds(['0', '1'], texts(0, '1'))).toBeUndefined();
  expect(noteOnIds(['neg', 'pos'], texts(1, '0', 1))).toBe(
    "labels of the data are numbers and are taken as ids of the model's labels: 0 neg, 1 pos",
  );
  const words: Example[] = [{ tokens: ['x', 'y', 'z'], labels: [1, -100, 0] as never }];
  expect(noteOnIds(['O', 'B-X'], words)).toContain('0 O, 1 B-X');
});
