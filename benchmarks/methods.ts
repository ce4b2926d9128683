/**
 * What does each way to fine-tune cost? Classifier only, LoRA by the article's presets and full
 * fine-tuning: samples/s, peak memory, saved bytes and the size of the file. The article's own
 * table has LoRA slower (0.85 x) than full fine-tuning.
 * Both sides train through lib/sides.ts.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { LoraConfig } from '../src';
import { equalBatches } from './lib/batches';
import { mebibytes } from './lib/child';
import { main } from './lib/main';
import { type Interleaved, interleave } from './lib/measure';
import { ARTICLE_LORA, adapterFolder, allLinears, configOfModel, type ModelName, modelFolder } from './lib/models';
import { ourBf16Missing, ourPrecisions, type Precision, peerPrecisions } from './lib/precision';
import type { Costs, LoadArguments } from './lib/protocol';
import { milliseconds } from './lib/report';
import {
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  isMissing,
  type Missing,
  type Section,
} from './lib/result';
import { compareTwo, lossesOf, openOurs, openTorch, type Side, trainSteps, tunePeer } from './lib/sides';

interface Method {
  name: string;
  method: LoadArguments['method'];
  lora?: LoraConfig;
}
const preset = (pattern: string): Method => ({ name: `LoRA ${pattern}`, method: 'lora', lora: { pattern, r: 8 } });
const everyLinear = (r: number): Method => ({ name: `LoRA all linears r${r}`, method: 'lora', lora: allLinears(r) });

const FULL_METHOD: Method = { name: 'full', method: 'full' };
/** What the target is about: the slowest of the ranks up to 16. */
const ALL_LINEARS_METHODS = [everyLinear(8), everyLinear(16)];
const HEAD: Method = { name: 'classifier only', method: 'head' };
const ARTICLE: Method = { name: 'LoRA article r4', method: 'lora', lora: ARTICLE_LORA };
const PRESETS = ['att_q', 'att_v', 'ff_u', 'att_qv+ff_u', 'att_v+ff_u', 'ff_d+ff_u', '12_upper', '12_lower', '12_even'];

const SENTENCES = 16;
const TOKENS = 32;
const PAUSE = 50;
/** Steps whose losses must agree between our full fine-tuning and the peer's, and their rate. */
const CHECKED = { quickly: [0], whole: [0, 0, 0] };
const CHECK_RATE = 1e-5;

interface Settings {
  model: ModelName;
  quick: boolean;
  /** Whether the files are written too. */
  files: boolean;
  rounds: number;
  /** Ours, each against our full fine-tuning. */
  methods: Method[];
  /** Of the peer too. */
  peerMethods: Method[];
}

function settingsOf({ quick, targets, model = 'roberta-base' }: BenchmarkOptions): Settings {
  const rounds = quick ? 3 : 9;
  if (targets && quick) return { model, quick, files: false, rounds: 2, methods: [everyLinear(16)], peerMethods: [] };
  if (targets) return { model, quick, files: false, rounds, methods: ALL_LINEARS_METHODS, peerMethods: [] };
  if (quick)
    return {
      model,
      quick,
      files: true,
      rounds,
      methods: [HEAD, ARTICLE, everyLinear(16)],
      peerMethods: [everyLinear(16)],
    };
  // 12_… name layers of an encoder with 12.
  const presets = PRESETS.filter((name) => !name.startsWith('12_') || configOfModel(model).num_hidden_layers === 12);
  return {
    model,
    quick,
    files: true,
    rounds,
    methods: [HEAD, ...presets.map(preset), ARTICLE, ...ALL_LINEARS_METHODS],
    peerMethods: [HEAD, ARTICLE, everyLinear(16)],
  };
}

interface Row {
  name: string;
  precision: Precision;
  peer: boolean;
  /** Speed over our full fine-tuning in the same precision and run. */
  overFull: number;
  step: { median: number; p10: number; p90: number };
  learnable: number;
  /** MiB */
  peakMemory?: number;
  /** Ours: bytes. */
  savedBytes?: number;
  fileBytes?: number;
}

const argumentsOf = (model: ModelName, { method, lora }: Method, precision: Precision) => ({
  folder: modelFolder(model),
  method,
  precision,
  ...(lora && { adapter: adapterFolder(model, lora) }),
});

