/**
 * What does LoRA cost on one Linear layer? Fused (one op) against separate (linear, down, scale,
 * up, add: what a LoRA layer without fusion runs), the bare linear layer, and PyTorch + PEFT eager
 * and compiled; and the product alone against oneDNN, MKL, OpenBLAS and the peak.
 * Our ops: lib/linear_ops.ts. PyTorch's side: peers/torch_linear.py.
 *
 * In bf16 PyTorch's layers run under autocast; its products and
 * oneDNN's take and give bf16, ours fp32 that it rounds itself.
 *
 *   npm run bench:linear -- [--device cpu|cuda] [--precision fp32|bf16] [--quick] [--json FILE]
 */
import type { Precision } from '../src/graph/precision';
import { native } from '../src/native';
import type { Child } from './lib/child';
import { ROBERTA_SHAPES, SCALING } from './lib/linear_layer';
import { LinearOps, type Passes } from './lib/linear_ops';
import { main } from './lib/main';
import { compareSamples, geometricMean, type Interleaved, interleave, warmed } from './lib/measure';
import { measurePeak } from './lib/peak';
import { milliseconds, percent } from './lib/report';
import { type Benchmark, type BenchmarkOptions, type Figure, isMissing, type Section } from './lib/result';
import { startPython, tuneThreads } from './lib/sides';

/** What products alone are measured on, with PRODUCT_TOKENS: fifteen shapes. */
const PRODUCT_SHAPES = ROBERTA_SHAPES.slice(0, 5);
const PRODUCT_TOKENS = [256, 1024, 4096];
/** ms: threads of the side before go to sleep, which with PyTorch's takes up to 30 ms. */
const PAUSE = 60;

interface Settings {
  shapes: (readonly [K: number, N: number])[];
  tokens: number[];
  ranks: number[];
  rounds: number;
  productTokens: number[];
  productRounds: number;
  /** The peers' products to take turns with. */
  products: string[];
  /** What a layer is measured with beside bare and fused; peft: PyTorch's bare layer too. */
  layers: ('separate' | 'peft')[];
  /** torch.compile takes long to compile: one rank and one number of tokens. */
  compiled: { tokens: number; rank: number } | undefined;
}
const ALL_PRODUCTS = { fp32: ['onednn', 'torch', 'openblas'], bf16: ['onednn', 'torch'] };

function settingsOf({ quick, targets }: BenchmarkOptions): Settings {
  const all = quick
    ? {
        shapes: ROBERTA_SHAPES.slice(0, 4),
        tokens: [512],
        ranks: [8, 64],
        rounds: 5,
        productTokens: PRODUCT_TOKENS.slice(0, 2),
        productRounds: 4,
        compiled: undefined,
      }
    : {
        shapes: [...ROBERTA_SHAPES],
        tokens: [256, 1024, 4096],
        ranks: [1, 8, 16, 64],
        rounds: 15,
        productTokens: PRODUCT_TOKENS,
        productRounds: 11,
        compiled: { tokens: 1024, rank: 8 },
      };
  if (!targets) return { ...all, products: ALL_PRODUCTS[precision], layers: ['separate', 'peft'] };
  // In bf16 no figure to reach is about layers.
  const ranks = precision === 'bf16' ? [] : [8, 64];
  return { ...all, ranks, rounds: quick ? 5 : 9, products: ['onednn'], layers: [], compiled: undefined };
}

/** Taken off the command line here: the other benchmarks have no such option. */
function takePrecision(): Precision {
  const at = process.argv.indexOf('--precision');
  if (at < 0) return 'fp32';
  const [, value] = process.argv.splice(at, 2);
  if (value === 'fp32') return value;
  if (value !== 'bf16') throw new Error(`--precision ${value}: it must be fp32 or bf16`);
  if (!native().info().bf16) throw new Error('--precision bf16: this CPU has no AVX512_BF16');
  return value;
}
const precision = require.main === module ? takePrecision() : 'fp32';

const PASSES = ['forward', 'backward', 'both'] as const;
type Side = 'base' | 'fused' | 'separate' | 'torch' | 'peft' | 'compiled';
interface Row {
  T: number;
  K: number;
  N: number;
  r: number;
  passes: Record<(typeof PASSES)[number], Partial<Interleaved<Side>>>;
}
interface ProductRow {
  T: number;
  K: number;
  N: number;
  timings: Interleaved<string>;
  /** FLOP/s in the same run. */
  peak: number;
}

