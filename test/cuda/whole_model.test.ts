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
    expect(stdout).toMatch(/^19 passed, 0 failed$/m);
  }, 600_000);

  it('gradients by the kernels for compute capability 9.0, where they are asked for', async () => {
    const args = ['--small', '--precision', 'bf16', '--only', 'gradients'];
    const sm90a = { fault: 'capability=90', env: { FUSED_LORA_CUDA_PATH: 'sm90a' } };
    const { code, stdout, stderr } = await runEmulated('test/gpu/whole_model.ts', args, sm90a);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^1 passed, 0 failed$/m);
  }, 300_000);

  it('a path that this GPU does not have, or that does not exist, is told when a program is built', async () => {
    const run = (path: string) =>
      runEmulated('test/gpu/whole_model.ts', ['--small', '--precision', 'bf16', '--only', 'gradients'], {
        env: { FUSED_LORA_CUDA_PATH: path },
      });
    const [old, unknown] = await Promise.all([run('sm90a'), run('sm90')]);
    expect(old.stderr).toContain("FUSED_LORA_CUDA_PATH is 'sm90a', whose kernels need a GPU of compute capability 9.0");
    expect(unknown.stderr).toContain("FUSED_LORA_CUDA_PATH is 'sm90', expected portable or sm90a");
    expect([old.code, unknown.code]).toEqual([1, 1]);
  }, 60_000);

  it('says that it skipped where there is no GPU', async () => {
    const { code, stdout } = await runEmulated('test/gpu/whole_model.ts', [], { fault: 'noDriver' });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^skipped: there is no NVIDIA driver/);
    expect(stdout).toMatch(/^0 passed, 0 failed$/m);
  });
});
