/** How many kernels a training step launches (count_launches.ts says of what). */
import { describeEmulated, runEmulated } from './emulated';

describeEmulated('launches of a step', () => {
  it('at most 220 at the lengths of SST-2', async () => {
    const { code, stdout, stderr } = await runEmulated('test/cuda/count_launches.ts', [], { fault: 'noKernels' });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const counted = JSON.parse(stdout) as Record<'tokens' | 'forward' | 'accumulate' | 'apply' | 'step', number>;
    expect(counted.tokens).toBe(425);
    expect(counted.step).toBeLessThanOrEqual(220);
    expect(counted.step).toBeGreaterThan(150);
  }, 120_000);
});
