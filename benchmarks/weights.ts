/**
 * What do int8 and NF4 weights bring on this processor? Products alone, a LoRA step and prediction
 * against our own fp32 and, where there is one, bf16; products against oneDNN's int8, a step
 * against PyTorch + PEFT, prediction against onnxruntime-node's dynamic int8, one text against all
 * peers. Peak memory of a process that trains is beside the step. What the forms are:
 * docs/quantised-weights.md. Products of fp32 and bf16 against the world: linear.ts.
 *
 *   npm run bench:weights -- [--quick] [--json FILE] [--model NAME]
 */
import type { BaseWeights } from '../src/graph/base_weights';
import { native } from '../src/native';
import { equalBatches, randomBatches, type TokenBatch, tokensOf } from './lib/batches';
import type { Child } from './lib/child';
import { ROBERTA_SHAPES } from './lib/linear_layer';
import { LinearOps } from './lib/linear_ops';
import { main } from './lib/main';
import { geometricMean, type Interleaved, interleave, warmed } from './lib/measure';
import { ALL_LINEARS, adapterFolder, configOfModel, type ModelName, modelFolder } from './lib/models';
import { onnxFolder, onnxInt8Folder } from './lib/onnx';
import { ourBf16Missing, peerPrecisions } from './lib/precision';
import type { LoadArguments } from './lib/protocol';
import { milliseconds } from './lib/report';
import { type Benchmark, type Figure, isMissing, type Missing, type Section } from './lib/result';
import {
  openOurs,
  openTorch,
  predictBatches,
  type Side,
  startNodePeer,
  startPython,
  trainSteps,
  tunePeer,
  tuneThreads,
} from './lib/sides';

/** With these tokens ten shapes. */
const SHAPES = ROBERTA_SHAPES.slice(0, 5);
const TOKENS = [256, 1024];
const FORMS = ['fp32', 'int8', 'nf4'] as const satisfies readonly BaseWeights[];
const ONEDNN = 'oneDNN int8';
const INT8_BF16 = 'int8, adapter in bf16';
const NF4_BF16 = 'nf4 to bf16';
/** As in bench:linear. */
const PAUSE = 60;
const BATCH = 32;
/** Tokens of one text. */
const SHORT = 24;
/** Repeated within a turn: one text takes little. */
const SINGLES = 8;
/** A step that no side pads. */
const EQUAL = { sentences: 16, tokens: 32 };

interface ProductRow {
  T: number;
  K: number;
  N: number;
  forward: Interleaved<string>;
  backward: Interleaved<string>;
}

/**
 * x Wᵀ and dy W, rows quantised in the time; weights were before.
 * @param bf16 whether there is such a side.
 * @param onednn of x Wᵀ alone: its int8 has no gradient.
 */
async function measureProduct(
  [T, K, N]: readonly [number, number, number],
  rounds: number,
  bf16: boolean,
  onednn: Child | undefined,
): Promise<ProductRow> {
  const ops = new LinearOps('cpu', T, K, N, 1);
  const rounded = bf16 ? new LinearOps('cpu', T, K, N, 1, 'bf16') : undefined;
  const sides = (pass: 'forward' | 'backward') => {
    const ours = FORMS.map((form) => [form, warmed(async () => (await ops.base(form))[pass])] as const);
    const all: Record<string, () => Promise<number>> = Object.fromEntries(ours);
    if (rounded) all['bf16'] = warmed(async () => (await rounded.base())[pass]);
    if (onednn && pass === 'forward') all[ONEDNN] = warmed(() => onednn.call<number>('product', { name: 'onednn' }));
    return all;
  };
  try {
    await onednn?.call('prepare', { tokens: T, inputs: K, outputs: N, rank: 0, scaling: 1, precision: 'int8' });
    const forward = await interleave(sides('forward'), { rounds, pause: onednn ? PAUSE : 0 });
    return { T, K, N, forward, backward: await interleave(sides('backward'), { rounds }) };
  } finally {
    ops.dispose();
    rounded?.dispose();
  }
}

/** PyTorch's oneDNN, with its fastest number of threads. */
async function openOnednn(quick: boolean): Promise<Child | Missing> {
  const peer = startPython('torch_linear.py', 'oneDNN');
  if (isMissing(peer)) return peer;
  await peer.call('prepare', { tokens: 512, inputs: 768, outputs: 768, rank: 0, scaling: 1, precision: 'int8' });
  await tuneThreads(peer, () => peer.call<number>('product', { name: 'onednn' }), quick);
  return peer;
}

