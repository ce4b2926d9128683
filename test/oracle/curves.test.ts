/**
 * 100 training steps against transformers + PEFT: loss,
 * gradient norm and learning rate of every step.
 */
import type { BackendName } from '../../src/graph/parameter';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { peftNameOf } from '../../src/lora';
import { trace } from '../../src/nn';
import { groupParameters } from '../../src/train/parameter_groups';
import { scheduleFactor } from '../../src/train/schedule';
import {
  loadCase,
  lossOptionsOf,
  type OracleCase,
  onCuda,
  oracleCases,
  readBatches,
  readExpected,
  readJson,
} from './cases';

async function followsTheCurve(oracle: OracleCase, backend: BackendName) {
  const model = loadCase(oracle);
  const graph = trace(model, { training: false, loss: true, lossOptions: lossOptionsOf(oracle) });
  using program = new Program(plan(graph, { train: true }), { backend });
  const curve = readJson<{ loss: number[]; gradNorm: number[]; learningRate: number[] }>(oracle.expected);
  const { lr, betas, eps, weightDecay, warmupSteps, steps, maxGradNorm } = oracle.optimizer!;
  const { groups, groupOf } = groupParameters(program.plan.trained, {
    learningRate: lr,
    beta1: betas[0],
    beta2: betas[1],
    eps,
    weightDecay,
  });
  const batches = readBatches(oracle.batches!, model);
  expect(batches).toHaveLength(steps);
  for (const [step, batch] of batches.entries()) {
    await program.accumulate(batch, { zeroGradients: true });
    expect(Math.abs(program.scalar('loss') - curve.loss[step]!)).toBeLessThan(1e-3);
    const factor = scheduleFactor({ schedule: 'linear', warmupSteps }, step, steps);
    expect(lr * factor).toBeCloseTo(curve.learningRate[step]!, 12);
    const { applied, gradientNorm } = await program.apply({
      groups: groups.map((g) => ({ ...g, learningRate: g.learningRate * factor })),
      groupOf: (p) => groupOf.get(p)!,
      step: step + 1,
      maxGradNorm,
    });
    expect(applied).toBe(true);
    expect(Math.abs(gradientNorm - curve.gradNorm[step]!)).toBeLessThan(1e-3 * Math.max(1, curve.gradNorm[step]!));
  }
  if (!oracle.final) return;
  const final = readExpected(oracle.final);
  for (const parameter of program.plan.trained) {
    const want = final.get(peftNameOf(parameter.name))!;
    const got = parameter.data();
    for (let i = 0; i < got.length; i++) expect(Math.abs(got[i]! - want[i]!)).toBeLessThan(1e-3);
  }
}

describe.each(oracleCases.filter((c) => c.kind === 'curve').map((c) => [c.name, c] as const))('%s', (_, oracle) => {
  it('follows the loss curve within 1e-3', () => followsTheCurve(oracle, 'cpu'));
  onCuda('follows the loss curve within 1e-3 on cuda', () => followsTheCurve(oracle, 'cuda'));
});
