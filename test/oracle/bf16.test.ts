/**
 * Precision bf16 against float64, by DESIGN's rule: the relative RMS error of logits at most 2
 * times, of each gradient at most 3 times that of PyTorch's bf16 autocast on the same values
 * (bf16.json, which says how it is measured).
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
  readJson,
} from './cases';

const autocast = readJson<{ cases: Record<string, { logits: number; gradients: Record<string, number> }> }>(
  'bf16.json',
);

const rms = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);

function relativeRms(values: ArrayLike<number>, truth: ArrayLike<number>, floor: number): number {
  expect(values.length).toBe(truth.length);
  const errors = Array.from(values, (x, i) => x - truth[i]!);
  return rms(errors) / Math.max(rms(truth), floor);
}

async function check(oracle: OracleCase, backend: BackendName, fused: boolean) {
  const theirs = autocast.cases[oracle.name]!;
  const model = loadCase(oracle);
  const graph = trace(model, { training: false, loss: true, lossOptions: lossOptionsOf(oracle) });
  using program = new Program(plan(graph, { train: true, fused, precision: 'bf16' }), { backend });
  const batch = readBatch(oracle.batch!, model, 'f32');
  const expected = readExpected(oracle.expected);
  await program.accumulate(batch, { zeroGradients: true });

  const logits = relativeRms(program.read('logits'), expectedLogits(expected, model, batch.rowIndex), 0);
  if (!(logits <= 2 * theirs.logits)) throw new Error(`logits: ${logits}, autocast ${theirs.logits}`);
  const truth = (name: string) => expected.get(`grad.${name}`)!;
  const floor = 1e-3 * Math.max(...Object.keys(theirs.gradients).map((name) => rms(truth(name))));
  const names = new Set<string>();
  for (const parameter of program.plan.trained) {
    const name = oracle.mode === 'lora' ? peftNameOf(parameter.name) : parameter.name;
    names.add(name);
    const ours = relativeRms(program.gradient(parameter), truth(name), floor);
    const bound = 3 * theirs.gradients[name]!;
    if (!(ours <= bound)) throw new Error(`${name}: ${ours}, autocast ${theirs.gradients[name]}`);
  }
  expect([...names].sort()).toEqual(Object.keys(theirs.gradients).sort());
}

const gradientCases = oracleCases.filter((c) => c.kind === 'gradients');

it('has figures of every case', () => {
  expect(Object.keys(autocast.cases).sort()).toEqual(gradientCases.map((c) => c.name).sort());
});

describe.each(gradientCases.map((c) => [c.name, c] as const))('%s in bf16', (_, oracle) => {
  it('reference', () => check(oracle, 'reference', true));
  it('cpu', () => check(oracle, 'cpu', true));
  it('cpu, separate ops', () => check(oracle, 'cpu', false));
  onCuda('cuda', () => check(oracle, 'cuda', true));
  onCuda('cuda, separate ops', () => check(oracle, 'cuda', false));
});