/**
 * Our ops and PEFT's layer on the same small values: y, dx, dA
 * and dB must agree. @returns the largest relative difference.
 */
async function checkAgainst(peer: Child): Promise<number> {
  const [T, K, N, r] = [24, 40, 56, 4];
  const ops = new LinearOps('cpu', T, K, N, r);
  const { x, W, b, A, B, dy, y, dx, dA, dB } = ops.operands;
  for (const gradient of [dA, dB]) gradient.write('value', new Float32Array(gradient.read('value').length));
  await ops.fused();
  const rows = (flat: Float32Array, columns: number) =>
    Array.from({ length: flat.length / columns }, (_, i) => [...flat.slice(i * columns, (i + 1) * columns)]);
  const theirs = await peer.call<Record<string, number[]>>('check', {
    x: rows(x.read('value'), K),
    weight: rows(W.read('value'), K),
    bias: [...b.read('value')],
    a: rows(A.read('value'), K),
    b: rows(B.read('value'), r),
    dy: rows(dy.read('value'), N),
    scaling: SCALING,
  });
  let largest = 0;
  for (const [name, tensor] of Object.entries({ y, dx, dA, dB })) {
    const ours = tensor.read('value');
    const scale = Math.max(...ours.map(Math.abs));
    ours.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - (theirs[name]?.[i] ?? Number.NaN)) / scale);
    });
    if (!(largest < 1e-4))
      throw new Error(`${name} differs between fused-lora and PEFT by ${largest} of its largest entry`);
  }
  ops.dispose();
  return largest;
}

async function measureLayer(
  backend: string,
  precision: Precision,
  [T, K, N, r]: [number, number, number, number],
  peer: Child | undefined,
  { rounds, layers, compiled }: Settings,
): Promise<Row> {
  const ops = new LinearOps(backend, T, K, N, r, precision);
  const sides: Partial<Record<Side, () => Promise<Passes>>> = {
    base: warmed(() => ops.base()),
    fused: warmed(() => ops.fused()),
  };
  if (layers.includes('separate')) sides.separate = warmed(() => ops.separate());
  const withPeer = peer !== undefined && layers.includes('peft');
  if (withPeer) {
    const compile = T === compiled?.tokens && r === compiled.rank;
    await peer.call('prepare', { tokens: T, inputs: K, outputs: N, rank: r, scaling: SCALING, compile, precision });
    sides.torch = warmed(() => peer.call<Passes>('layer', { name: 'base' }));
    sides.peft = warmed(() => peer.call<Passes>('layer', { name: 'peft' }));
    if (compile) sides.compiled = warmed(() => peer.call<Passes>('layer', { name: 'compiled' }));
  }
  const samples = () => Object.fromEntries(Object.keys(sides).map((side): [string, number[]] => [side, []]));
  const parts = { forward: samples(), backward: samples() };
  const turns = Object.fromEntries(
    Object.entries(sides).map(([side, run]) => [
      side,
      async () => {
        const { forward, backward } = await run();
        parts.forward[side]?.push(forward);
        parts.backward[side]?.push(backward);
        return forward + backward;
      },
    ]),
  );
  const both = await interleave(turns, { rounds, pause: withPeer ? PAUSE : 0 });
  ops.dispose();
  const counted = (part: Record<string, number[]>) =>
    compareSamples(Object.fromEntries(Object.entries(part).map(([side, all]) => [side, all.slice(-rounds)])));
  return { T, K, N, r, passes: { forward: counted(parts.forward), backward: counted(parts.backward), both } };
}

async function measureProduct(
  precision: Precision,
  [T, K, N]: [number, number, number],
  peer: Child | undefined,
  { productRounds: rounds, products }: Settings,
) {
  const ops = new LinearOps('cpu', T, K, N, 1, precision);
  const peaks: number[] = [];
  const { threads } = native().info();
  const turns: Record<string, () => Promise<number>> = { 'fused-lora': warmed(() => ops.product()) };
  if (peer) {
    await peer.call('prepare', { tokens: T, inputs: K, outputs: N, rank: 0, scaling: 1, precision });
    for (const name of products) turns[name] = warmed(() => peer.call<number>('product', { name }));
  }
  // As the time that the product would take at the peak: its ratio is the share, round by round.
  turns['peak'] = async () => {
    const peak = measurePeak(precision === 'bf16' ? 'bf16' : 'f32', threads, 0.05) as number;
    peaks.push(peak);
    return (2 * T * K * N) / peak;
  };
  const timings = await interleave(turns, { rounds, pause: PAUSE });
  ops.dispose();
  peaks.sort((a, b) => a - b);
  return { T, K, N, timings, peak: peaks[Math.floor(peaks.length / 2)] as number };
}