/** What is written for others to use: the adapter or the whole model. */
async function fileSize(side: Side): Promise<number> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-bench-'));
  try {
    const target = path.join(folder, 'saved');
    await side.child.call('save', { folder: target });
    return fs.readdirSync(target).reduce((sum, file) => sum + fs.statSync(path.join(target, file)).size, 0);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const stepOf = async (side: Side) => (await trainSteps(side, [0])).seconds;

function rowOf(
  method: Method,
  precision: Precision,
  side: Side,
  peer: boolean,
  timings: Interleaved<'full' | 'other'>,
  which: 'full' | 'other' = 'other',
): Row {
  const peakMemory = side.child.peakMemory();
  return {
    name: `${peer ? 'PyTorch ' : ''}${method.name}`,
    precision,
    peer,
    overFull: 1 / timings[which].ratio,
    step: timings[which],
    learnable: side.loaded.learnable,
    ...(peakMemory !== undefined && { peakMemory }),
  };
}

/**
 * All methods of one precision, each in turns with our full fine-tuning, so that no more than two
 * processes hold a model at a time and each one's peak memory is its own.
 */
async function measurePrecision(precision: Precision, { model, quick, files, rounds, methods, peerMethods }: Settings) {
  const checked = quick ? CHECKED.quickly : CHECKED.whole;
  const batches = equalBatches(model, 1, SENTENCES, TOKENS);
  const full = await openOurs(argumentsOf(model, FULL_METHOD, precision), batches);
  // From the same values, before any other step; in fp32 alone they must agree.
  const losses = precision === 'fp32' ? await lossesOf(full, checked, CHECK_RATE) : [];
  const rows: Row[] = [];
  const inTurns = (other: Side) =>
    interleave({ full: () => stepOf(full), other: () => stepOf(other) }, { rounds, pause: PAUSE });
  const ours = async (side: Side, row: Row) => {
    const [costs] = await side.child.call<[Costs]>('costs', { dropout: true });
    rows.push({ ...row, savedBytes: costs.savedBytes, ...(files && { fileBytes: await fileSize(side) }) });
  };
  for (const method of methods) {
    const side = await openOurs(argumentsOf(model, method, precision), batches);
    const timings = await inTurns(side);
    await ours(side, rowOf(method, precision, side, false, timings));
    side.child.close();
    if (method === methods.at(-1)) await ours(full, rowOf(FULL_METHOD, precision, full, false, timings, 'full'));
  }
  let settings: object | undefined;
  for (const method of peerPrecisions().includes(precision) ? [...peerMethods, FULL_METHOD] : []) {
    const peer = await openTorch(argumentsOf(model, method, precision), batches);
    if (isMissing(peer)) {
      settings = peer;
      break;
    }
    if (method === FULL_METHOD && precision === 'fp32') {
      compareTwo([full.child.name, peer.child.name], [losses, await lossesOf(peer, checked, CHECK_RATE)]);
    }
    settings = await tunePeer(peer, () => trainSteps(peer, [0]), quick);
    rows.push(rowOf(method, precision, peer, true, await inTurns(peer)));
    peer.child.close();
  }
  full.child.close();
  return { rows, settings };
}

function tableOf(rows: readonly Row[], precision: Precision, model: ModelName): Section {
  const sorted = [...rows].sort((a, b) => b.overFull - a.overFull);
  const size = (bytes: number | undefined) => (bytes === undefined ? '' : mebibytes(bytes).toFixed(1));
  return {
    title: `ways to fine-tune ${model}, ${precision}, ${SENTENCES} × ${TOKENS} tokens`,
    note:
      'speed over our full fine-tuning, each in turns with it (median of rounds); peak memory: of the process; saved: activations kept ' +
      'for the backward pass; file: adapter or model as written (fp32)',
    header: [
      'method',
      'speed over full',
      'samples/s',
      'ms a step [p10 p90]',
      'learnable',
      'peak MiB',
      'saved MiB',
      'file MiB',
    ],
    rows: sorted.map(({ name, overFull, step, learnable, peakMemory, savedBytes, fileBytes }) => [
      name,
      overFull.toFixed(2),
      (SENTENCES / step.median).toFixed(1),
      `${milliseconds(step.median)} [${milliseconds(step.p10)} ${milliseconds(step.p90)}]`,
      learnable.toLocaleString('en'),
      peakMemory?.toFixed(0) ?? '',
      size(savedBytes),
      size(fileBytes),
    ]),
    plot: {
      kind: 'bars',
      unit: 'samples/s',
      series: [
        { name: 'samples/s', points: sorted.map(({ name, step }) => ({ x: name, y: SENTENCES / step.median })) },
      ],
    },
  };
}

function figuresOf(rows: readonly Row[], precision: Precision, noPeer: Missing | undefined): Record<string, Figure> {
  const suffix = precision === 'fp32' ? 'Fp32' : 'Bf16';
  const allLinear = rows.filter(({ name, peer }) => !peer && name.includes('all linears'));
  const peerFull = rows.find(({ name, peer }) => peer && name.endsWith(FULL_METHOD.name));
  return {
    [`methods.loraOverFull${suffix}`]: Math.min(...allLinear.map(({ overFull }) => overFull)),
    [`methods.fullOverPeerFull${suffix}`]: peerFull ? 1 / peerFull.overFull : (noPeer ?? { missing: 'not measured' }),
  };
}

export const benchmark: Benchmark = {
  name: 'methods',
  question: 'What do classifier only, LoRA by preset and full fine-tuning cost in time, memory and files?',
  async run(options) {
    const settings = settingsOf(options);
    const noBf16 = await ourBf16Missing();
    const figures: Record<string, Figure> = noBf16
      ? { 'methods.loraOverFullBf16': { missing: noBf16 }, 'methods.fullOverPeerFullBf16': { missing: noBf16 } }
      : {};
    const sections: Section[] = [];
    const all: Row[] = [];
    const peers: Record<string, unknown> = {};
    for (const precision of await ourPrecisions()) {
      const { rows, settings: peer } = await measurePrecision(precision, settings);
      peers[`PyTorch ${precision}`] = peer;
      sections.push(tableOf(rows, precision, settings.model));
      Object.assign(figures, figuresOf(rows, precision, isMissing(peer) ? peer : undefined));
      all.push(...rows);
    }
    return { peers, figures, sections, rows: all };
  },
};

if (require.main === module) main(benchmark);