function productTable(rows: readonly ProductRow[]): Section {
  const others = Object.keys(rows[0]?.forward ?? {}).filter((side) => side !== 'fp32' && side !== 'int8');
  const line = ({ T, K, N, ...passes }: ProductRow) =>
    (['forward', 'backward'] as const).map((pass) => {
      const timings = passes[pass];
      const ratio = (side: string) => timings[side]?.ratio ?? Number.NaN;
      const shown = (text: number) => (Number.isNaN(text) ? '' : text.toFixed(2));
      return [
        `${T} × ${K} → ${N} ${pass}`,
        ...['fp32', 'int8', ...others].map((side) => (timings[side] ? milliseconds(timings[side].median) : '')),
        ...['fp32', ...others].map((side) => shown(ratio(side) / ratio('int8'))),
      ];
    });
  return {
    title: 'products with a frozen weight',
    note: `time in ms, and how many times as fast int8 is; quantising x and dy is in it, also in ${ONEDNN}`,
    header: ['shape', 'fp32', 'int8', ...others, ...['fp32', ...others].map((side) => `over ${side}`)],
    rows: rows.flatMap(line),
  };
}

type OurForm = Pick<LoadArguments, 'precision' | 'baseWeights' | 'embeddingWeights'>;

/** Our sides: fp32 first, bf16 where the processor has it. */
function oursOf(what: ModelRow['what'], bf16: boolean): [string, OurForm][] {
  const forms: [string, OurForm][] = FORMS.map((form) => [form, { baseWeights: form }]);
  if (what === 'step') forms.push(['int8, embeddings too', { baseWeights: 'int8', embeddingWeights: 'int8' }]);
  if (!bf16) return forms;
  // Products of int8 do not depend on the precision, all else does; NF4 is expanded to it.
  const rounded: [string, OurForm][] = [
    ['bf16', { precision: 'bf16' }],
    [INT8_BF16, { precision: 'bf16', baseWeights: 'int8' }],
    [NF4_BF16, { precision: 'bf16', baseWeights: 'nf4' }],
  ];
  return what === 'equal step' ? [...forms.slice(0, 2), ...rounded.slice(0, 2)] : [...forms, ...rounded];
}

interface ModelRow {
  what: 'step' | 'equal step' | 'prediction' | 'one text';
  timings: Interleaved<string>;
  /** Peak resident bytes of each process of ours. */
  peak: Record<string, number>;
}

/** LoRA r = 8 on all Linear layers. */
const adapted = (model: ModelName) =>
  ({ folder: modelFolder(model), method: 'lora', adapter: adapterFolder(model, ALL_LINEARS) }) as const;

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

