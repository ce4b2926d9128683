/**
 * What do int8 and NF4 weights bring on this processor? Products alone, a LoRA step and prediction
 * against our own fp32 and, where there is one, bf16; prediction against onnxruntime-node's dynamic
 * int8, one text against all peers. Peak memory of a process that trains is beside the step.
 * What the forms are: docs/quantised-weights.md. Products of fp32 and bf16 against the world:
 * linear.ts.
 *
 *   npm run bench:weights -- [--quick] [--json FILE] [--model NAME]
 */
import type { BaseWeights } from '../src/graph/base_weights';
import { native } from '../src/native';
import { equalBatches, randomBatches, type TokenBatch, tokensOf } from './lib/batches';
import { ROBERTA_SHAPES } from './lib/linear_layer';
import { LinearOps } from './lib/linear_ops';
import { main } from './lib/main';
import { geometricMean, type Interleaved, interleave } from './lib/measure';
import { ALL_LINEARS, adapterFolder, configOfModel, type ModelName, modelFolder } from './lib/models';
import { onnxFolder, onnxInt8Folder } from './lib/onnx';
import { ourBf16Missing, peerPrecisions } from './lib/precision';
import type { LoadArguments } from './lib/protocol';
import { milliseconds } from './lib/report';
import { type Benchmark, type Figure, isMissing, type Missing, type Section } from './lib/result';
import { openOurs, openTorch, predictBatches, type Side, startNodePeer, trainSteps, tunePeer } from './lib/sides';

/** With these tokens ten shapes. */
const SHAPES = ROBERTA_SHAPES.slice(0, 5);
const TOKENS = [256, 1024];
const FORMS = ['fp32', 'int8', 'nf4'] as const satisfies readonly BaseWeights[];
/** As in bench:linear. */
const PAUSE = 60;
const BATCH = 32;
/** Tokens of one text. */
const SHORT = 24;
/** Repeated within a turn: one text takes little. */
const SINGLES = 8;

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

type OurForm = Pick<LoadArguments, 'precision' | 'baseWeights' | 'embeddingWeights'>;

/** Our sides: fp32 first, bf16 where the processor has it. */
function oursOf(what: ModelRow['what'], bf16: boolean): [string, OurForm][] {
  const forms: [string, OurForm][] = FORMS.map((form) => [form, { baseWeights: form }]);
  if (what === 'step') forms.push(['int8, embeddings too', { baseWeights: 'int8', embeddingWeights: 'int8' }]);
  if (bf16) forms.push(['bf16', { precision: 'bf16' }]);
  return forms;
}

