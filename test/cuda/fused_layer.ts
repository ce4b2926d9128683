/**
 * What bench:gpu --only linear times, at small sizes: y, dx, dA and dB of the fused layer against
 * those of its five ops. A line of JSON a size; fused_layer.test.ts reads them.
 */
import { GpuLayer } from '../../benchmarks/gpu/linear_ops';

const SIZES = [
  [24, 32, 48, 8],
  [70, 72, 40, 16],
  [33, 36, 20, 5],
] as const;

async function main(): Promise<void> {
  const precisions = process.argv.includes('--bf16') ? (['bf16'] as const) : (['bf16', 'fp32'] as const);
  for (const precision of precisions) {
    for (const size of SIZES) {
      const [tokens, inputs, outputs, rank] = size;
      const layer = new GpuLayer(tokens, inputs, outputs, rank, precision);
      console.log(JSON.stringify({ size, precision, why: await layer.whyNot(), ...(await layer.disagreement()) }));
      layer.dispose();
    }
  }
}

main();
