/**
 * What does a whole training step cost against PyTorch + PEFT? Forward, backward, clipping and
 * AdamW of LoRA on RoBERTa-base, -large and a MiniLM, with equal tokens and with SST-2's real
 * lengths; and where our time goes, op by op.
 * Sides are started by lib/sides.ts; the profile is op_profile.ts. One layer alone: linear.ts.
 */
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
import { type Interleaved, interleave, summarize } from './lib/measure';
import { ARTICLE_LORA, adapterFolder, type ModelName, modelFolder } from './lib/models';
import { type OpTime, profileByOp } from './lib/op_profile';
import { measurePeak } from './lib/peak';
import { ourBf16Missing, ourPrecisions, type Precision, peerPrecisions } from './lib/precision';
import type { Costs, LoadArguments, ProfileResult } from './lib/protocol';
import { milliseconds, percent } from './lib/report';
import { type Benchmark, type BenchmarkOptions, type Figure, isMissing, type Section } from './lib/result';
import { compareLosses, openOurs, openTorch, type Side, trainSteps, tunePeer } from './lib/sides';

interface Setting {
  model: ModelName;
  /** Batches of 32 sentences of SST-2's lengths a turn. */
  sst2Batches: number;
  rounds: number;
  /** Fusion switched off as one more side. */
  separate: boolean;
}

const QUICK: Setting[] = [{ model: 'roberta-base', sst2Batches: 2, rounds: 3, separate: false }];
const FULL: Setting[] = [
  { model: 'minilm', sst2Batches: 16, rounds: 11, separate: true },
  { model: 'roberta-base', sst2Batches: 8, rounds: 9, separate: true },
  // Each side holds the model: one fewer.
  { model: 'roberta-large', sst2Batches: 2, rounds: 5, separate: false },
];
const PAUSE = 50;
const EQUAL = { sentences: 16, tokens: 32 };
const SST2_SENTENCES = 32;

function settingsOf({ quick, targets, model }: BenchmarkOptions): Setting[] {
  const all = quick ? QUICK : FULL;
  if (model) return [{ ...(all.find((setting) => setting.model === model) ?? (all[0] as Setting)), model }];
  if (!targets) return all;
  const base = all.filter((setting) => setting.model === 'roberta-base');
  const fewer = quick ? { rounds: 2, sst2Batches: 1 } : { sst2Batches: 4 };
  return base.map((setting) => ({ ...setting, separate: false, ...fewer }));
}

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
  /** FLOP/s, medians of what was measured in turns with the sides. */
  peaks: Partial<Record<Precision, number>>;
  profiles: Partial<Record<Precision, ProfileResult>>;
}

const titles = {
  equal: `equal tokens (${EQUAL.sentences} × ${EQUAL.tokens})`,
  random: `SST-2's lengths, random batches of ${SST2_SENTENCES} (the peer pads to the longest)`,
  sorted: `SST-2's lengths, batches of ${SST2_SENTENCES} sorted by length`,
};
const OURS = 'fused-lora';
const rateOf = { fp32: 'f32', bf16: 'bf16' } as const;

/** Our sides and the peer's, by what tables call them; the first is what ratios are to. */
async function openSides({ model, separate }: Setting, all: readonly TokenBatch[]) {
  const base: LoadArguments = {
    folder: modelFolder(model),
    adapter: adapterFolder(model, ARTICLE_LORA),
    method: 'lora',
  };
  const sides: Record<string, Side> = {};
  for (const precision of await ourPrecisions())
    sides[`${OURS} ${precision}`] = await openOurs({ ...base, precision }, all);
  if (separate) sides['separate fp32'] = await openOurs({ ...base, fused: false }, all);
  const peers: Record<string, Side> = {};
  const peerSettings: Record<string, unknown> = {};
  for (const peer of await Promise.all(peerPrecisions().map((precision) => openTorch({ ...base, precision }, all)))) {
    if (isMissing(peer)) peerSettings['PyTorch'] = peer;
    else peers[peer.child.name] = peer;
  }
  return { sides: { ...sides, ...peers }, peers, peerSettings };
}

