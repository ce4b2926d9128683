/**
 * Regular expressions of tokenizer.json against Oniguruma's matches
 * (test/fixtures/tokenizer/patterns.json.gz), and those that are refused.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { compilePattern } from '../../src/data/tokenize/pattern';
import { cut, partsOf } from '../../src/data/tokenize/split_text';

const FILE = path.join(__dirname, '..', 'fixtures', 'tokenizer', 'patterns.json.gz');
const { cases, classes } = JSON.parse(zlib.gunzipSync(fs.readFileSync(FILE)).toString()) as {
  cases: { pattern: string; text: string; pieces: string[]; replaced: string }[];
  classes: Record<string, number[]>;
};
const POINTS = Array.from({ length: 0x1ffff }, (_, i) => i + 1).filter((point) => point < 0xd800 || point >= 0xe000);
const ALL = POINTS.map((point) => String.fromCodePoint(point)).join('');
const compile = (source: string) => compilePattern({ Regex: source }, 'here');

it.each(cases.map((one) => [one.pattern, one.text, one] as const))(
  '%p in %p',
  (_, text, { pattern, pieces, replaced }) => {
    const compiled = compile(pattern);
    const got = cut(partsOf(text, compiled), 'Isolated').map(([start, end]) => text.slice(start, end));
    expect(got.filter((piece) => piece !== '')).toEqual(pieces);
    let [out, last] = ['', 0];
    for (const [start, end] of compiled.find(text)) {
      out += `${text.slice(last, start)}#`;
      last = end;
    }
    expect(out + text.slice(last)).toBe(replaced);
  },
);

it.each(Object.entries(classes))('the characters of %s', (pattern, packed) => {
  const expected = new Set<number>();
  for (let i = 0, end = 0; i < packed.length; i += 2) {
    const first = end + packed[i]!;
    end = first + packed[i + 1]!;
    for (let point = first; point <= end; point++) expected.add(point);
  }
  const found = new Set(
    compile(pattern)
      .find(ALL)
      .map(([start]) => ALL.codePointAt(start)),
  );
  // Of what this Node does not know yet, nothing can be asked.
  const wrong = POINTS.filter(
    (point) => found.has(point) !== expected.has(point) && !/\p{Cn}/u.test(String.fromCodePoint(point)),
  );
  expect(wrong).toEqual([]);
});

it.each([
  ['\\Ga', /\\G/],
  ['a\\Kb', /\\K/],
  ['(a)\\1', /\\1/],
  ['\\R', /\\R/],
  ['\\X', /\\X/],
  ['\\cA', /\\c/],
  ['\\xE9', /the code \\xE9/],
  ['(?m:.)', /the group \(\?m:/],
  ['(?i)a', /the group \(\?i\)/],
  ['(?x:a b)', /the group/],
  ['(?~ab)', /the group/],
  ['(?P<n>a)', /the group/],
  ['(?i:[a-z])', /a class in \(\?i:/],
  ['(?i:\\w)', /a class in \(\?i:/],
  ['(?i:ss)', /a ligature folds to/],
  ['(?i:é)', /the letter é/],
  ['a**', /a repeated quantifier/],
  ['a{2}?', /a lazy fixed interval/],
  ['a{3,2}', /runs down/],
  ['^*', /a repeated assertion/],
  ['*a', /a quantifier of nothing/],
  ['(?<=a++)b', /an atomic group in a look-behind/],
  ['[a', /an unmatched \[/],
  ['(a', /an unmatched \(/],
  ['a)', /an unmatched \)/],
  ['[a-\\d]', /a range that ends in a set/],
  ['[\\d-z]', /a range that starts with a set/],
  ['[^a&&b]', /a negated class with &&/],
  ['[a&&]', /an empty operand/],
  ['[[:foo:]]', /the class \[:foo:\]/],
  ['\\p{Emoji}', /the property \\p\{Emoji\}/],
  ['\\pL', /\\p/],
  ['[z-a]', /no regular expression/],
  ['a\\', /nothing after it/],
])('refuses %p, naming it', (pattern, message) => {
  expect(() => compile(pattern)).toThrow(message);
});

it.each([[{ String: '' }], [{}], [null], ['a']])('refuses the pattern %p', (pattern) => {
  expect(() => compilePattern(pattern, 'here')).toThrow(/^here: its pattern is/);
});
