/**
 * What do int8 and NF4 weights bring on this processor? Products alone, a LoRA step and prediction
 * against our own fp32; prediction against onnxruntime-node's dynamic int8 too. Peak memory of a
 * process that trains is beside the step.
 * What the forms are: docs/quantised-weights.md. Products of fp32 and bf16 against the world:
 * linear.ts.
 *
 *   npm run bench:weights -- [--quick] [--json FILE] [--model NAME]
 */
import type { BaseWeights } from '../src/graph/base_weights';
import { native } from '../src/native';
import { randomBatches, tokensOf } from './lib/batches';
import { ROBERTA_SHAPES } from './lib/linear_layer';
import { LinearOps } from './lib/linear_ops';
import { main } from './lib/main';
import { geometricMean, type Interleaved, interleave } from './lib/measure';
import { ALL_LINEARS, adapterFolder, configOfModel, type ModelName, modelFolder } from './lib/models';
import { onnxFolder, onnxInt8Folder } from './lib/onnx';
import { milliseconds } from './lib/report';
import { type Benchmark, type Figure, isMissing, type Missing, type Section } from './lib/result';
import { openOurs, predictBatches, type Side, startNodePeer, trainSteps, tunePeer } from './lib/sides';

/** With these tokens ten shapes. */
const SHAPES = ROBERTA_SHAPES.slice(0, 5);
const TOKENS = [256, 1024];
const FORMS = ['fp32', 'int8', 'nf4'] as const satisfies readonly BaseWeights[];
/** As in bench:linear. */
const PAUSE = 60;
const BATCH = 32;

interface ProductRow {
  T: number;
  K: number;
  N: number;
  forward: Interleaved<BaseWeights>;
  backward: Interleaved<BaseWeights>;
}

/** x Wᵀ and dy W, rows quantised in the time; weights were before. */
async function measureProduct(T: number, K: number, N: number, rounds: number): Promise<ProductRow> {
  const ops = new LinearOps('cpu', T, K, N, 1);
  const side = (form: BaseWeights, pass: 'forward' | 'backward') => async () => {
    await ops.base(form);
    return (await ops.base(form))[pass];
  };
  const sides = (pass: 'forward' | 'backward') =>
    Object.fromEntries(FORMS.map((form) => [form, side(form, pass)])) as Record<BaseWeights, () => Promise<number>>;
  try {
    const forward = await interleave(sides('forward'), { rounds });
    return { T, K, N, forward, backward: await interleave(sides('backward'), { rounds }) };
  } finally {
    ops.dispose();
  }
}

function productTable(rows: readonly ProductRow[]): Section {
  const line = ({ T, K, N, ...passes }: ProductRow) =>
    (['forward', 'backward'] as const).map((pass) => [
      `${T} × ${K} → ${N} ${pass}`,
      ...FORMS.map((form) => milliseconds(passes[pass][form].median)),
      ...FORMS.slice(1).map((form) => (1 / passes[pass][form].ratio).toFixed(2)),
    ]);
  return {
    title: 'products with a frozen weight',
    note: 'time in ms, and how many times as fast as fp32 (median of rounds in turns); quantising x and dy is in it',
    header: ['shape', ...FORMS, ...FORMS.slice(1).map((form) => `${form} over fp32`)],
    rows: rows.flatMap(line),
  };
}

interface ModelRow {
  what: 'step' | 'prediction';
  timings: Interleaved<string>;
  /** Peak resident bytes of each process of ours. */
  peak: Record<string, number>;
}

async function onnxSide(
  name: string,
  folder: string | Missing,
  model: ModelName,
  batches: Parameters<typeof openOurs>[1],
) {
  const child = isMissing(folder) ? folder : startNodePeer('onnxruntime_peer.mjs', name);
  if (isMissing(child)) return child;
  await child.call('load', { folder, pad: configOfModel(model).pad_token_id });
  await child.call('batches', { batches });
  return { child, loaded: { parameters: 0, learnable: 0, seconds: 0 } } satisfies Side;
}

