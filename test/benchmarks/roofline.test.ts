/**
 * docs/roofline.md is what benchmarks/gpu/roofline.ts makes, and its formulas are what they say.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  EXAMPLES,
  GPUS,
  type Gpu,
  HELD_KERNELS,
  KERNELS,
  modelled,
  rooflinePage,
  type Sizes,
} from '../../benchmarks/gpu/roofline';

test('docs/roofline.md is made of the formulas', () => {
  expect(fs.readFileSync(path.join(__dirname, '..', '..', 'docs', 'roofline.md'), 'utf8')).toBe(rooflinePage());
});

/** A formula of the page at these sizes. */
function evaluate(formula: string, s: Sizes): number {
  const values: Record<string, number> = { T: s.tokens, H: s.hidden, I: s.inner, r: s.rank };
  const product = (text: string): number =>
    text.split(' ').reduce((sum, factor) => {
      if (factor === 'Σ') return sum;
      if (factor === 'L²') return sum * s.sentences * (s.tokens / s.sentences) ** 2;
      const squared = factor.endsWith('²');
      const name = squared ? factor.slice(0, -1) : factor;
      const value = values[name] ?? Number(name);
      return sum * (squared ? value * value : value);
    }, 1);
  const terms = (text: string): number => text.split(' + ').reduce((sum, term) => sum + product(term), 0);
  return terms(formula.replace(/\(([^)]+)\)/, (_, inner: string) => String(terms(inner))));
}

test.each([...KERNELS, ...HELD_KERNELS].map((kernel) => [kernel.name, kernel] as const))(
  '%s: the code counts as the page says',
  (_, kernel) => {
    for (const s of [...EXAMPLES, { tokens: 30, sentences: 3, hidden: 7, inner: 11, rank: 2, layers: 4 }]) {
      expect(kernel.bytes(s)).toBeCloseTo(evaluate(kernel.formulas.bytes, s), 3);
      expect(kernel.flops(s)).toBeCloseTo(evaluate(kernel.formulas.flops, s), 3);
    }
  },
);

test('a time is the longer of bytes and operations', () => {
  const gpu: Gpu = { name: 'one', bf16: 10, fp32: 1, int8: 20, bandwidth: 5 };
  const kernel = { ...(KERNELS[0] as (typeof KERNELS)[number]), bytes: () => 20, flops: () => 30 };
  const [s] = EXAMPLES as [Sizes];
  expect(modelled({ ...kernel, units: 'bf16' }, s, gpu)).toEqual({ seconds: 4, bound: 'memory' });
  expect(modelled({ ...kernel, units: 'fp32' }, s, gpu)).toEqual({ seconds: 30, bound: 'arithmetic' });
  expect(GPUS.map(({ name }) => name)).toEqual(['A100 80 GB SXM', 'H100 SXM', 'H200 SXM']);
});
