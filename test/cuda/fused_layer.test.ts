/** The layer that bench:gpu times is right both ways, by both kinds of kernels (fused_layer.ts). */
import { describeEmulated, runEmulated } from './emulated';

describeEmulated('a fused layer against its five ops', () => {
  it.each([
    ['portable kernels', '', {}, [], 6],
    ['kernels for compute capability 9.0', 'capability=90', { FUSED_LORA_CUDA_PATH: 'sm90a' }, ['--bf16'], 3],
  ])(
    '%s',
    async (_, fault, env, args, count) => {
      const { code, stdout, stderr } = await runEmulated('test/cuda/fused_layer.ts', args, { fault, env });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { worst: number; fault?: string; why?: string });
      expect(lines).toHaveLength(count);
      for (const { worst, fault: found, why } of lines) {
        expect({ found, why }).toEqual({ found: undefined, why: undefined });
        expect(worst).toBeGreaterThanOrEqual(0);
      }
    },
    120_000,
  );
});
