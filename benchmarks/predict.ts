/**
 * How many sentences a second does a trained classifier take? One at a time and in batches of 32,
 * against transformers in PyTorch, onnxruntime-node and transformers.js with the same weights. All
 * get token ids; no tokenizer is timed.
 * The peers: benchmarks/peers.
 */
import {
  cut,
  randomBatches,
  sentences,
  sentencesOf,
  slotsOf,
  sortedBatches,
  sst2Lengths,
  type TokenBatch,
  tokensOf,
} from './lib/batches';
import { main } from './lib/main';
import { interleave, type Timing } from './lib/measure';
import { configOfModel, type ModelName, modelFolder } from './lib/models';
import { onnxFolder } from './lib/onnx';
import { ourBf16Missing, ourPrecisions, type Precision, peerPrecisions } from './lib/precision';
import { type Parts, profileSection, profileTogether } from './lib/predict_profile';
import { milliseconds } from './lib/report';
import {
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  isMissing,
  type Missing,
  type Section,
} from './lib/result';
import { compareLogits, openOurs, openTorch, predictBatches, type Side, startNodePeer, tunePeer } from './lib/sides';

const BATCH = 32;
const PAUSE = 20;
const OURS = 'fused-lora';

interface Settings {
  models: ModelName[];
  quick: boolean;
  /** Batches of 32, at random and sorted by length within a window. */
  batches: number;
  /** Sentences one at a time; 0: not measured. */
  singles: number;
  rounds: number;
  /** Rounds of the profile of each of PROFILED; 0: none. */
  profileRounds: number;
}

function settingsOf({ quick, targets, model }: BenchmarkOptions): Settings {
  const some: Settings = quick
    ? { models: ['roberta-base'], quick, batches: 2, singles: 8, rounds: 3, profileRounds: 3 }
    : { models: ['minilm', 'roberta-base'], quick, batches: 8, singles: 64, rounds: 9, profileRounds: 9 };
  if (model) return { ...some, models: [model] };
  if (!targets) return some;
  return { ...some, models: ['roberta-base'], singles: 0, profileRounds: 0, ...(quick && { batches: 1, rounds: 2 }) };
}

/** Sentences in the batches of which a profile is made. */
const PROFILED = [1, 8, BATCH];

const WAYS = ['single', 'random', 'sorted'] as const;
type Way = (typeof WAYS)[number];
const titles: Record<Way, string> = {
  single: 'one sentence at a time',
  random: `random batches of ${BATCH}`,
  sorted: `batches of ${BATCH} sorted by length`,
};

interface Measured {
  model: ModelName;
  /** In one turn. */
  sentences: Record<Way, number>;
  tokens: Record<Way, number>;
  /** By side; ratio: time a token over ours in fp32, in random batches where there are batches. */
  timings: Record<Way, Record<string, Timing & { ratio: number }>>;
  logitDifference: number;
  peerSettings: Record<string, unknown>;
  profiles: { batch: TokenBatch; sides: Record<string, Parts> }[];
}

interface Opened {
  /** By what tables call them, ours first. */
  sides: Map<string, Side>;
  settings: Record<string, unknown>;
}