const NAMES: Record<Side, string> = {
  base: 'bare',
  fused: 'fused',
  separate: 'separate',
  torch: 'PyTorch bare',
  peft: 'PEFT eager',
  compiled: 'PEFT compiled',
};

function layerTable(precision: Precision, pass: (typeof PASSES)[number], rows: readonly Row[]): Section {
  const sides = (Object.keys(NAMES) as Side[]).filter((side) => rows.some(({ passes }) => passes[pass][side]));
  const others = sides.filter((side) => side !== 'base' && side !== 'fused');
  const ratio = (row: Row, over: Side, under: Side) => {
    const [a, b] = [row.passes[pass][over], row.passes[pass][under]];
    return a && b ? a.ratio / b.ratio : undefined;
  };
  const mean = (over: Side, under: Side) => {
    const ratios = rows.map((row) => ratio(row, over, under)).filter((value) => value !== undefined);
    return ratios.length > 0 ? geometricMean(ratios).toFixed(3) : '';
  };
  const number = (value: number | undefined) => value?.toFixed(3) ?? '';
  return {
    title: `LoRA on one Linear layer, ${pass === 'both' ? 'forward + backward' : pass}, ${precision}`,
    note: 'ratios of times (median of rounds), then ms; backward: dx, dA, dB (bare: dx)',
    header: [
      'tokens,in,out r',
      'fused/bare',
      ...others.map((side) => `${NAMES[side]}/fused`),
      'bare ms [p10 p90]',
      ...sides.slice(1).map((side) => `${NAMES[side]} ms`),
    ],
    rows: [
      ...rows.map((row) => {
        const timings = row.passes[pass];
        const { base } = timings;
        return [
          `${row.T},${row.K},${row.N} r${row.r}`,
          number(ratio(row, 'fused', 'base')),
          ...others.map((side) => number(ratio(row, side, 'fused'))),
          base ? `${milliseconds(base.median)} [${milliseconds(base.p10)} ${milliseconds(base.p90)}]` : '',
          ...sides.slice(1).map((side) => (timings[side] ? milliseconds(timings[side].median) : '')),
        ];
      }),
      ['geometric mean', mean('fused', 'base'), ...others.map((side) => mean(side, 'fused')), ...sides.map(() => '')],
    ],
    plot: {
      kind: 'bars',
      unit: 'time over the bare layer',
      series: sides
        .filter((side) => side !== 'base' && side !== 'compiled')
        .map((side) => ({
          name: NAMES[side],
          points: rows.map((row) => ({
            x: `${row.T},${row.K},${row.N} r${row.r}`,
            y: row.passes[pass][side]?.ratio ?? 0,
          })),
        })),
    },
  };
}

const flopsOf = ({ T, K, N }: { T: number; K: number; N: number }) => 2 * T * K * N;
const shareOf = (row: ProductRow) => row.timings['peak']?.ratio ?? Number.NaN;

function productTable(precision: Precision, rows: readonly ProductRow[]): Section {
  const sides = Object.keys(rows[0]?.timings ?? {}).filter((side) => side !== 'peak');
  const others = sides.slice(1);
  const rate = (row: ProductRow, side: string) => flopsOf(row) / (row.timings[side]?.median ?? Number.NaN) / 1e9;
  const over = (row: ProductRow, side: string) => row.timings[side]?.ratio ?? Number.NaN;
  return {
    title: `the product alone, ${precision}, weights packed beforehand (${precision === 'bf16' ? 'torch' : 'OpenBLAS and torch'}: as stored)`,
    note:
      'speed of fused-lora over each peer, share of the peak measured in the same run, GFLOP/s; torch: F.linear' +
      (precision === 'bf16' ? '; peers take and give bf16, fused-lora fp32' : ' (MKL)'),
    header: [
      'tokens,in,out',
      ...others.map((side) => `over ${side}`),
      'share of peak',
      ...sides.map((side) => `${side} GFLOP/s`),
    ],
    rows: [
      ...rows.map((row) => [
        `${row.T},${row.K},${row.N}`,
        ...others.map((side) => over(row, side).toFixed(3)),
        percent(shareOf(row)),
        ...sides.map((side) => rate(row, side).toFixed(0)),
      ]),
      [
        'geometric mean',
        ...others.map((side) => geometricMean(rows.map((row) => over(row, side))).toFixed(3)),
        percent(geometricMean(rows.map(shareOf))),
        ...sides.map((side) => geometricMean(rows.map((row) => rate(row, side))).toFixed(0)),
      ],
    ],
    plot: {
      kind: 'bars',
      unit: 'GFLOP/s',
      series: sides.map((side) => ({
        name: side,
        points: rows.map((row) => ({ x: `${row.T},${row.K},${row.N}`, y: rate(row, side) })),
      })),
    },
  };
}