async function measureModel(what: ModelRow['what'], model: ModelName, count: number, rounds: number, quick: boolean) {
  const batches = randomBatches(model, count, BATCH);
  const steps = batches.map((_, i) => i);
  const sides = new Map<string, Side>();
  for (const form of FORMS) {
    const folder = modelFolder(model);
    const lora = { method: 'lora', adapter: adapterFolder(model, ALL_LINEARS) } as const;
    const loading = { folder, baseWeights: form, ...(what === 'step' ? lora : ({ method: 'predict' } as const)) };
    sides.set(form, await openOurs(loading, batches));
  }
  const peers: Record<string, unknown> = {};
  if (what === 'prediction') {
    for (const [name, folder] of [
      ['onnxruntime-node fp32', onnxFolder(model)],
      ['onnxruntime-node int8', onnxInt8Folder(model)],
    ] as const) {
      const side = await onnxSide(name, folder, model, batches);
      if (isMissing(side)) peers[name] = side;
      else {
        peers[name] = await tunePeer(side, () => predictBatches(side, steps.slice(0, 1)), quick);
        sides.set(name, side);
      }
    }
  }
  const run = (side: Side) => (what === 'step' ? trainSteps(side, steps) : predictBatches(side, steps));
  const turns = Object.fromEntries(
    [...sides].map(([name, side]) => [name, async () => (await run(side)).seconds / tokensOf(batches)]),
  );
  const timings = await interleave(turns, { rounds, pause: PAUSE });
  const peak: Record<string, number> = {};
  for (const [name, { child }] of sides) {
    if (name in Object.fromEntries(FORMS.map((form) => [form, 0]))) peak[name] = await child.call<number>('peakBytes');
    child.close();
  }
  return { row: { what, timings, peak } satisfies ModelRow, peers };
}

function modelTable(model: ModelName, { what, timings, peak }: ModelRow): Section {
  return {
    title: `${what} of ${model}, batches of ${BATCH} of SST-2's lengths in random order`,
    note: `ratio: time over that of fp32, median of rounds in turns${what === 'step' ? '; LoRA r = 8 on all Linear layers' : ''}`,
    header: ['side', 'ratio', 'µs a token [p10 p90]', 'peak of the process, MB'],
    rows: Object.entries(timings).map(([side, { ratio, median, p10, p90 }]) => [
      side,
      ratio.toFixed(2),
      `${(1e6 * median).toFixed(1)} [${(1e6 * p10).toFixed(1)} ${(1e6 * p90).toFixed(1)}]`,
      side in peak ? ((peak[side] as number) / 1e6).toFixed(0) : '',
    ]),
  };
}

export const benchmark: Benchmark = {
  name: 'weights',
  question: 'What do int8 and NF4 weights bring: products, LoRA steps, prediction and memory?',
  alone: true,
  async run({ quick, model = quick ? 'minilm' : 'roberta-base' }) {
    const rounds = quick ? 5 : 11;
    const products: ProductRow[] = [];
    for (const T of quick ? TOKENS.slice(0, 1) : TOKENS)
      for (const [K, N] of SHAPES) products.push(await measureProduct(T, K, N, rounds));
    const [count, turns] = quick ? [2, 3] : [4, 7];
    const step = await measureModel('step', model, count, turns, quick);
    const prediction = await measureModel('prediction', model, count, turns, quick);
    const passes = products.flatMap(({ forward, backward }) => [forward, backward]);
    const speed = (form: BaseWeights) => 1 / geometricMean(passes.map((timings) => timings[form].ratio));
    const onnx = prediction.row.timings['onnxruntime-node int8'];
    const int8 = prediction.row.timings['int8'];
    const overOnnx: Figure =
      onnx && int8 ? onnx.ratio / int8.ratio : { missing: 'no onnxruntime-node (npm run bench:peers)' };
    return {
      peers: { isa: native().info().isa, ...prediction.peers },
      figures: {
        'weights.int8ProductOverFp32': speed('int8'),
        'weights.nf4ProductOverFp32': speed('nf4'),
        'weights.int8PredictionOverOnnxInt8': overOnnx,
      },
      sections: [productTable(products), modelTable(model, step.row), modelTable(model, prediction.row)],
      rows: [...products, step.row, prediction.row],
    };
  },
};

if (require.main === module) main(benchmark);
