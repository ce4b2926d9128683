/**
 * Patterns in Python's syntax: what Python's own re finds, from stored results; errors that name
 * the place and the pattern.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { compilePattern, type PatternMode } from '../../src/base/patterns';
import { errorMessage } from '../io/temporary';

interface Stored {
  texts: string[];
  patterns: [string, string | null, string | null, string | null][];
}

const { texts, patterns } = JSON.parse(
  fs.readFileSync(path.join(__dirname, '..', 'fixtures', 'patterns.json'), 'utf8'),
) as Stored;
const MODES: PatternMode[] = ['search', 'match', 'fullmatch'];

/** What Python takes and this does not, each for the reason that its error gives. */
const NOT_SUPPORTED = /is not supported/;

function attempt(pattern: string, mode: PatternMode): string | Error {
  try {
    const compiled = compilePattern(pattern, 'here', { mode });
    return texts.map((text) => (compiled.test(text) ? '1' : '0')).join('');
  } catch (error) {
    return error as Error;
  }
}

it("finds what Python's re finds, or says what it does not support", () => {
  const wrong: unknown[] = [];
  let same = 0;
  for (const [pattern, ...expected] of patterns) {
    MODES.forEach((mode, i) => {
      const want = expected[i];
      const got = attempt(pattern, mode);
      if (typeof got === 'string' && want === got) same++;
      else if (want === null || want === undefined) {
        // More is taken than by Python 3.11: flags behind the start, look-behind of any width,
        // names without P.
        if (typeof got === 'string' && !/\(\?i\)|\(\?</.test(pattern)) wrong.push([pattern, mode, want, got]);
      } else if (typeof got === 'string' || !NOT_SUPPORTED.test(got.message)) {
        wrong.push([pattern, mode, want, got instanceof Error ? got.message : got]);
      }
    });
  }
  expect(wrong).toEqual([]);
  expect(same).toBeGreaterThan(1000);
});

it('gives the named groups of a match', () => {
  const layer = compilePattern('(?:^|.*?\\.)layer\\.(?P<idx>\\d+)\\.', 'here', { mode: 'match' });
  expect(layer.groups('roberta.encoder.layer.11.output.3.dense')).toEqual({ idx: '11' });
  expect(layer.groups('classifier.dense')).toBeUndefined();
  expect(compilePattern('(?P<a>a)?(?=(?P<b>b))', 'here').groups('b')).toEqual({ b: 'b' });
});

it.each([
  ['query(', 'a group without ")"'],
  ['[a-', 'a set without "]"'],
  ['*', 'nothing to repeat at position 0'],
  ['\\q', 'an unknown escape \\q'],
  ['(a)?\\1', 'a reference to group 1, which may not have matched there: that is not supported'],
  ['(?(1)a|b)', 'which is not supported'],
])('refuses %s, and says where it stands', (pattern, problem) => {
  const message = errorMessage('INVALID_LORA', () =>
    compilePattern(pattern, 'x/adapter_config.json: field "target_modules"', { code: 'INVALID_LORA' }),
  );
  expect(message).toContain(`x/adapter_config.json: field "target_modules" holds ${JSON.stringify(pattern)}`);
  expect(message).toContain(problem);
});
