/**
 * What does a whole training step cost against PyTorch + PEFT? Forward, backward, clipping and AdamW of LoRA on RoBERTa-base, -large and a
 * MiniLM, with equal tokens and with SST-2's real lengths; and where our time goes, op by op.
 */
import { loadModel, plan, trace } from '../src';
import { loadAdapter } from '../src/lora';
import { native } from '../src/native';
import {
  equalBatches,
  randomBatches,
  sentencesOf,
  slotsOf,
  sortedBatches,
  type TokenBatch,
  tokensOf,
} from './lib/batches';
import { main } from './lib/main';
import { type Interleaved, interleave } from './lib/measure';
import { ARTICLE_LORA, adapterFolder, type ModelName, modelFolder } from './lib/models';
import { type OpTime, profileOps } from './lib/op_profile';
import { bf16Missing, measurePeak } from './lib/peak';
import type { LoadArguments } from './lib/protocol';
import { milliseconds, percent } from './lib/report';
import { type Benchmark, type Figure, isMissing, type Missing, type Section } from './lib/result';
import { compareLosses, loadSide, type Side, startOurs, startPython, trainSteps, tuneThreads } from './lib/sides';

interface Setting {
  model: ModelName;
  /** Batches of 32 sentences of SST-2's lengths a turn. */
  sst2Batches: number;
  rounds: number;
}

const QUICK: Setting[] = [{ model: 'roberta-base', sst2Batches: 3, rounds: 3 }];
const FULL: Setting[] = [
  { model: 'minilm', sst2Batches: 16, rounds: 11 },
  { model: 'roberta-base', sst2Batches: 8, rounds: 9 },
  { model: 'roberta-large', sst2Batches: 2, rounds: 5 },
];
const PAUSE = 50;
const EQUAL = { sentences: 16, tokens: 32 };
const SST2_SENTENCES = 32;

type Turn = Record<string, () => Promise<number>>;
interface Comparison {
  batches: readonly TokenBatch[];
  timings: Interleaved<string>;
}
interface Measured {
  setting: Setting;
  comparisons: Record<'equal' | 'random' | 'sorted', Comparison>;
  /** Forward and backward of an equal step. */
  flops: number;
  lossDifference: number;
  peerSettings: Record<string, unknown>;
  peak: number;
}

const titles = {
  equal: `equal tokens (${EQUAL.sentences} × ${EQUAL.tokens})`,
  random: `SST-2's lengths, random batches of ${SST2_SENTENCES} (the peer pads to the longest)`,
  sorted: `SST-2's lengths, batches of ${SST2_SENTENCES} sorted by length`,
};

/** Our sides and the peer's, by what tables call them; the first is what ratios are to. */
async function openSides(setting: Setting, all: readonly TokenBatch[], separate: boolean) {
  const base: LoadArguments = {
    folder: modelFolder(setting.model),
    adapter: adapterFolder(setting.model, ARTICLE_LORA),
    method: 'lora',
  };
  const sides: Record<string, Side> = { 'fused-lora fp32': await loadSide(startOurs(), base, all) };
  if (separate) sides['separate fp32'] = await loadSide(startOurs(), { ...base, fused: false }, all);
  const peerSettings: Record<string, unknown> = {};
  let missing: Missing | undefined;
  for (const precision of bf16Missing() === 'no AVX512_BF16' ? (['fp32'] as const) : (['fp32', 'bf16'] as const)) {
    const child = startPython('torch_peer.py', `PyTorch ${precision}`);
    if (isMissing(child)) {
      missing = child;
      break;
    }
    const side = await loadSide(child, { ...base, precision }, all);
    peerSettings[child.name] = {
      ...(await child.call<object>('info')),
      ...(await tuneThreads(child, async () => (await trainSteps(side, [0])).seconds)),
    };
    sides[child.name] = side;
  }
  return { sides, peerSettings, missing };
}