/** PyTorch takes part in steps that need no padding, and where all precisions are compared. */
async function openPeers(what: ModelRow['what'], model: ModelName, batches: readonly TokenBatch[]) {
  const opened: [string, Side | Missing][] = [];
  if (what === 'step') return opened;
  if (what === 'equal step') {
    for (const precision of peerPrecisions())
      opened.push([`PyTorch + PEFT ${precision}`, await openTorch({ ...adapted(model), precision }, batches)]);
    return opened;
  }
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
  const training = what === 'step' || what === 'equal step';
  const batches = single
    ? equalBatches(model, SINGLES, 1, SHORT)
    : what === 'equal step'
      ? equalBatches(model, count, EQUAL.sentences, EQUAL.tokens)
      : randomBatches(model, count, BATCH);
  const steps = batches.map((_, i) => i);
  const sides = new Map<string, Side>();
  const ours = oursOf(what, (await ourBf16Missing()) === undefined);
  for (const [name, form] of ours) {
    const base = training ? adapted(model) : ({ folder: modelFolder(model), method: 'predict' } as const);
    sides.set(name, await openOurs({ ...base, ...form }, batches));
  }
  const run = (side: Side, of = steps) => (training ? trainSteps(side, of) : predictBatches(side, of));
  const peers: Record<string, unknown> = {};
  for (const [name, side] of await openPeers(what, model, batches)) {
    if (isMissing(side)) peers[name] = side;
    else {
      peers[name] = await tunePeer(side, () => run(side, single ? steps : steps.slice(0, 1)), quick);
      sides.set(name, side);
    }
  }
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

const TITLES: Record<ModelRow['what'], string> = {
  step: `step, batches of ${BATCH} of SST-2's lengths in random order`,
  'equal step': `step, ${EQUAL.sentences} texts of ${EQUAL.tokens} tokens`,
  prediction: `prediction, batches of ${BATCH} of SST-2's lengths in random order`,
  'one text': `prediction, one text of ${SHORT} tokens`,
};

function modelTable(model: ModelName, { what, timings, peak }: ModelRow): Section {
  return {
    title: `${model}: ${TITLES[what]}`,
    note: `ratio: time over that of fp32, median of rounds in turns${what.endsWith('step') ? '; LoRA r = 8 on all Linear layers' : ''}`,
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

type Measured = Awaited<ReturnType<typeof measureModel>>;

const peerOf = (peer: Child | Missing) => (isMissing(peer) ? undefined : peer);

export const benchmark: Benchmark = {
  name: 'weights',
  question: 'What do int8 and NF4 weights bring: products, LoRA steps, prediction and memory?',
  async run({ quick, targets, model = quick && !targets ? 'minilm' : 'roberta-base' }) {
    const rounds = quick ? 5 : 11;
    const [count, turns] = quick ? [2, 3] : [4, 7];
    const noBf16 = await ourBf16Missing();
    const products: ProductRow[] = [];
    const onednn = await openOnednn(quick);
    for (const T of quick ? TOKENS.slice(0, 1) : TOKENS)
      for (const [K, N] of SHAPES)
        products.push(await measureProduct([T, K, N], rounds, noBf16 === undefined, peerOf(onednn)));
    peerOf(onednn)?.close();
    const measured = [];
    for (const what of ['step', 'equal step', 'prediction', 'one text'] as const)
      measured.push(await measureModel(what, model, what === 'one text' ? 1 : count, turns, quick));
    const [step, equal, prediction, single] = measured as [Measured, Measured, Measured, Measured];

    const noPeer: Missing = { missing: 'a peer is missing (npm run bench:peers)' };
    const absent = (side: string): Missing => (side === 'bf16' && noBf16 ? { missing: noBf16 } : noPeer);
    const over = (slow: string, fast: string, timings: Interleaved<string>): Figure => {
      const [one, other] = [timings[slow], timings[fast]];
      return one && other ? one.ratio / other.ratio : absent(slow);
    };
    const passes = products.flatMap(({ forward, backward }) => [forward, backward]);
    const productOver = (slow: string, fast: string, of: readonly Interleaved<string>[]): Figure => {
      const ratios = of.map((timings) => over(slow, fast, timings));
      return ratios.find(isMissing) ?? geometricMean(ratios as number[]);
    };
    // With the precision that `auto` takes.
    const int8 = noBf16 ? 'int8' : INT8_BF16;
    const peakOver = (form: string): Figure => {
      const { [form]: own, bf16 } = step.row.peak;
      return own && bf16 ? own / bf16 : absent('bf16');
    };
    return {
      peers: {
        isa: native().info().isa,
        ...prediction.peers,
        [ONEDNN]: isMissing(onednn) ? onednn : {},
        'equal step': equal.peers,
        'one text': single.peers,
      },
      figures: {
        'weights.int8ProductOverFp32': productOver('fp32', 'int8', passes),
        'weights.int8ProductOverBf16': productOver('bf16', 'int8', passes),
        'weights.int8ProductOverOnednn': productOver(
          ONEDNN,
          'int8',
          products.map(({ forward }) => forward),
        ),
        'weights.nf4ProductOverFp32': productOver('fp32', 'nf4', passes),
        'weights.int8StepOverFp32': over('fp32', int8, step.row.timings),
        'weights.int8StepOverBf16': over('bf16', int8, step.row.timings),
        'weights.int8StepOverPeerBf16': over('PyTorch + PEFT bf16', int8, equal.row.timings),
        'weights.int8StepPeakOverBf16': peakOver(INT8_BF16),
        'weights.nf4StepPeakOverBf16': peakOver(NF4_BF16),
        'weights.int8PredictionOverOnnxInt8': over('onnxruntime-node int8', int8, prediction.row.timings),
        'weights.int8PredictionOverBf16': over('bf16', int8, prediction.row.timings),
        'weights.oneTextOverFastest': fastestOver(single.row, single.peers),
      },
      sections: [productTable(products), ...measured.map(({ row }) => modelTable(model, row))],
      rows: [...products, ...measured.map(({ row }) => row)],
    };
  },
};

if (require.main === module) main(benchmark);