async function openSides(
  model: ModelName,
  all: readonly TokenBatch[],
  tuneOn: number[],
  quick: boolean,
): Promise<Opened> {
  const folder = modelFolder(model);
  const sides = new Map<string, Side>();
  const settings: Record<string, unknown> = {};
  const workload = (side: Side) => predictBatches(side, tuneOn);
  for (const precision of await ourPrecisions()) {
    sides.set(`${OURS} ${precision}`, await openOurs({ folder, method: 'predict', precision }, all));
  }
  const opened = await Promise.all(
    peerPrecisions().map((precision) => openTorch({ folder, method: 'predict', precision }, all)),
  );
  for (const peer of opened) {
    if (isMissing(peer)) {
      settings['PyTorch'] = peer;
      continue;
    }
    sides.set(peer.child.name, peer);
    settings[peer.child.name] = await tunePeer(peer, () => workload(peer), quick);
  }
  const onnx = onnxFolder(model);
  for (const [name, script] of [
    ['onnxruntime-node', 'onnxruntime_peer.mjs'],
    ['transformers.js', 'transformers_js_peer.mjs'],
  ] as const) {
    const child = isMissing(onnx) ? onnx : startNodePeer(script, `${name} fp32`);
    if (isMissing(child)) {
      settings[name] = child;
      continue;
    }
    await child.call('load', { folder: onnx, pad: configOfModel(model).pad_token_id });
    await child.call('batches', { batches: all });
    const side: Side = { child, loaded: { parameters: 0, learnable: 0, seconds: 0 } };
    settings[child.name] = await tunePeer(side, () => workload(side), quick);
    sides.set(child.name, side);
  }
  return { sides, settings };
}

async function measureModel(
  model: ModelName,
  { quick, batches: count, singles, rounds, profileRounds }: Settings,
): Promise<Measured> {
  const groups: Record<Way, TokenBatch[]> = {
    single: cut(sentences(model, sst2Lengths(singles), 2), 1),
    random: randomBatches(model, count, BATCH),
    sorted: sortedBatches(model, count, BATCH),
  };
  const profiled = profileRounds > 0 ? PROFILED.map((size) => randomBatches(model, 1, size)[0] as TokenBatch) : [];
  const all = [...WAYS.flatMap((way) => groups[way]), ...profiled];
  const steps = {} as Record<Way, number[]>;
  let first = 0;
  for (const way of WAYS) {
    steps[way] = groups[way].map((_, i) => first + i);
    first += groups[way].length;
  }
  const { sides, settings } = await openSides(model, all, steps.random.slice(0, 1), quick);
  const fp32 = [...sides].filter(([name]) => name.endsWith('fp32')).map(([, side]) => side);
  const checked = [...steps.single.slice(0, 4), steps.random[0] as number];
  const runs = [];
  for (const side of fp32) runs.push(await predictBatches(side, checked));
  const logitDifference = compareLogits(fp32, runs);

  const each = (of: (batches: TokenBatch[]) => number) => ({
    single: of(groups.single),
    random: of(groups.random),
    sorted: of(groups.sorted),
  });
  const tokens = each(tokensOf);
  const timings: Measured['timings'] = { single: {}, random: {}, sorted: {} };
  // Both orders of batches in one run.
  for (const ways of [['single'], ['random', 'sorted']] as Way[][]) {
    const [base] = ways as [Way];
    if (groups[base].length === 0) continue;
    const turns = Object.fromEntries(
      [...sides].flatMap(([name, side]) =>
        ways.map((w) => [`${w} ${name}`, async () => (await predictBatches(side, steps[w])).seconds] as const),
      ),
    );
    const measured = await interleave(turns, { rounds, pause: PAUSE });
    for (const [key, timing] of Object.entries(measured)) {
      const way = ways.find((w) => key.startsWith(`${w} `)) as Way;
      const ratio = (timing.ratio * tokens[base]) / tokens[way];
      timings[way][key.slice(way.length + 1)] = { ...timing, ratio };
    }
  }
  const children = Object.fromEntries(
    [...sides].filter(([name]) => /^fused-lora|^onnxruntime/.test(name)).map(([name, { child }]) => [name, child]),
  );
  const profiles: Measured['profiles'] = [];
  for (const [i, batch] of profiled.entries()) {
    profiles.push({ batch, sides: await profileTogether(children, first + i, profileRounds) });
  }
  for (const { child } of sides.values()) child.close();
  return {
    model,
    sentences: each(sentencesOf),
    tokens,
    timings,
    logitDifference,
    peerSettings: settings,
    profiles,
  };
}

