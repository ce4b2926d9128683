/** Lists of labels: as values, as text of pandas and numpy, multi-hot; and what is neither. */
import { ListForms, labelList } from '../../src/data/examples/label_lists';

const code = 'INVALID_DATA';

describe('the labels of a text', () => {
  it.each<[unknown, unknown]>([
    [
      ['a', 1],
      ['a', 1],
    ],
    [2, [2]],
    ['a, b', ['a', 'b']],
    ['', []],
    ["['a', 'b']", ['a', 'b']],
    ['["a", "b"]', ['a', 'b']],
    ["['a' 'b']", ['a', 'b']],
    [`["it's", 'say "x"']`, ["it's", 'say "x"']],
    ["['it\\'s', 'caf\\u00e9', 'a\\\\b']", ["it's", 'café', 'a\\b']],
    ["['a, b', 'c']", ['a, b', 'c']],
    ["['a',]", ['a']],
    ["['']", ['']],
    ['[]', []],
    [' [ ] ', []],
    ['[0, 0, 1]', ['0', '0', '1']],
    ['[0 0 1]', ['0', '0', '1']],
    ['[0. 1.]', ['0.', '1.']],
    ['[00, 01]', ['00', '01']],
    ['[True, False, true]', [1, 0, 1]],
    [
      [true, false],
      [1, 0],
    ],
    ["{'a', 'b'}", ['a', 'b']],
    ["('a', 'b')", ['a', 'b']],
    ['(other)', ['(other)']],
    ['C[1]', ['C[1]']],
    [undefined, undefined],
    [null, undefined],
  ])('%j', (label, expected) => {
    expect(labelList(label, 'x:1')).toEqual(expected);
  });

  it.each(['[a, b]', "['a' b]", '["a", ["b"]]', "['a]", '[None]', "['a'; 'b']", "['a'x]", '[,]'])(
    '%s is no list',
    (label) => {
      expect(() => labelList(label, 'x:1')).toThrow(
        expect.objectContaining({
          code,
          message: expect.stringMatching(/^x:1: the label .* is in brackets and is no list/),
        }),
      );
    },
  );
});

it.each(['[True]', "[False, 'a']", [true], [false, 'a'], [true, 1]])(
  '%j names no labels, and marks none of several',
  (label) => {
    expect(() => labelList(label, 'x:1')).toThrow(/^x:1: the label is .*; a list of true and false says for each/);
  },
);

describe('lists of numbers', () => {
  const formOf = (lists: (string | number)[][], numLabels?: number) => {
    const forms = new ListForms();
    lists.forEach((list, i) => {
      forms.add(list, `x:${i + 1}`);
    });
    return forms.done(numLabels);
  };

  it.each<[string, (string | number)[][], number | undefined]>([
    ['of three or more', [[0, 0, 1]], undefined],
    [
      'of two, with a number twice',
      [
        [0, 1],
        [0, 0],
      ],
      undefined,
    ],
    [
      'of two, in both orders',
      [
        [0, 1],
        [1, 0],
      ],
      2,
    ],
    [
      'from text',
      [
        ['0', '1', '1.0'],
        ['0.', '0', '0'],
      ],
      3,
    ],
  ])('are multi-hot: %s', (_, lists, numLabels) => {
    expect(formOf(lists, numLabels)).toEqual({ form: 'multi-hot', length: lists[0]!.length });
  });

  it.each<[string, (string | number)[][], number | undefined]>([
    ['names', [['a'], ['b', 'c']], undefined],
    ['class ids', [[0, 2], [1], []], 3],
    ['one id a text', [[0], [1]], undefined],
    ['ids 0 and 1 of three labels', [[0, 1]], 3],
    ['ids of several lengths', [[0, 1], [1]], 2],
    ['no text with a label', [[], []], 2],
    ['no text', [], 2],
  ])('name labels: %s', (_, lists, numLabels) => {
    expect(formOf(lists, numLabels).form).toBe('labels');
  });

  it.each<[string, (string | number)[][], number | undefined, RegExp]>([
    ['both forms', [['a'], [0, 0, 1]], 3, /^x:2: the labels \[0,0,1\] are a multi-hot list .* but x:1 has \["a"\]/],
    ['an empty list among them', [[0, 0, 1], []], 3, /^x:1: .* but x:2 has \[\]/],
    [
      'two lengths',
      [
        [0, 0, 1],
        [0, 0, 1, 0],
      ],
      3,
      /but x:2 has \[0,0,1,0\]/,
    ],
    ['another length than there are labels', [[0, 0, 1]], 4, /^x:1: .* a multi-hot list of 3, but there are 4 labels/],
    [
      'either form',
      [
        [0, 1],
        [0, 1],
      ],
      2,
      /^x:1: .*\[0,1\], as in all rows, may be class ids or a multi-hot list/,
    ],
  ])('%s is an error', (_, lists, numLabels, message) => {
    expect(() => formOf(lists, numLabels)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
