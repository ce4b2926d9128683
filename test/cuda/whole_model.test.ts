/**
 * The checks of whole models on a GPU (test/gpu), on small models with the kernels run on the CPU.
 */
import { describeEmulated, runEmulated } from './emulated';

describeEmulated('whole models', () => {
  it('gradients, training, determinism, graphs, threads', async () => {
    const args = ['--small', '--runs', '12', '--steps', '5'];
    const { code, stdout, stderr } = await runEmulated('test/gpu/whole_model.ts', args);
    expect(stderr).toBe('');
    expect(stdout).not.toMatch(/FAILED/);
    expect(code).toBe(0);
    for (const line of stdout.split('\n').filter((text) => text.startsWith('skipped'))) console.log(line);
    expect(stdout).toMatch(/^15 passed, 0 failed$/m);
  }, 600_000);

  it('says that it skipped where there is no GPU', async () => {
    const { code, stdout } = await runEmulated('test/gpu/whole_model.ts', [], { fault: 'noDriver' });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^skipped: there is no NVIDIA driver/);
    expect(stdout).toMatch(/^0 passed, 0 failed$/m);
  });
});
