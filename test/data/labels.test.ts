/**
 * The names that data give their classes: as written, in a stated order; spellings, numbers, -100;
 * and ids by name.
 */
import { classIds, LabelCollector, labelEncoder, listFormOf } from '../../src/data/examples/labels';

type Label = string | number | (string | number)[];
const code = 'INVALID_DATA';

function namesOf(labels: Label[], task: ConstructorParameters<typeof LabelCollector>[0] = 'sequence-classification') {
  const collector = new LabelCollector(task);
  // In two pieces, as files are read.
  const rows = labels.map((label, i) => ({ text: 'x', label, place: `d.csv:${i + 2}` }));
  collector.add(rows.slice(0, 1));
  collector.add(rows.slice(1));
  return collector.done();
}

describe('names', () => {
  it.each<[string, Label[], string[]]>([
    ['by code point', ['b', 'a', 'B2', 'b'], ['B2', 'a', 'b']],
    ['stars', [5, 1, 3, 2, 4], ['1', '2', '3', '4', '5']],
    ['numbers by size', [100, 20, 3], ['3', '20', '100']],
    ['negative ones too', ['1', '-1', '0', '-10'], ['-10', '-1', '0', '1']],
    ['an id that never comes', [0, 2], ['0', '2']],
    ['text that looks like numbers', ['01', '00', '10'], ['00', '01', '10']],
    ['numbers and text', ['10', '9', 'x'], ['10', '9', 'x']],
    ['blanks that all have', [' pos', ' neg'], [' neg', ' pos']],
    ['numbers of pandas', ['2.0', '1.0'], ['1.0', '2.0']],
  ])('%s', (_, labels, expected) => {
    expect(namesOf(labels)).toEqual(expected);
  });

  it('of multi-hot lists are their places', () => {
    expect(
      namesOf(
        [
          [0, 0, 1],
          [1, 0, 0],
        ],
        'multi-label-classification',
      ),
    ).toEqual(['0', '1', '2']);
    expect(namesOf(["['b', 'a']", '[]'], 'multi-label-classification')).toEqual(['a', 'b']);
  });

  it('of words leave -100 out', () => {
    const collector = new LabelCollector('token-classification');
    collector.add([
      { tokens: ['a', 'b', 'c'], labels: [1, -100, 0] },
      { tokens: ['a'], labels: ['-100'] },
    ]);
    expect(collector.done()).toEqual(['0', '1']);
  });

  it.each<[string, Label[], RegExp]>([
    [
      'blanks',
      ['pos', 'neg', 'pos ', 'pos '],
      /labels "pos" \(d.csv:2\) and "pos " \(d.csv:4 and 1 more\) differ in blanks alone.*labelNames \(--labels\)/,
    ],
    ['case', ['Positive', 'positive'], /"Positive" .* and "positive" .* differ in upper and lower case alone/],
    ['both', ['B a', ' b  A'], /differ in case and blanks alone/],
    ['accents', ['é', 'e\u0301'], /differ in how Unicode writes a letter alone/],
    ['width', ['a', '\uff41'], /differ in how Unicode writes a letter alone/],
    ['a minus', ['-1', '\u22121', '2'], /"-1" .* and "−1" .* differ in how Unicode writes a letter alone/],
    ['a character without width', ['no', 'no\u200b'], /differ in characters that are not seen alone/],
    ['zeros', ['1', '01', '2'], /"1" .* and "01" .* differ in how a number is written alone/],
    ['decimals', [1, '1.0'], /"1" .* and "1.0" .* differ in how a number is written alone/],
    ['fractions', [0.5, 1, 2.25], /numbers with fractions \(0.5, 2.25\).*--task regression/],
    [
      '-100',
      ['a', 'b', -100],
      /^d.csv:4: the label is -100, which marks what is left out of training; leave the row out/,
    ],
    ['long numbers', [1, 2 ** 64], /^d.csv:3: the label 18446744073709552000 .* write it as a string/],
    ['none', ['a', ''], /^d.csv:3: has no label/],
    ['one class', ['a', 'a'], /the one label "a"; a classifier needs at least two/],
  ])('two that are one, or none: %s', (_, labels, message) => {
    expect(() => namesOf(labels)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  it('with the same digits, and long ones, are told apart', () => {
    expect(namesOf(['12345678901234567890', '12345678901234567891'])).toHaveLength(2);
    expect(namesOf(['100', '10', '1'])).toEqual(['1', '10', '100']);
  });
});

describe('ids', () => {
  it('go by name; by number where no name is one', () => {
    expect(classIds(['1', '2'])('2', 'x')).toBe(1);
    expect(() => classIds(['1', '2'])(0, 'x')).toThrow(/x: unknown label "0"/);
    expect(classIds(['neg', 'pos'])(1, 'x')).toBe(1);
    expect(classIds(['00', '01'])('01', 'x')).toBe(1);
  });

  it('of an unknown name say what it may be', () => {
    const idOf = classIds(['neg', 'pos']);
    expect(() => idOf('pos ', 'd.csv:9')).toThrow(
      /^d.csv:9: unknown label "pos "; "pos" differs from it in blanks alone. The labels are neg, pos/,
    );
    expect(() => idOf('POS', 'x')).toThrow(/"pos" differs from it in upper and lower case alone/);
    expect(() => idOf('poss', 'x')).toThrow(/was "pos" meant\?.*labelNames \(--labels\)/);
    expect(() => idOf('neutral', 'x')).toThrow(/unknown label "neutral"/);
  });

  it('of lists by their form', () => {
    const model = { task: 'multi-label-classification' as const, numLabels: 3, labelNames: ['a', 'b', 'c'] };
    const rows = [
      [0, 0, 1],
      [1, 0, 1],
    ].map((label) => ({ text: 'x', label }));
    const encode = labelEncoder(model, listFormOf(rows, 3));
    expect(rows.map((row) => encode(row, 'x'))).toEqual([{ targets: [0, 0, 1] }, { targets: [1, 0, 1] }]);
    const named = [['c'], [0, 'b'], '["a"]'].map((label) => ({ text: 'x', label }));
    const encodeNames = labelEncoder(model, listFormOf(named, 3));
    expect(named.map((row) => encodeNames(row, 'x'))).toEqual([
      { targets: [0, 0, 1] },
      { targets: [1, 1, 0] },
      { targets: [1, 0, 0] },
    ]);
  });
});