async function measureModel(setting: Setting, { quick, targets }: BenchmarkOptions): Promise<Measured> {
  const { model, sst2Batches, rounds } = setting;
  const groups = {
    equal: equalBatches(model, 1, EQUAL.sentences, EQUAL.tokens),
    random: randomBatches(model, sst2Batches, SST2_SENTENCES),
    sorted: sortedBatches(model, sst2Batches, SST2_SENTENCES),
  };
  const { sides, peers, peerSettings } = await openSides(setting, [
    ...groups.equal,
    ...groups.random,
    ...groups.sorted,
  ]);
  const fp32 = Object.entries(sides).filter(([name]) => name.endsWith('fp32'));
  const lossDifference = await compareLosses(
    fp32.map(([, side]) => side),
    [0, 1, 1 + sst2Batches],
  );
  for (const [name, peer] of Object.entries(peers)) {
    peerSettings[name] = await tunePeer(peer, () => trainSteps(peer, [0]), quick);
  }
  const [ours] = Object.values(sides) as [Side];
  const [costs] = await ours.child.call<[Costs]>('costs', { dropout: true });
  const flops = costs.flops.forward + costs.flops.backward;

  const comparisons = {} as Measured['comparisons'];
  const threads = native().info().threads;
  const peaks: Record<Precision, number[]> = { fp32: [], bf16: [] };
  let first = 0;
  for (const name of ['equal', 'random', 'sorted'] as const) {
    const batches = groups[name];
    const steps = batches.map((_, i) => first + i);
    first += batches.length;
    const turns = Object.fromEntries(
      Object.entries(sides).map(([side, opened]) => [side, async () => (await trainSteps(opened, steps)).seconds]),
    );
    for (const precision of peerPrecisions()) {
      turns[`peak ${precision}`] = async () => {
        const peak = measurePeak(rateOf[precision], threads, 0.1) as number;
        peaks[precision].push(peak);
        // As the time that an equal step's arithmetic would
        // take at the peak: over a side's time it is the share.
        return flops / peak;
      };
    }
    // Where it has to be quick, the round of equal batches has warmed all sides up.
    const warmup = quick && targets && name !== 'equal' ? 0 : 1;
    comparisons[name] = { batches, timings: await interleave(turns, { rounds, warmup, pause: PAUSE }) };
  }
  const profiles: Measured['profiles'] = {};
  for (const precision of targets ? [] : await ourPrecisions()) {
    const side = sides[`${OURS} ${precision}`] as Side;
    profiles[precision] = await side.child.call<ProfileResult>('profile', { index: 0, rounds });
  }
  for (const { child } of Object.values(sides)) child.close();
  return {
    setting,
    comparisons,
    flops,
    lossDifference,
    peerSettings,
    peaks: Object.fromEntries(peerPrecisions().map((precision) => [precision, summarize(peaks[precision]).median])),
    profiles,
  };
}

function tableOf(name: keyof typeof titles, measured: readonly Measured[]): Section {
  const rows: string[][] = [];
  const points: { x: string; y: number }[] = [];
  for (const { setting, comparisons } of measured) {
    const { batches, timings } = comparisons[name];
    for (const [side, { ratio, median, p10, p90 }] of Object.entries(timings)) {
      if (side.startsWith('peak')) continue;
      const peak = timings[`peak ${side.endsWith('bf16') ? 'bf16' : 'fp32'}`];
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
        name === 'equal' && peak ? percent(peak.ratio / ratio) : '',
      ]);
    }
  }
  return {
    title: `training step, ${titles[name]}`,
    note: "ratio: time over that of fused-lora fp32, median of rounds; ms a step [p10 p90]; tokens: real ones, padding not counted; share of the peak of the side's precision",
    header: ['side', 'ratio', 'ms a step', 'sentences/s', 'tokens/s', 'padded/real tokens', 'useful share of peak'],
    rows,
    plot: { kind: 'bars', unit: 'sentences/s', series: [{ name: 'sentences/s', points }] },
  };
}

function profileTable(ops: readonly OpTime[], { step, optimizer }: ProfileResult, what: string): Section {
  const sum = ops.reduce((total, { seconds }) => total + seconds, 0);
  const row = (name: string, count: string, seconds: number) => [
    name,
    count,
    milliseconds(seconds),
    percent(seconds / step),
  ];
  return {
    title: `where a step goes: ${what}, ${EQUAL.sentences} × ${EQUAL.tokens} tokens`,
    note:
      "each instruction inside whole steps, medians; roofline: what its arithmetic or its bytes need at the machine's measured peaks, over its " +
      'time (bytes that come from a cache can make it more than 100 %)',
    header: ['op', 'instructions', 'ms', 'share of step', 'GFLOP/s', 'roofline'],
    rows: [
      ...ops.map(({ op, count, seconds, flops, roofline }) => [
        ...row(op, String(count), seconds),
        (flops / seconds / 1e9).toFixed(1),
        percent(roofline),
      ]),
      [...row('clipping and AdamW', '', optimizer), '', ''],
      [...row('the rest: calls, copies', '', step - sum - optimizer), '', ''],
      [...row('step', '', step), '', ''],
    ],
    plot: {
      kind: 'bars',
      unit: 'ms',
      series: [{ name: 'ms', points: ops.map(({ op, seconds }) => ({ x: op, y: seconds * 1e3 })) }],
    },
  };
}

