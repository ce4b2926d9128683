/**
 * Logits, loss and every gradient against transformers +
 * PEFT (float64), by DESIGN's tolerance rule.
 */
import type { BackendName } from '../../src/graph/parameter';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { peftNameOf } from '../../src/lora';
import { trace } from '../../src/nn';
import {
  expectedLogits,
  loadCase,
  lossOptionsOf,
  type OracleCase,
  onCuda,
  oracleCases,
  readBatch,
  readExpected,
} from './cases';

/**
 * max|g − g*| ≤ bound · max(max|g*|, 1e-3 · G), G the largest gradient entry of the model: a key
 * bias has a gradient of exactly zero, so a plain relative bound is meaningless.
 */
const BOUND = { f32: 1e-4, f64: 1e-9 } as const;

const maxAbs = (values: ArrayLike<number>) => {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
};

function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

async function check(oracle: OracleCase, backend: BackendName, compute: 'f32' | 'f64', fused: boolean) {
  const model = loadCase(oracle);
  const graph = trace(model, { training: false, loss: true, lossOptions: lossOptionsOf(oracle) });
  using program = new Program(plan(graph, { train: true, fused }), { backend, compute });
  const batch = readBatch(oracle.batch!, model, compute);
  const expected = readExpected(oracle.expected);
  await program.accumulate(batch, { zeroGradients: true });
  const bound = BOUND[compute];

  const logits = expectedLogits(expected, model, batch.rowIndex);
  expect(maxDifference(program.read('logits'), logits)).toBeLessThanOrEqual(bound * Math.max(1, maxAbs(logits)));
  const loss = expected.get('loss')![0]!;
  expect(Math.abs(program.scalar('loss') - loss)).toBeLessThanOrEqual(bound * Math.max(1, Math.abs(loss)));

  const gradients = [...expected].filter(([name]) => name.startsWith('grad.'));
  const most = Math.max(...gradients.map(([, g]) => maxAbs(g)));
  const got = new Map(
    program.plan.trained.map((p) => [oracle.mode === 'lora' ? peftNameOf(p.name) : p.name, program.gradient(p)]),
  );
  expect([...got.keys()].sort()).toEqual(gradients.map(([name]) => name.slice('grad.'.length)).sort());
  for (const [name, want] of gradients) {
    const difference = maxDifference(got.get(name.slice('grad.'.length))!, want);
    const allowed = bound * Math.max(maxAbs(want), 1e-3 * most);
    if (!(difference <= allowed))
      throw new Error(`${oracle.name}: ${name} differs by ${difference}, allowed ${allowed}`);
  }
}

const gradientCases = oracleCases.filter((c) => c.kind === 'gradients');

describe.each(gradientCases.map((c) => [c.name, c] as const))('%s', (_, oracle) => {
  it('reference in float64', () => check(oracle, 'reference', 'f64', true));
  it('reference in float64, separate ops', () => check(oracle, 'reference', 'f64', false));
  it('cpu', () => check(oracle, 'cpu', 'f32', true));
  it('cpu, separate ops', () => check(oracle, 'cpu', 'f32', false));
  onCuda('cuda', () => check(oracle, 'cuda', 'f32', true));
  onCuda('cuda, separate ops', () => check(oracle, 'cuda', 'f32', false));
});
