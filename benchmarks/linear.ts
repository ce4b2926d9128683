/**
 * What does LoRA cost on one Linear layer? Fused (one op) against separate (linear, down, scale, up, add: what a LoRA layer
 * without fusion runs) against the bare linear layer; forward and backward. Random data; times are the ops' own, taken
 * natively, so that calls through JavaScript count for neither side.
 *
 *   npm run bench:linear -- [--device cpu|cuda] [--quick] [--json FILE]
 */
import { parseArgs } from 'node:util';
import { type NativeParameter, native } from '../src/native';
import { geometricMean, interleave } from './lib/measure';
import { milliseconds, printTable, writeJson } from './lib/report';

const { values: options } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const backend = options.device;

/** [in, out] of RoBERTa-base's and -large's Linear layers. */
const SHAPES = [
  [768, 768],
  [768, 3072],
  [3072, 768],
  [1024, 1024],
  [1024, 4096],
  [4096, 1024],
] as const;
const TOKENS = options.quick ? [512] : [256, 1024, 4096];
const RANKS = options.quick ? [8] : [1, 8, 16, 64];
const ROUNDS = options.quick ? 9 : 15;
const SCALING = 2;

function tensor(shape: number[], random: () => number): NativeParameter {
  const parameter = new (native().Parameter)(backend, 'tensor', shape, 'f32');
  const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  for (let i = 0; i < values.length; i++) values[i] = random();
  parameter.write('value', values);
  return parameter;
}

/** A small generator: the values only have to be ordinary numbers. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}

const step = { seed: 0n, forwardNumber: 0, lossScale: 1 };

/** Seconds of a sequence of ops. */
async function time(...ops: [string, (NativeParameter | undefined)[], NativeParameter[], Record<string, number>?][]) {
  let seconds = 0;
  for (const [op, inputs, outputs, attributes = {}] of ops) {
    seconds += await native().runOp(backend, op, inputs, outputs, attributes, step);
  }
  return seconds;
}

async function measure(T: number, K: number, N: number, r: number) {
  const random = generator(T * 31 + K * 7 + N * 3 + r);
  const make = (...shape: number[]) => tensor(shape, random);
  const [x, W, b, A, B] = [make(T, K), make(N, K), make(N), make(r, K), make(N, r)];
  const [y, u, z, dy] = [make(T, N), make(T, r), make(T, N), make(T, N)];
  const [dx, dxLora, v, dA, dB] = [make(T, K), make(T, K), make(T, r), make(r, K), make(N, r)];
  const scaling = { scaling: SCALING };
  const factor = { factor: SCALING };

  const forward = await interleave(
    {
      base: () => time(['linear', [x, W, b], [y]]),
      fused: () => time(['loraLinear', [x, W, b, A, B], [y, u], scaling]),
      separate: () =>
        time(
          ['linear', [x, W, b], [y]],
          ['linear', [x, A], [u]],
          ['scale', [u], [u], factor],
          ['linear', [u, B], [z]],
          ['add', [y, z], [y]],
        ),
    },
    ROUNDS,
  );
  const backward = await interleave(
    {
      base: () => time(['linearBackwardInput', [dy, W], [dx]]),
      fused: () => time(['loraLinearBackward', [dy, x, u, W, A, B], [dx, dA, dB], scaling]),
      separate: () =>
        time(
          ['linearBackwardInput', [dy, W], [dx]],
          ['linearBackwardInput', [dy, B], [v]],
          ['scale', [v], [v], factor],
          ['linearBackwardInput', [v, A], [dxLora]],
          ['add', [dx, dxLora], [dx]],
          ['linearBackwardWeight', [v, x], [dA]],
          ['linearBackwardWeight', [dy, u], [dB]],
        ),
    },
    ROUNDS,
  );
  for (const t of [x, W, b, A, B, y, u, z, dy, dx, dxLora, v, dA, dB]) t.dispose();
  return { forward, backward };
}

async function main() {
  const rows: { T: number; K: number; N: number; r: number; result: Awaited<ReturnType<typeof measure>> }[] = [];
  for (const [K, N] of SHAPES) {
    for (const T of TOKENS) for (const r of RANKS) rows.push({ T, K, N, r, result: await measure(T, K, N, r) });
  }
  for (const pass of ['forward', 'backward'] as const) {
    console.log(`\n${pass}: ratios of medians first; ms; GFLOP/s of the bare product`);
    printTable(
      [
        'tokens,in,out r',
        'separate/fused',
        'fused/base',
        'base ms [p10 p90]',
        'fused ms',
        'separate ms',
        'base GFLOP/s',
      ],
      rows.map(({ T, K, N, r, result }) => {
        const { base, fused, separate } = result[pass];
        return [
          `${T},${K},${N} r${r}`,
          (separate.ratio / fused.ratio).toFixed(3),
          fused.ratio.toFixed(3),
          `${milliseconds(base.median)} [${milliseconds(base.p10)} ${milliseconds(base.p90)}]`,
          milliseconds(fused.median),
          milliseconds(separate.median),
          ((2 * T * K * N) / base.median / 1e9).toFixed(0),
        ];
      }),
    );
    const ratio = (f: (row: (typeof rows)[number]) => number) => geometricMean(rows.map(f)).toFixed(3);
    console.log(
      `geometric mean over ${rows.length} shapes: separate/fused ${ratio((row) => row.result[pass].separate.ratio / row.result[pass].fused.ratio)}, ` +
        `fused/base ${ratio((row) => row.result[pass].fused.ratio)}`,
    );
  }
  writeJson(options.json, 'linear', backend, rows);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
