import { main } from '../../examples/kernels_alone';

it('the kernels by themselves: both forms agree, gradients are right, an update is learnt, times are measured', async () => {
  const lines: string[] = [];
  const { forwardDifference, gradientError, learnt, seconds } = await main((line) => lines.push(line));
  expect(forwardDifference).toBeLessThan(1e-6);
  expect(gradientError).toBeLessThan(1e-4);
  expect(learnt.first).toBeGreaterThan(0.1);
  expect(learnt.last).toBeLessThan(learnt.first / 1000);
  expect(seconds.fused).toBeGreaterThan(0);
  expect(seconds.separate).toBeGreaterThan(0);
  expect(lines).toHaveLength(4);
});