/** @param noBf16 why we have none. */
function figuresOf({ comparisons }: Measured, noBf16: string | undefined): Record<string, Figure> {
  const best: Precision = noBf16 ? 'fp32' : 'bf16';
  const noPeer: Figure = { missing: 'no PyTorch (npm run bench:peers)' };
  /** How many times as fast as that peer we are. */
  const over = (name: keyof typeof comparisons, precision: Precision, peer: Precision): Figure => {
    const { timings } = comparisons[name];
    const [ours, theirs] = [timings[`${OURS} ${precision}`], timings[`PyTorch ${peer}`]];
    if (!ours) return { missing: noBf16 ?? 'not measured' };
    return theirs ? theirs.ratio / ours.ratio : noPeer;
  };
  const fastest = (name: keyof typeof comparisons): Figure => {
    const ratios = (['fp32', 'bf16'] as const)
      .map((peer) => over(name, best, peer))
      .filter((r) => typeof r === 'number');
    return ratios.length > 0 ? Math.min(...ratios) : noPeer;
  };
  const useful = (precision: Precision): Figure => {
    const { timings } = comparisons.equal;
    const [ours, peak] = [timings[`${OURS} ${precision}`], timings[`peak ${precision}`]];
    return ours && peak ? peak.ratio / ours.ratio : { missing: noBf16 ?? 'not measured' };
  };
  return {
    'step.fp32OverPeerFp32': over('equal', 'fp32', 'fp32'),
    'step.bf16OverPeerBf16': over('equal', 'bf16', 'bf16'),
    'step.bf16OverPeerFp32': over('equal', 'bf16', 'fp32'),
    'step.sst2OverPeerAsRun': over('random', best, 'fp32'),
    'step.sst2OverPeerBest': fastest('sorted'),
    'step.sst2Fp32OverPeerFp32Sorted': over('sorted', 'fp32', 'fp32'),
    'step.usefulShareFp32': useful('fp32'),
    'step.usefulShareBf16': useful('bf16'),
  };
}

export const benchmark: Benchmark = {
  name: 'step',
  question: 'What does a whole training step cost against PyTorch + PEFT, and where does the time go?',
  async run(options) {
    const noBf16 = await ourBf16Missing();
    const measured: Measured[] = [];
    for (const setting of settingsOf(options)) measured.push(await measureModel(setting, options));
    const base = measured.find(({ setting }) => setting.model === 'roberta-base') ?? (measured[0] as Measured);
    const bandwidth = measurePeak('copy', native().info().threads, 0.3) as number;
    const profiles = (['fp32', 'bf16'] as const).flatMap((precision) => {
      const profile = base.profiles[precision];
      const { fp32, bf16 } = base.peaks;
      if (!profile || !fp32) return [];
      const ops = profileByOp(profile.instructions, precision, { fp32, bf16, bandwidth });
      return [{ precision, profile, ops }];
    });
    const largest = Math.max(...measured.map(({ lossDifference }) => lossDifference));
    const checks: Section = {
      title: 'what was held equal',
      header: ['', ''],
      rows: [
        [
          'weights',
          'random (seed 0), the same on all sides; LoRA r = 4 on query and both output projections; AdamW, clip 1',
        ],
        [
          'losses',
          `3 steps without dropout: largest relative difference between fp32 sides ${largest.toExponential(1)}`,
        ],
        ['dropout while timed', '0.1, on all sides'],
        ['bf16', noBf16 ?? 'ours; PyTorch: autocast'],
        [
          'measured peaks',
          `${Object.entries(base.peaks)
            .map(([precision, peak]) => `${(peak / 1e9).toFixed(0)} GFLOP/s ${precision}`)
            .join(', ')}, ${(bandwidth / 1e9).toFixed(1)} GB/s copying`,
        ],
      ],
    };
    return {
      peers: Object.assign({}, ...measured.map(({ setting, peerSettings }) => ({ [setting.model]: peerSettings }))),
      figures: figuresOf(base, noBf16),
      sections: [
        ...(['equal', 'random', 'sorted'] as const).map((name) => tableOf(name, measured)),
        ...profiles.map(({ precision, profile, ops }) =>
          profileTable(ops, profile, `${base.setting.model} ${precision}`),
        ),
        checks,
      ],
      rows: [
        ...measured.map(({ comparisons, profiles: _, ...rest }) => ({
          ...rest,
          timings: Object.fromEntries(Object.entries(comparisons).map(([name, { timings }]) => [name, timings])),
        })),
        ...profiles.map(({ precision, ops }) => ({ precision, ops })),
      ],
    };
  },
};

if (require.main === module) main(benchmark);