function figuresOf(
  precision: Precision,
  rows: readonly Row[],
  products: readonly ProductRow[],
): Record<string, Figure> {
  const share = geometricMean(products.map(shareOf));
  const overOnednn: Figure = products.every(({ timings }) => timings['onednn'])
    ? geometricMean(products.map(({ timings }) => timings['onednn']?.ratio ?? Number.NaN))
    : { missing: 'no oneDNN (npm run bench:peers)' };
  if (precision === 'bf16') return { 'linear.productShareBf16': share, 'linear.productOverOnednnBf16': overOnednn };
  const overBase = (pass: 'forward' | 'backward', ranks: (r: number) => boolean) =>
    geometricMean(rows.filter(({ r }) => ranks(r)).map(({ passes }) => passes[pass].fused?.ratio ?? Number.NaN));
  const small = (r: number) => r <= 16;
  const large = (r: number) => r === 64;
  return {
    'linear.productShareFp32': share,
    'linear.productShareBf16': native().info().bf16
      ? { missing: 'measured by --precision bf16' }
      : { missing: 'no AVX512_BF16' },
    'linear.productOverOnednn': overOnednn,
    'linear.forwardOverBase.smallRank': overBase('forward', small),
    'linear.forwardOverBase.rank64': overBase('forward', large),
    'linear.backwardOverBase.smallRank': overBase('backward', small),
    'linear.backwardOverBase.rank64': overBase('backward', large),
  };
}

async function openPeer({ device, quick }: BenchmarkOptions, { layers }: Settings) {
  const peer = device === 'cpu' ? startPython('torch_linear.py', 'PyTorch') : { missing: 'measured on cpu only' };
  if (isMissing(peer)) return { peer: undefined, facts: peer };
  const difference = await checkAgainst(peer);
  await peer.call('prepare', { tokens: 512, inputs: 768, outputs: 768, rank: 8, scaling: SCALING, precision });
  const tuned = await tuneThreads(
    peer,
    async () => {
      if (!layers.includes('peft')) return peer.call<number>('product', { name: 'onednn' });
      const { forward, backward } = await peer.call<Passes>('layer', { name: 'peft' });
      return forward + backward;
    },
    quick,
  );
  return { peer, facts: { ...(await peer.call<object>('info')), ...tuned, largestDifference: difference } };
}

export const benchmark: Benchmark = {
  name: 'linear',
  question: 'What does LoRA cost on one Linear layer, fused, separate and in PEFT, and how fast is the product alone?',
  async run(options) {
    const { device } = options;
    const settings = settingsOf(options);
    const { peer, facts } = await openPeer(options, settings);
    const products: ProductRow[] = [];
    if (device === 'cpu') {
      for (const T of settings.productTokens) {
        for (const [K, N] of PRODUCT_SHAPES) products.push(await measureProduct(precision, [T, K, N], peer, settings));
      }
    }
    const rows: Row[] = [];
    for (const [K, N] of settings.shapes) {
      for (const T of settings.tokens) {
        for (const r of settings.ranks) rows.push(await measureLayer(device, precision, [T, K, N, r], peer, settings));
      }
    }
    return {
      peers: { PyTorch: facts },
      figures: device === 'cpu' ? figuresOf(precision, rows, products) : {},
      sections: [
        ...(products.length > 0 ? [productTable(precision, products)] : []),
        ...(rows.length > 0 ? PASSES.map((pass) => layerTable(precision, pass, rows)) : []),
      ],
      rows: [...products, ...rows],
    };
  },
};

if (require.main === module) main(benchmark);
