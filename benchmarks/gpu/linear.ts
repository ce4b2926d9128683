/**
 * bench:gpu, one linear layer: the fused op against the five ops of a layer without fusion, own
 * kernels on both sides; beside them the bare product, cuBLASLt's, PyTorch's, PEFT eager and
 * compiled. What is fused is held against what is separate before it is timed.
 * Our side runs through linear_ops.ts, PyTorch's in peers/torch_gpu_linear.py.
 */
import type { Child } from '../lib/child';
import { SCALING } from '../lib/linear_layer';
import { interleave, type Timing } from '../lib/measure';
import { type Figure, isMissing, type Missing, type Section } from '../lib/result';
import { startPython } from '../lib/sides';
import { GpuLayer } from './linear_ops';

interface Shape {
  tokens: number;
  inputs: number;
  outputs: number;
  rank: number;
}

const shape = (tokens: number, inputs: number, outputs: number, rank: number): Shape => ({
  tokens,
  inputs,
  outputs,
  rank,
});

/** RoBERTa-base's and -large's layers; 425 tokens are SST-2 at batch 32. */
const SHAPES: Shape[] = [
  ...[425, 8192, 32768].flatMap((tokens) => [
    shape(tokens, 768, 768, 16),
    shape(tokens, 768, 2304, 16),
    shape(tokens, 768, 3072, 16),
    shape(tokens, 3072, 768, 16),
  ]),
  shape(8192, 1024, 1024, 16),
  shape(8192, 1024, 4096, 16),
  shape(8192, 4096, 1024, 16),
  shape(32768, 768, 768, 64),
];
const QUICK: Shape[] = [shape(425, 768, 768, 16), shape(8192, 768, 768, 16)];
/** Where the kernels run on the CPU: whether it runs. */
const TINY: Shape[] = [shape(24, 32, 48, 8)];

/** Our sides; the first is what ratios are to. */
const OURS = { 'fused-lora': 'fused', separate: 'separate', bare: 'bare' } as const;

type Precision = 'fp32' | 'bf16';
export interface LinearRow {
  shape: Shape;
  precision: Precision;
  /** Median seconds by side; ratios are to our fused op. */
  forward: Record<string, Timing & { ratio: number }>;
  both: Record<string, Timing & { ratio: number }>;
  /** Of fused and separate, of what rounding allows; absent where ours did not run. */
  agreement?: number;
  missing: Record<string, string>;
}

export interface LinearResult {
  peers: Record<string, unknown>;
  rows: LinearRow[];
  sections: Section[];
  figures: Record<string, Figure>;
}

interface PeerTimes {
  forward: number;
  backward: number;
}

async function measureShape(
  at: Shape,
  precision: Precision,
  peer: Child | Missing,
  { rounds, compile }: { rounds: number; compile: boolean },
): Promise<LinearRow> {
  const missing: Record<string, string> = {};
  const layer = new GpuLayer(at.tokens, at.inputs, at.outputs, at.rank, precision);
  const forward: Record<string, () => Promise<number>> = {};
  const both: Record<string, () => Promise<number>> = {};
  const unsupported = await layer.whyNot();
  let agreement: number | undefined;
  if (unsupported === undefined) {
    const { worst, fault } = await layer.disagreement();
    if (fault !== undefined) throw new Error(`${title(at)} ${precision}: ${fault}`);
    agreement = worst;
    for (const [name, how] of Object.entries(OURS)) {
      forward[name] = () => layer.time(how, 'forward');
      both[name] = () => layer.time(how, 'both');
    }
  } else {
    missing['fused-lora'] = unsupported;
  }
  if (isMissing(peer)) {
    missing['peers'] = peer.missing;
  } else {
    const { tokens, inputs, outputs, rank } = at;
    const prepared = await peer.call<{ cublaslt: string | null }>('prepare', {
      ...{ tokens, inputs, outputs, rank, scaling: SCALING, precision, compile },
    });
    if (prepared.cublaslt === null) forward['cuBLASLt bare'] = async () => (await peer.call('product')) as number;
    else missing['cuBLASLt bare'] = prepared.cublaslt;
    const sides = { torch: 'PyTorch bare', peft: 'PEFT eager', ...(compile && { compiled: 'PEFT torch.compile' }) };
    for (const [name, side] of Object.entries(sides)) {
      const run = () => peer.call<PeerTimes>('layer', { name });
      forward[side] = async () => (await run()).forward;
      both[side] = async () => {
        const times = await run();
        return times.forward + times.backward;
      };
    }
  }
  const options = { rounds, warmup: 3 };
  const timed = {
    forward: Object.keys(forward).length > 0 ? await interleave(forward, options) : {},
    both: Object.keys(both).length > 0 ? await interleave(both, options) : {},
  };
  layer.dispose();
  return { shape: at, precision, missing, ...timed, ...(agreement !== undefined && { agreement }) };
}

