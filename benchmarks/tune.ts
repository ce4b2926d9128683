/**
 * What do stopping early, kept states of frozen layers, one base for several runs and their mixed
 * steps save a study, and what does a trial cost beside the same run by hand? Stopping is replayed
 * on stored learning curves (benchmarks/data/tune-curves.json); the other sides are
 * lib/tune_sides.ts and lib/mixed_steps.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { RANDOM_SITE, RandomStream } from '../src/base/philox';
import { stops } from '../src/study/search/asha';
import { repository } from './lib/folders';
import { main } from './lib/main';
import { type MixedTimes, mixedSteps, RUNS, STEPS } from './lib/mixed_steps';
import { ourPrecisions, type Precision } from './lib/precision';
import { milliseconds } from './lib/report';
import type { Benchmark, Section } from './lib/result';
import { headSeconds, memoryOf, trialSeconds, upperSeconds } from './lib/tune_sides';

/** [trials][evaluations] accuracy on dev. */
interface Curves {
  madeBy: string;
  curves: number[][];
}

const ORDERS = 200;

interface Replay {
  /** Evaluations that ran, of all. */
  share: number;
  /** Of the best trial, as its best state is kept. */
  best: number;
}

function replay(curves: readonly number[][], order: readonly number[], reductionFactor: number): Replay {
  const before: Map<number, number>[] = [];
  let [ran, best] = [0, 0];
  for (const number of order) {
    const curve = curves[number] as number[];
    const reports = new Map<number, number>();
    for (const [i, value] of curve.entries()) {
      reports.set(i + 1, value);
      ran++;
      if (stops(reports, before, true, { reductionFactor })) break;
    }
    // A trial that was stopped is not chosen, whatever it reached.
    if (reports.size === curve.length) best = Math.max(best, ...reports.values());
    before.push(reports);
  }
  return { share: ran / curves.reduce((sum, { length }) => sum + length, 0), best };
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;

function mixedTable(model: string, precision: Precision, measured: readonly MixedTimes[]): Section {
  return {
    title: `mixed steps of ${RUNS} runs on batches of their own, ${model}, ${precision}`,
    note: "LoRA on all linears, r = 8, SST-2's lengths in random order, optimizer steps included; ms of a step of all runs, times as fast by the median of rounds",
    header: ['texts a batch', 'tokens', 'in turns, ms', 'mixed, ms', 'times as fast'],
    rows: measured.map(({ batchSize, tokens, times }) => [
      String(batchSize),
      tokens.toFixed(0),
      milliseconds(times['in turns'].median / STEPS),
      milliseconds(times.mixed.median / STEPS),
      (1 / times.mixed.ratio).toFixed(2),
    ]),
  };
}

export const benchmark: Benchmark = {
  name: 'tune',
  question:
    'What do stopping early, kept states of frozen layers, one base for several runs and their mixed steps save a study, and what does a trial cost beside the same run by hand?',
  alone: true,
  async run({ quick, model }) {
    const file = path.join(repository, 'benchmarks', 'data', 'tune-curves.json');
    const { curves, madeBy } = JSON.parse(fs.readFileSync(file, 'utf8')) as Curves;
    const all = Math.max(...curves.flat());
    const orders = Array.from({ length: ORDERS }, (_, i) =>
      new RandomStream(i, RANDOM_SITE.study).shuffle([...curves.keys()]),
    );
    const replays = [2, 3, 4].map((factor) => {
      const results = orders.map((order) => replay(curves, order, factor));
      return {
        factor,
        share: mean(results.map(({ share }) => share)),
        lost: all - mean(results.map(({ best }) => best)),
      };
    });
    // The default.
    const chosen = replays.find(({ factor }) => factor === 4) as (typeof replays)[number];
    const seconds = await trialSeconds(quick ? 1 : 9);
    const ratio = median(seconds.study.map((s, i) => s / (seconds.hand[i] as number)));
    const sum = (values: readonly number[]) => values.reduce((all, x) => all + x, 0);
    const head = await headSeconds(model ?? 'minilm', quick ? 2 : 8, quick ? 120 : 1600);
    const headRatio = sum(head.without) / sum(head.with);
    const upper = await upperSeconds(model ?? (quick ? 'minilm' : 'roberta-base'), quick ? 1 : 5, quick ? 64 : 480);
    const upperRatio = median(upper.without.map((s, i) => s / (upper.filled[i] as number)));
    const base = model ?? (quick ? 'minilm' : 'roberta-base');
    const [one, four] = [memoryOf(1, base), memoryOf(4, base)];
    const mixed: [Precision, MixedTimes[]][] = [];
    for (const precision of await ourPrecisions())
      mixed.push([precision, await mixedSteps(base, precision, quick ? 3 : 9)]);
    const speedups = mixed.flatMap(([precision, measured]) =>
      measured.map(({ batchSize, times }) => [`tune.mixedSteps.${precision}.${batchSize}`, 1 / times.mixed.ratio]),
    );
    return {
      peers: {},
      figures: {
        ...Object.fromEntries(speedups),
        'tune.ashaShareOfSteps': chosen.share,
        'tune.ashaPointsLost': 100 * chosen.lost,
        'tune.trialOverHand': ratio,
        'tune.keptHeadSpeedup': headRatio,
        'tune.keptUpperSpeedup': upperRatio,
        'tune.memoryOfFourOverOne': four / one,
      },
      sections: [
        {
          title: 'stopping by ASHA against running all trials to the end',
          note: `${curves.length} trials of ${curves[0]?.length} evaluations (${madeBy}), mean over ${ORDERS} orders; best of all ${all.toFixed(4)}`,
          header: ['reduction factor', 'share of the steps', 'accuracy lost, points'],
          rows: replays.map(({ factor, share, lost }) => [String(factor), share.toFixed(3), (100 * lost).toFixed(2)]),
        },
        {
          title: 'a trial of a study over the same run by hand',
          note: 'tiny encoder, 640 sentences, 2 epochs; in turns',
          header: ['', 'median s'],
          rows: [
            ['tune', median(seconds.study).toFixed(3)],
            ['fineTune', median(seconds.hand).toFixed(3)],
            ['median of the ratios', ratio.toFixed(3)],
          ],
        },
        {
          title: 'kept states of frozen layers',
          note: `head alone: ${head.with.length} trials of 5 epochs, filling included (${(head.bytes / 1e6).toFixed(1)} MB kept); LoRA on the upper half, filled (${(upper.bytes / 1e6).toFixed(1)} MB), median of ${upper.filled.length} rounds`,
          header: ['', 'without s', 'with s', 'times as fast'],
          rows: [
            ['head alone, all trials', sum(head.without).toFixed(2), sum(head.with).toFixed(2), headRatio.toFixed(1)],
            ['upper half', median(upper.without).toFixed(2), median(upper.filled).toFixed(2), upperRatio.toFixed(2)],
          ],
        },
        {
          title: 'memory of runs at once on one frozen base',
          note: `most resident memory of the process, ${base}, LoRA on all linears, batches of 16`,
          header: ['runs', 'MiB', 'over one'],
          rows: [
            ['1', one.toFixed(0), '1.00'],
            ['4', four.toFixed(0), (four / one).toFixed(2)],
          ],
        },
        ...mixed.map(([precision, measured]) => mixedTable(base, precision, measured)),
      ],
      rows: [{ replays, seconds, head, upper, memory: { one, four }, mixed }],
    };
  },
};

if (require.main === module) main(benchmark);