interface ModelRow {
  what: 'step' | 'prediction' | 'one text';
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

/** Peers of a prediction; PyTorch takes part where all precisions are compared. */
async function openPeers(what: ModelRow['what'], model: ModelName, batches: readonly TokenBatch[]) {
  const opened: [string, Side | Missing][] = [];
  if (what === 'step') return opened;
  for (const [name, folder] of [
    ['onnxruntime-node fp32', onnxFolder(model)],
    ['onnxruntime-node int8', onnxInt8Folder(model)],
  ] as const)
    opened.push([name, await onnxSide(name, folder, model, batches)]);
  if (what === 'prediction') return opened;
  for (const precision of peerPrecisions()) {
    const loading = { folder: modelFolder(model), method: 'predict', precision } as const;
    opened.push([`PyTorch ${precision}`, await openTorch(loading, batches)]);
  }
  return opened;
}

async function measureModel(what: ModelRow['what'], model: ModelName, count: number, rounds: number, quick: boolean) {
  const single = what === 'one text';
  const batches = single ? equalBatches(model, SINGLES, 1, SHORT) : randomBatches(model, count, BATCH);
  const steps = batches.map((_, i) => i);
  const sides = new Map<string, Side>();
  const ours = oursOf(what, (await ourBf16Missing()) === undefined);
  for (const [name, form] of ours) {
    const folder = modelFolder(model);
    const lora = { method: 'lora', adapter: adapterFolder(model, ALL_LINEARS) } as const;
    const loading = { folder, ...form, ...(what === 'step' ? lora : ({ method: 'predict' } as const)) };
    sides.set(name, await openOurs(loading, batches));
  }
  const peers: Record<string, unknown> = {};
  for (const [name, side] of await openPeers(what, model, batches)) {
    if (isMissing(side)) peers[name] = side;
    else {
      peers[name] = await tunePeer(side, () => predictBatches(side, single ? steps : steps.slice(0, 1)), quick);
      sides.set(name, side);
    }
  }
  const run = (side: Side) => (what === 'step' ? trainSteps(side, steps) : predictBatches(side, steps));
  const turns = Object.fromEntries(
    [...sides].map(([name, side]) => [name, async () => (await run(side)).seconds / tokensOf(batches)]),
  );
  const timings = await interleave(turns, { rounds, pause: PAUSE });
  const peak: Record<string, number> = {};
  for (const [name, { child }] of sides) {
    if (ours.some(([own]) => own === name)) peak[name] = await child.call<number>('peakBytes');
    child.close();
  }
  return { row: { what, timings, peak } satisfies ModelRow, peers };
}

function modelTable(model: ModelName, { what, timings, peak }: ModelRow): Section {
  return {
    title:
      what === 'one text'
        ? `prediction of ${model}, one text of ${SHORT} tokens`
        : `${what} of ${model}, batches of ${BATCH} of SST-2's lengths in random order`,
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

/** Time of our fastest form over that of the fastest peer; one that is missing could be it. */
function fastestOver({ timings, peak }: ModelRow, peers: Readonly<Record<string, unknown>>): Figure {
  const absent = Object.entries(peers).find(([, settings]) => isMissing(settings));
  if (absent) return { missing: `${absent[0]}: ${(absent[1] as Missing).missing}` };
  const ratios = (own: boolean) =>
    Object.entries(timings).flatMap(([name, { ratio }]) => (name in peak === own ? [ratio] : []));
  return Math.min(...ratios(true)) / Math.min(...ratios(false));
}

export const benchmark: Benchmark = {
  name: 'weights',
  question: 'What do int8 and NF4 weights bring: products, LoRA steps, prediction and memory?',
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
    const single = await measureModel('one text', model, 1, turns, quick);
    const noBf16 = await ourBf16Missing();
    const over = (slow: string, fast: string, { timings }: ModelRow): Figure => {
      const [one, other] = [timings[slow], timings[fast]];
      if (one && other) return one.ratio / other.ratio;
      return { missing: slow === 'bf16' ? (noBf16 as string) : 'a peer is missing (npm run bench:peers)' };
    };
    const peakOver = (form: BaseWeights): Figure => {
      const { [form]: own, bf16 } = step.row.peak;
      return own && bf16 ? own / bf16 : { missing: noBf16 as string };
    };
    return {
      peers: { isa: native().info().isa, ...prediction.peers, 'one text': single.peers },
      figures: {
        'weights.int8ProductOverFp32': speed('int8'),
        'weights.nf4ProductOverFp32': speed('nf4'),
        'weights.int8StepOverFp32': over('fp32', 'int8', step.row),
        'weights.int8StepOverBf16': over('bf16', 'int8', step.row),
        'weights.int8StepPeakOverBf16': peakOver('int8'),
        'weights.nf4StepPeakOverBf16': peakOver('nf4'),
        'weights.int8PredictionOverOnnxInt8': over('onnxruntime-node int8', 'int8', prediction.row),
        'weights.int8PredictionOverBf16': over('bf16', 'int8', prediction.row),
        'weights.oneTextOverFastest': fastestOver(single.row, single.peers),
      },
      sections: [productTable(products), ...[step, prediction, single].map(({ row }) => modelTable(model, row))],
      rows: [...products, step.row, prediction.row, single.row],
    };
  },
};

if (require.main === module) main(benchmark);
