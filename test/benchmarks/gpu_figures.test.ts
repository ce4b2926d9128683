/**
 * The figures of bench:gpu from what was timed: each one that is to be reached is there, as a
 * number or with the reason why not.
 */
import { type HopperRow, hopperFigures, hopperSection } from '../../benchmarks/gpu/hopper';
import { type LinearRow, linearFigures } from '../../benchmarks/gpu/linear';
import { type StepRow, stepFigures } from '../../benchmarks/gpu/step';
import { GPU_TARGETS, targetSection } from '../../benchmarks/gpu/targets';

const timing = (median: number, ratio = 1) => ({ median, p10: median, p90: median, ratio });

const layers: LinearRow[] = (['fp32', 'bf16'] as const).flatMap((precision) =>
  [2, 8].map((eager) => ({
    shape: { tokens: 425, inputs: 768, outputs: 768, rank: 16 },
    precision,
    forward: {
      'fused-lora': timing(1),
      separate: timing(1.25, 1.25),
      bare: timing(0.95, 0.95),
      'cuBLASLt bare': timing(0.9, 0.9),
    },
    both: {
      'fused-lora': timing(1),
      separate: timing(1.5, 1.5),
      'PEFT eager': timing(eager, eager),
      'PEFT torch.compile': timing(3, 3),
    },
    missing: {},
  })),
);

const step: StepRow = {
  model: 'roberta-base',
  group: 'random batches (425 tokens a batch)',
  timings: {
    'fused-lora': timing(0.001),
    'fused-lora, fp32': timing(0.002),
    'fused-lora, graphs off': timing(0.0015),
    'fused-lora, separate ops': timing(0.0012),
    'fused-lora, full fine-tuning': timing(0.0016),
    'HF Trainer + PEFT': timing(0.02),
    'HF Trainer + PEFT, torch.compile': timing(0.006),
    'PyTorch loop + PEFT, torch.compile + graphs': timing(0.004),
  },
  peakBytes: { 'fused-lora': 5e8, 'HF Trainer + PEFT': 1e9 },
  graphsDifference: 0,
};

test('from timings: ratios to ours, the fastest of the compiled sides, the geometric mean over shapes', () => {
  const figures = { ...linearFigures(layers), ...stepFigures([step], {}) };
  expect(figures).toMatchObject({
    'gpu.linear.bf16.peftEagerOverFused': expect.closeTo(4),
    'gpu.linear.bf16.compiledOverFused': expect.closeTo(3),
    'gpu.linear.bf16.separateOverFused': expect.closeTo(1.5),
    'gpu.linear.bf16.forwardSeparateOverFused': expect.closeTo(1.25),
    'gpu.linear.bf16.forwardOfBare': expect.closeTo(0.95),
    'gpu.linear.bf16.forwardOfCublasLt': expect.closeTo(0.9),
    'gpu.linear.fp32.peftEagerOverFused': expect.closeTo(4),
    'gpu.step.milliseconds': expect.closeTo(1),
    'gpu.step.trainerOverFused': expect.closeTo(20),
    'gpu.step.compiledBestOverFused': expect.closeTo(4),
    'gpu.step.fullOverLora': expect.closeTo(1.6),
    'gpu.step.graphsOffOverGraphs': expect.closeTo(1.5),
    'gpu.step.separateOverFused': expect.closeTo(1.2),
    'gpu.step.fp32OverBf16': expect.closeTo(2),
    'gpu.step.memoryOfPeft': expect.closeTo(0.5),
  });
  expect(targetSection(figures, ['linear', 'step']).note).toBe(
    '5 of 5 met (4 of them the stretch bound), 0 not met, 0 not measured',
  );
});

test('without peers and without a GPU: every figure to reach has a reason', () => {
  const figures = { ...linearFigures([]), ...stepFigures([], { 'fused-lora': 'no GPU' }), ...hopperFigures([]) };
  for (const { figure } of GPU_TARGETS) expect(figures[figure]).toEqual({ missing: expect.any(String) });
  expect(figures['gpu.step.trainerOverFused']).toEqual({ missing: 'no GPU' });
  const { rows } = targetSection(figures, ['step']);
  expect(rows).toHaveLength(4);
  expect(rows[0]?.at(-1)).toBe('not measured: no GPU');
});

describe('the kernels for compute capability 9.0', () => {
  const row = (
    shape: [number, number, number],
    tile: string,
    rank: number,
    u: HopperRow['u'],
    seconds: number,
  ): HopperRow => {
    const [rows, depth, cols] = shape;
    return {
      rows,
      cols,
      depth,
      layout: 'forward',
      tile,
      u,
      rank,
      seconds,
      modelled: 50e-6,
      ofCublasLt: 50e-6 / seconds,
    };
  };
  const square: [number, number, number] = [8192, 768, 768];
  const rows = [
    row(square, 'cuBLASLt', 0, 'none', 50e-6),
    row(square, 'broad', 0, 'none', 50e-6),
    row(square, 'small', 0, 'none', 100e-6),
    row(square, 'broad', 16, 'columns', 62.5e-6),
    row([8192, 768, 3072], 'broad', 16, 'memory', 100e-6),
    row([8192, 768, 3072], 'wide', 16, 'memory', 55e-6),
  ];

  test('figures take the fastest tile of each shape, shares of cuBLASLt and of the roofline are there', () => {
    expect(hopperFigures(rows)).toEqual({
      'gpu.hopper.productOfCublasLt': expect.closeTo(1),
      'gpu.hopper.forwardSquareOfCublasLt': expect.closeTo(0.8),
      'gpu.hopper.forwardWideOfCublasLt': expect.closeTo(50 / 55),
      'gpu.hopper.forwardRank64OfCublasLt': { missing: 'cuBLASLt was not there' },
    });
    const section = hopperSection(rows);
    expect(section.rows).toHaveLength(3);
    // 2 · 8192 · 768 · 3072 FLOP at 790 TFLOP/s are 48.9 µs.
    expect(section.rows.at(-1)).toEqual([
      '8192 × 768 → 3072 forward',
      '16, memory',
      'wide',
      '90.9 %',
      '89.0 %',
      '90.9 %',
      '55.0',
    ]);
    expect(targetSection(hopperFigures(rows), ['hopper']).rows).toHaveLength(4);
  });
});