function tableOf(way: Way, measured: readonly Measured[]): Section {
  const rows: string[][] = [];
  const points: { x: string; y: number }[] = [];
  for (const { model, sentences: count, timings } of measured) {
    for (const [side, { ratio, median, p10, p90 }] of Object.entries(timings[way])) {
      const rate = count[way] / median;
      points.push({ x: `${model}: ${side}`, y: rate });
      rows.push([
        `${model}: ${side}`,
        ratio.toFixed(2),
        rate.toFixed(1),
        `${milliseconds(median / count[way])} [${milliseconds(p10 / count[way])} ${milliseconds(p90 / count[way])}]`,
      ]);
    }
  }
  return {
    title: `prediction, SST-2's lengths, ${titles[way]}`,
    note: `ratio: time a token over that of fused-lora fp32${way === 'single' ? '' : ' in random batches'}, median of rounds; peers pad to the longest of a batch`,
    header: ['side', 'ratio', 'sentences/s', 'ms a sentence [p10 p90]'],
    rows,
    plot: { kind: 'bars', unit: 'sentences/s', series: [{ name: 'sentences/s', points }] },
  };
}

function figuresOf({ timings, peerSettings }: Measured, noBf16: string | undefined): Record<string, Figure> {
  const best: Precision = noBf16 ? 'fp32' : 'bf16';
  const peersOf = (ways: Way[], precision?: Precision) =>
    ways.flatMap((way) =>
      Object.entries(timings[way])
        .filter(([name]) => !name.startsWith(OURS) && (!precision || name.endsWith(precision)))
        .map(([, { ratio }]) => ratio),
    );
  // A missing peer could have been the fastest.
  const absent = Object.entries(peerSettings).find(([, settings]) => isMissing(settings));
  const over = (ours: Way, precision: Precision, peers: number[]): Figure => {
    if (absent) return { missing: `${absent[0]}: ${(absent[1] as Missing).missing}` };
    const side = timings[ours][`${OURS} ${precision}`];
    if (!side) return { missing: (precision === 'bf16' && noBf16) || 'not measured' };
    return Math.min(...peers) / side.ratio;
  };
  return {
    'predict.batchedOverFastest': over('random', best, peersOf(['random', 'sorted'])),
    'predict.batchedFp32OverFastestFp32': over('random', 'fp32', peersOf(['random', 'sorted'], 'fp32')),
    'predict.singleOverFastest': over('single', best, peersOf(['single'])),
  };
}

export const benchmark: Benchmark = {
  name: 'predict',
  question: 'How many sentences a second, against transformers in PyTorch, onnxruntime-node and transformers.js?',
  async run(options) {
    const settings = settingsOf(options);
    const measured: Measured[] = [];
    for (const model of settings.models) measured.push(await measureModel(model, settings));
    const largest = Math.max(...measured.map(({ logitDifference }) => logitDifference));
    const base = measured.find(({ model }) => model === 'roberta-base') ?? (measured[0] as Measured);
    const noBf16 = await ourBf16Missing();
    const ways = WAYS.filter((way) => Object.keys(base.timings[way]).length > 0);
    const checks: Section = {
      title: 'what was held equal',
      header: ['', ''],
      rows: [
        ['weights', 'random (seed 0), the same on all sides; sequence classification with 2 labels'],
        ['logits', `largest difference between fp32 sides, over the largest logit: ${largest.toExponential(1)}`],
        ['bf16', noBf16 ?? 'ours; PyTorch: autocast'],
      ],
    };
    return {
      peers: Object.assign({}, ...measured.map(({ model, peerSettings }) => ({ [model]: peerSettings }))),
      figures: figuresOf(base, noBf16),
      sections: [
        ...ways.map((way) => tableOf(way, measured)),
        ...base.profiles.map(({ batch, sides }) =>
          profileSection(batch.length, tokensOf([batch]), slotsOf([batch]) / tokensOf([batch]), sides),
        ),
        checks,
      ],
      rows: measured,
    };
  },
};

if (require.main === module) main(benchmark);
