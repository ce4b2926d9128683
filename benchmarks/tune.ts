/**
 * What does stopping early save a study, and what does a trial cost beside the same run by hand?
 * Stopping is replayed on stored learning curves (benchmarks/data/tune-curves.json) by the code
 * that studies use; trials run on the encoder of the quickstart.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { makeSentimentTask } from '../examples/sentiment_grammar';
import { RANDOM_SITE, RandomStream } from '../src/base/philox';
import { tune } from '../src/study';
import { Journal } from '../src/study/journal/journal_file';
import { stops } from '../src/study/search/asha';
import { fineTune } from '../src/task/fine_tune';
import { repository } from './lib/folders';
import { main } from './lib/main';
import type { Benchmark } from './lib/result';

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

/** Seconds of a trial of a study, and of the same fineTune by hand, in turns. */
async function trialSeconds(rounds: number): Promise<{ study: number[]; hand: number[] }> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-bench-tune-'));
  const task = makeSentimentTask();
  const common = {
    model: path.join(repository, 'assets', 'tiny-roberta'),
    train: task.train.slice(0, 640),
    dev: task.dev.slice(0, 160),
    epochs: 2,
    batchSize: 16,
    device: 'cpu' as const,
  };
  const [study, hand]: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round <= rounds; round++) {
      const outputDir = path.join(dir, `study-${round}`);
      const space = { learningRate: [1e-3], 'lora.r': [8] };
      await tune({ ...common, outputDir, space, trials: 1, repeats: 1, baselines: false });
      const [trial] = new Journal(path.join(outputDir, 'journal.log')).read().trials;
      const began = performance.now();
      const { textModel } = await fineTune({
        ...common,
        ...{
          outputDir: path.join(dir, `hand-${round}`),
          learningRate: 1e-3,
          metricForBest: 'accuracy',
          checkpointLimit: 1,
        },
      });
      textModel.model.dispose();
      // The first of each warms up.
      if (round === 0) continue;
      hand.push((performance.now() - began) / 1000);
      study.push(trial?.attributes['trialSeconds'] as number);
    }
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
  return { study, hand };
}

export const benchmark: Benchmark = {
  name: 'tune',
  question: 'What does stopping early save a study, and what does a trial cost beside the same run by hand?',
  alone: true,
  async run({ quick }) {
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
    const seconds = await trialSeconds(quick ? 1 : 7);
    const ratio = median(seconds.study.map((s, i) => s / (seconds.hand[i] as number)));
    return {
      peers: {},
      figures: {
        'tune.ashaShareOfSteps': chosen.share,
        'tune.ashaPointsLost': 100 * chosen.lost,
        'tune.trialOverHand': ratio,
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
      ],
      rows: [{ replays, seconds }],
    };
  },
};

if (require.main === module) main(benchmark);
