/**
 * Patterns of files within a time. What would take for ever stands in no file here: a text that is
 * long for a plain pattern, with a limit that is short, goes the same way.
 */
import type { FusedLoraError } from '../../src/base/errors';
import { compilePattern as compilePythonPattern, matchMany } from '../../src/base/patterns';
import { patternTime, TimeIsUp, withinTime } from '../../src/base/time_limit';
import { compilePattern } from '../../src/data/tokenize/pattern';
import { isLinear } from '../../src/data/tokenize/pattern_cost';

const LONG = 'c'.repeat(20_000_000);
const time = (characters: number) => (characters > 1000 ? 1 : 1000);

test('work gives its result, or its own error, or is stopped in its midst', () => {
  expect(withinTime(() => [1, 2], 1000)).toEqual([1, 2]);
  expect(withinTime(() => withinTime(() => 'inner', 1000), 1000)).toBe('inner');
  expect(() =>
    withinTime(() => {
      throw new RangeError('own');
    }, 1000),
  ).toThrow(RangeError);
  const began = performance.now();
  expect(() =>
    withinTime(() => {
      while (performance.now() - began < 5000);
    }, 20),
  ).toThrow(TimeIsUp);
  expect(performance.now() - began).toBeLessThan(2000);
  expect(withinTime(() => 'again', 1000)).toBe('again');
});

test('work that had no processor begins anew, for as often as is of use', () => {
  let times = 0;
  const waiting = (until: number) => () => {
    if (++times <= until) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100 * 2 ** times);
    return times;
  };
  expect(withinTime(waiting(2), 40)).toBe(3);
  times = 0;
  expect(() => withinTime(waiting(9), 10)).toThrow(/^took longer than 10 ms$/);
  expect(times).toBe(5);
});

test('a match of one expression is stopped in its midst too', () => {
  // Tried from each place to the end: some tenths of a second.
  const text = 'c'.repeat(12_000);
  const slow = () => /c+d/u.test(text);
  const began = performance.now();
  slow();
  const whole = performance.now() - began;
  const again = performance.now();
  expect(() => withinTime(slow, whole / 20)).toThrow(TimeIsUp);
  expect(performance.now() - again).toBeLessThan(whole / 2);
});

test('a pattern of an adapter that takes too long is named, with its file', () => {
  const pattern = compilePythonPattern('a(?=b)', 'adapter_config.json: field "target_modules"', {
    code: 'INVALID_CONFIG',
    time,
  });
  expect(pattern.test('xab')).toBe(true);
  let error: unknown;
  try {
    pattern.test(LONG);
  } catch (thrown) {
    error = thrown;
  }
  expect((error as FusedLoraError).code).toBe('INVALID_CONFIG');
  expect((error as Error).message).toMatch(
    /^adapter_config\.json: field "target_modules" holds "a\(\?=b\)", which took longer than 1 ms for the name "c+…/,
  );
});

test('many patterns have one time together, and the one at work when it is up is named', () => {
  const patterns = ['b', 'a(?=c)'].map((source) =>
    compilePythonPattern(source, `field of ${source}`, { code: 'INVALID_LORA' }),
  );
  expect(matchMany(() => patterns.map((pattern) => pattern.test('ac')))).toEqual([false, true]);
  const forEver = () => {
    const began = performance.now();
    while (performance.now() - began < 5000) for (const pattern of patterns) pattern.test('ac');
  };
  expect(() => matchMany(forEver, 20)).toThrow(
    /^field of .* holds ".*", which took longer than 20 ms for the name "ac"/,
  );
  expect(() =>
    matchMany(() => {
      throw new RangeError('own');
    }),
  ).toThrow(RangeError);
  expect(patterns[1]?.test('ac')).toBe(true);
});

test('a pattern of a tokenizer that takes too long is named, with its place', () => {
  const pattern = compilePattern({ Regex: 'a(?=b)' }, 'pre_tokenizer (Split)', { time });
  expect(pattern.find('xab')).toEqual([[1, 2]]);
  expect(() => pattern.find(LONG)).toThrow(
    /^pre_tokenizer \(Split\): its pattern "a\(\?=b\)" takes longer than 1 ms for a text of 20000000 characters/,
  );
});

test('patterns of any length and depth are refused before they are read', () => {
  const long = 'a'.repeat(20_001);
  const deep = `${'('.repeat(101)}a${')'.repeat(101)}`;
  expect(() => compilePythonPattern(long, 'here')).toThrow(/it has more than 20000 characters/);
  expect(() => compilePythonPattern(deep, 'here')).toThrow(/more than 100 groups in groups/);
  expect(() => compilePattern({ Regex: long }, 'here')).toThrow(/has 20001 characters; 20000 is the limit/);
  expect(() => compilePattern({ Regex: deep }, 'here')).toThrow(/groups in groups, more than 100/);
});

test('the time grows with the text', () => {
  expect([patternTime(0), patternTime(1_000_000)]).toEqual([1000, 2000]);
});

describe('patterns that need no limit', () => {
  test.each([
    ' ?\\p{L}+',
    '\\s+',
    '[0-9]',
    '\\p{N}{1,3}|[^\\s]+',
    "'s|'t| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*",
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ])('%p', (source) => {
    expect(isLinear(source)).toBe(true);
    // The same matches as within a limit, in time that grows as the text does.
    const find = (text: string) => compilePattern({ Regex: source }, 'here').find(text);
    const text = `It's 2026,  a b\n\n c 12345 ${' '.repeat(50)}x`;
    expect(find(text)).toEqual(compilePattern({ Regex: `(?:${source})` }, 'here').find(text));
    for (const character of [' ', 'a', '1', '\n', '!']) {
      const began = performance.now();
      find(character.repeat(300_000));
      expect(performance.now() - began).toBeLessThan(3000);
    }
  });

  // A run that something may fail after, a choice of ways, groups, assertions.
  test.each([
    'a+b',
    'a*?b',
    'a?a?a?a?a?a?a?b',
    '(?:a)+',
    'a(?=b)',
    '^a',
    'a$',
    'a{2}{3}',
    'a++',
    'a+b*c',
    '\\w+ ?',
    '(a',
    'a{1,9}b{1,9}c{0,9}',
  ])('%p is not among them', (source) => {
    expect(isLinear(source)).toBe(false);
  });
});