const title = ({ tokens, inputs, outputs, rank }: Shape) => `${tokens} × ${inputs} → ${outputs}, r = ${rank}`;
const microseconds = (seconds: number) => (seconds * 1e6).toFixed(1);

function section(rows: readonly LinearRow[], pass: 'forward' | 'both'): Section {
  const lines = rows.flatMap((row) =>
    Object.entries(row[pass]).map(([side, { median, p10, p90, ratio }]) => [
      `${title(row.shape)} ${row.precision}: ${side}`,
      ratio.toFixed(2),
      `${microseconds(median)} [${microseconds(p10)} ${microseconds(p90)}]`,
      (
        (2 * row.shape.tokens * row.shape.inputs * row.shape.outputs * (pass === 'both' ? 2 : 1)) /
        median /
        1e12
      ).toFixed(1),
    ]),
  );
  return {
    title: `linear layer, ${pass === 'both' ? 'forward and backward' : 'forward'}`,
    note: "ratio: time over fused-lora's, median of rounds; µs [p10 p90] between CUDA events, L2 flushed; TFLOP/s of the base product",
    header: ['side', 'ratio', 'µs', 'TFLOP/s'],
    rows: lines,
  };
}

const geomean = (values: readonly number[]) =>
  Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);

/** By name; with a reason where it was not measured. */
export function linearFigures(rows: readonly LinearRow[]): Record<string, Figure> {
  const over = (precision: Precision, pass: 'forward' | 'both', side: string): Figure => {
    const ratios = rows.flatMap((row) => {
      const ratio = row.precision === precision ? row[pass][side]?.ratio : undefined;
      return ratio === undefined ? [] : [ratio];
    });
    if (ratios.length > 0) return geomean(ratios);
    const reasons = rows.flatMap((row) => {
      const { missing } = row;
      const reason = missing['fused-lora'] ?? missing[side] ?? missing['peers'];
      return row.precision === precision && reason !== undefined ? [reason] : [];
    });
    return { missing: reasons[0] ?? 'not run' };
  };
  const result: Record<string, Figure> = {};
  for (const precision of ['fp32', 'bf16'] as const) {
    result[`gpu.linear.${precision}.peftEagerOverFused`] = over(precision, 'both', 'PEFT eager');
    result[`gpu.linear.${precision}.compiledOverFused`] = over(precision, 'both', 'PEFT torch.compile');
    result[`gpu.linear.${precision}.separateOverFused`] = over(precision, 'both', 'separate');
    result[`gpu.linear.${precision}.forwardSeparateOverFused`] = over(precision, 'forward', 'separate');
    // What the adapter costs over our own product without one.
    result[`gpu.linear.${precision}.forwardOfBare`] = over(precision, 'forward', 'bare');
    // The bare product's time over ours: 1 where the adapter is free.
    result[`gpu.linear.${precision}.forwardOfCublasLt`] = over(precision, 'forward', 'cuBLASLt bare');
  }
  return result;
}

export async function benchLinear(options: { quick: boolean; emulated: boolean }): Promise<LinearResult> {
  let peer = startPython('torch_gpu_linear.py', 'PyTorch');
  let peers: Record<string, unknown> = {};
  if (!isMissing(peer)) {
    try {
      peers = await peer.call('info');
    } catch (error) {
      const [first = ''] = (error as Error).message.trim().split('\n').slice(-1);
      peer = { missing: first };
    }
  }
  const rows: LinearRow[] = [];
  const shapes = options.emulated ? TINY : options.quick ? QUICK : SHAPES;
  for (const precision of ['bf16', 'fp32'] as const) {
    for (const at of shapes) {
      const rounds = options.emulated ? 2 : options.quick ? 7 : 15;
      rows.push(await measureShape(at, precision, peer, { rounds, compile: !options.quick && at.tokens > 425 }));
    }
  }
  return { peers, rows, sections: [section(rows, 'forward'), section(rows, 'both')], figures: linearFigures(rows) };
}