async function measureModel(setting: Setting, separate: boolean): Promise<Measured> {
  const { model, sst2Batches, rounds } = setting;
  const groups = {
    equal: equalBatches(model, 1, EQUAL.sentences, EQUAL.tokens),
    random: randomBatches(model, sst2Batches, SST2_SENTENCES),
    sorted: sortedBatches(model, sst2Batches, SST2_SENTENCES),
  };
  const all = [...groups.equal, ...groups.random, ...groups.sorted];
  const { sides, peerSettings } = await openSides(setting, all, separate);
  const fp32 = Object.entries(sides).filter(([name]) => name.endsWith('fp32'));
  const lossDifference = await compareLosses(
    fp32.map(([, side]) => side),
    [0, 1, 1 + sst2Batches],
  );
  const [ours] = Object.values(sides) as [Side];
  const costs = await ours.child.call<{ flops: { forward: number; backward: number } }[]>('costs', { dropout: true });
  const { forward, backward } = (costs[0] as (typeof costs)[number]).flops;

  const comparisons = {} as Measured['comparisons'];
  const threads = native().info().threads;
  const peaks: number[] = [];
  let first = 0;
  for (const name of ['equal', 'random', 'sorted'] as const) {
    const batches = groups[name];
    const steps = batches.map((_, i) => first + i);
    first += batches.length;
    const turns: Turn = Object.fromEntries(
      Object.entries(sides).map(([side, opened]) => [side, async () => (await trainSteps(opened, steps)).seconds]),
    );
    turns['peak'] = async () => {
      peaks.push(measurePeak('f32', threads, 0.1) as number);
      return 0.1;
    };
    comparisons[name] = { batches, timings: await interleave(turns, { rounds, pause: PAUSE }) };
  }
  for (const { child } of Object.values(sides)) child.close();
  peaks.sort((a, b) => a - b);
  return {
    setting,
    comparisons,
    flops: forward + backward,
    lossDifference,
    peerSettings,
    peak: peaks[Math.floor(peaks.length / 2)] as number,
  };
}

function tableOf(name: keyof typeof titles, measured: readonly Measured[]): Section {
  const rows: string[][] = [];
  const points: { x: string; y: number }[] = [];
  for (const { setting, comparisons, flops, peak } of measured) {
    const { batches, timings } = comparisons[name];
    for (const [side, { ratio, median, p10, p90 }] of Object.entries(timings)) {
      if (side === 'peak') continue;
      const own = !side.startsWith('PyTorch');
      const perStep = (seconds: number) => milliseconds(seconds / batches.length);
      points.push({ x: `${setting.model}: ${side}`, y: sentencesOf(batches) / median });
      rows.push([
        `${setting.model}: ${side}`,
        ratio.toFixed(2),
        `${perStep(median)} [${perStep(p10)} ${perStep(p90)}]`,
        (sentencesOf(batches) / median).toFixed(1),
        (tokensOf(batches) / median).toFixed(0),
        (own ? 1 : slotsOf(batches) / tokensOf(batches)).toFixed(2),
        name === 'equal' ? percent(flops / median / peak) : '',
      ]);
    }
  }
  return {
    title: `training step, ${titles[name]}`,
    note: 'ratio: time over that of fused-lora fp32, median of rounds; ms a step [p10 p90]; tokens: real ones, padding not counted',
    header: [
      'side',
      'ratio',
      'ms a step',
      'sentences/s',
      'tokens/s',
      'padded/real tokens',
      'useful share of fp32 peak',
    ],
    rows,
    plot: { kind: 'bars', unit: 'sentences/s', series: [{ name: 'sentences/s', points }] },
  };
}

/** RoBERTa-base's step alone, op by op. */
async function profile(rounds: number, peak: number): Promise<{ ops: OpTime[]; bandwidth: number }> {
  const { model } = loadModel(modelFolder('roberta-base'));
  loadAdapter(model, adapterFolder('roberta-base', ARTICLE_LORA), { trainable: true });
  const planned = plan(trace(model, { training: true, loss: true }), { train: true });
  const bandwidth = measurePeak('copy', native().info().threads, 0.3) as number;
  const sizes = { T: EQUAL.sentences * EQUAL.tokens, S: EQUAL.sentences, M: 0 };
  return { ops: await profileOps(planned, sizes, rounds, { flops: peak, bandwidth }), bandwidth };
}

