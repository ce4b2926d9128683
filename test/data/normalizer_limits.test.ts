/** What a tokenizer's file makes of a text stays in proportion to it. */
import { normalizerOf } from '../../src/data/tokenize/normalizers';
import { componentAt } from '../../src/data/tokenize/refused';

const replace = (from: string, content: string) => ({ type: 'Replace', pattern: { String: from }, content });
const normalizer = (json: object) => normalizerOf(componentAt(json, 'normalizer')!, 'normalizer');

it('steps that double a text are stopped before they fill the memory', () => {
  const doubling = normalizer({ type: 'Sequence', normalizers: Array(40).fill(replace('a', 'aa')) });
  expect(() => doubling('xa')).toThrow(/^normalizer.*makes \d+ characters of a text of \d+, which is beyond the limit/);
  expect(doubling('xb')).toBe('xb');
});

it('one step that puts much in place of little is, too', () => {
  const long = normalizer(replace('a', 'b'.repeat(10_000)));
  expect(long('xa')).toHaveLength(10_001);
  expect(() => long(`x${'a'.repeat(1000)}`)).toThrow(/^normalizer \(Replace\): makes \d+ characters of a text of 1001/);
});