function profileTable(ops: readonly OpTime[], step: number): Section {
  const sum = ops.reduce((total, { seconds }) => total + seconds, 0);
  const row = (name: string, count: string, seconds: number) => [
    name,
    count,
    milliseconds(seconds),
    percent(seconds / step),
  ];
  return {
    title: `where a step goes: roberta-base, ${EQUAL.sentences} × ${EQUAL.tokens} tokens, fp32`,
    note:
      "each op alone, times its number of instructions; roofline: what its arithmetic or its bytes need at the machine's measured peaks, over its " +
      'time (bytes that come from a cache can make it more than 100 %)',
    header: ['op', 'instructions', 'ms', 'share of step', 'GFLOP/s', 'roofline'],
    rows: [
      ...ops.map(({ op, count, seconds, flops, roofline }) => [
        ...row(op, String(count), seconds),
        (flops / seconds / 1e9).toFixed(1),
        percent(roofline),
      ]),
      [...row('sum of ops', '', sum), '', ''],
      [...row('the rest: optimizer, calls, caches', '', step - sum), '', ''],
      [...row('step', '', step), '', ''],
    ],
    plot: {
      kind: 'bars',
      unit: 'ms',
      series: [{ name: 'ms', points: ops.map(({ op, seconds }) => ({ x: op, y: seconds * 1e3 })) }],
    },
  };
}

function figuresOf(base: Measured): Record<string, Figure> {
  const noBf16: Missing = { missing: bf16Missing() as string };
  const peer = (name: keyof Measured['comparisons']): Figure =>
    base.comparisons[name].timings['PyTorch fp32']?.ratio ?? { missing: 'no PyTorch (npm run bench:peers)' };
  const ours = base.comparisons.equal.timings['fused-lora fp32'];
  return {
    'step.fp32OverPeerFp32': peer('equal'),
    'step.bf16OverPeerBf16': noBf16,
    'step.bf16OverPeerFp32': noBf16,
    'step.sst2OverPeerRandom': peer('random'),
    'step.sst2OverPeerSortedFp32': peer('sorted'),
    'step.sst2OverPeerSortedBf16': noBf16,
    'step.usefulShareFp32': base.flops / (ours?.median ?? Number.NaN) / base.peak,
    'step.usefulShareBf16': noBf16,
  };
}

export const benchmark: Benchmark = {
  name: 'step',
  question: 'What does a whole training step cost against PyTorch + PEFT, and where does the time go?',
  async run({ quick }) {
    const measured: Measured[] = [];
    for (const setting of quick ? QUICK : FULL) measured.push(await measureModel(setting, !quick));
    const base = measured.find(({ setting }) => setting.model === 'roberta-base') as Measured;
    const { ops, bandwidth } = await profile(quick ? 3 : 9, base.peak);
    const step = base.comparisons.equal.timings['fused-lora fp32']?.median as number;
    const largest = Math.max(...measured.map(({ lossDifference }) => lossDifference));
    const checks: Section = {
      title: 'what was held equal',
      header: ['', ''],
      rows: [
        [
          'weights',
          'random (seed 0), the same on all sides; LoRA r = 4 on query and both output projections; AdamW, clip 1',
        ],
        ['losses', `3 steps without dropout: largest relative difference between sides ${largest.toExponential(1)}`],
        ['dropout while timed', '0.1, on all sides'],
        ['bf16', bf16Missing() ?? ''],
        [
          'measured peaks',
          `${(base.peak / 1e9).toFixed(0)} GFLOP/s fp32, ${(bandwidth / 1e9).toFixed(1)} GB/s copying`,
        ],
      ],
    };
    return {
      peers: Object.assign({}, ...measured.map(({ setting, peerSettings }) => ({ [setting.model]: peerSettings }))),
      figures: figuresOf(base),
      sections: [
        ...(['equal', 'random', 'sorted'] as const).map((name) => tableOf(name, measured)),
        profileTable(ops, step),
        checks,
      ],
      rows: [
        ...measured.map(({ comparisons, ...rest }) => ({
          ...rest,
          timings: Object.fromEntries(Object.entries(comparisons).map(([name, { timings }]) => [name, timings])),
        })),
        { ops },
      ],
    };
  },
};

if (require.main === module) main(benchmark);
