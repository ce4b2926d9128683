/**
 * How many numbers a task needs (Aghajanyan et al. 2020, arXiv 2012.13255): full fine-tuning first,
 * then points in random subspaces of more and more dimensions, until one has 90 % of its metric:
 * d90. How dimensions are chosen: search.ts; training in a subspace: src/subspace.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';
import { notWritable, writeFileAtomic } from '../../io/atomic';
import { makeFolder } from '../../io/folders';
import { readJsonObject } from '../../io/json';
import { meanAndDeviation } from '../../metrics/significance';
import { readRecord, renderIntrinsic } from '../../report';
import type { SubspaceStructure } from '../../subspace/config';
import { Subspace } from '../../subspace/subspace';
import { type FineTuneOptions, fineTune } from '../../task/fine_tune';
import type { Method } from '../../task/method';
import { EVENTS } from '../../train/output';
import { mainMetric } from '../options';
import type { Spread } from '../results';
import { removeWeights, tidy } from '../run_trial';
import { type IntrinsicOptions, identityOfIntrinsic, type ResolvedIntrinsic, resolveIntrinsic } from './options';
import { leastDimension } from './search';

/** Full fine-tuning, or a dimension of a subspace, at its best rate. */
export interface IntrinsicSetting {
  learningRate: number;
  /** Over seeds. */
  value: Spread;
}

/** What one kind of subspace needed. */
export interface IntrinsicSearch {
  structure: SubspaceStructure;
  /** The least dimension that was enough; null: none up to the highest was. */
  least: number | null;
  /** In the order in which they were tried. */
  tried: (IntrinsicSetting & { dimension: number; enough: boolean })[];
}

/** One model's part of the results. */
export interface IntrinsicModel {
  model: string;
  /** Weights, and layers that SAID has a factor for. */
  weights: number;
  layers: number;
  /** Steps of masked-LM pretraining, where its folder tells. */
  pretrainingSteps: number | null;
  full: IntrinsicSetting;
  /** What is enough. */
  enough: number;
  searches: IntrinsicSearch[];
}

/** What {@link intrinsicDimension} found. */
export interface IntrinsicResults {
  metric: string;
  share: number;
  models: IntrinsicModel[];
  /** Training and measuring, over all runs and starts. */
  seconds: number;
}

interface Run {
  key: string;
  value: number;
  seconds: number;
  weights: number;
  layers: number;
  metric: string;
}

/** Runs that are done, which a later start finds again. */
class Runs {
  private readonly done = new Map<string, Run>();
  private readonly file: string;

  constructor(private readonly settings: ResolvedIntrinsic) {
    const { outputDir } = settings;
    try {
      makeFolder(outputDir);
    } catch (cause) {
      throw notWritable(outputDir, cause);
    }
    this.file = path.join(outputDir, 'runs.json');
    if (!fs.existsSync(this.file)) return;
    const { identity, runs } = readJsonObject(this.file, 'to go on', 'INVALID_DATA');
    if (JSON.stringify(identity) !== JSON.stringify(identityOfIntrinsic(settings))) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${outputDir} was begun with other options (${this.file} has them). Give the same, or another folder.`,
      );
    }
    for (const run of runs as unknown as Run[]) this.done.set(run.key, run);
  }

  get seconds(): number {
    return [...this.done.values()].reduce((sum, { seconds }) => sum + seconds, 0);
  }

  /** Trains, where it is not done, and measures on dev. */
  async of(model: string, method: Method, learningRate: number, seed: number): Promise<Run> {
    const kind = typeof method === 'object' && 'subspace' in method ? `${method.structure}-${method.subspace}` : 'full';
    const key = `${model} ${kind} rate ${learningRate} seed ${seed}`;
    const known = this.done.get(key);
    if (known) return known;
    const { common, outputDir, signal, onNotice } = this.settings;
    const folder = path.join(outputDir, 'runs', key.replace(/[^\w.-]+/g, '_'));
    const began = performance.now();
    const { textModel, metrics = {} } = await fineTune({
      ...common,
      ...{ model, method, learningRate, seed, outputDir: folder, resume: true, checkpointLimit: 1 },
      ...(signal && { signal }),
    } as FineTuneOptions);
    const metric = common.metricForBest ?? mainMetric(textModel.model.task);
    const { weights, layers } = sizesOf(textModel.model);
    textModel.model.dispose();
    if (kind === 'full') removeWeights(folder, 1);
    else tidy(folder);
    const value = metrics[metric];
    if (value === undefined) {
      throw new FusedLoraError('INVALID_ARGUMENT', `metricForBest is ${metric}, which was not measured`);
    }
    const run = { key, value, seconds: (performance.now() - began) / 1000, weights, layers, metric };
    this.done.set(key, run);
    const content = { version: 1, identity: identityOfIntrinsic(this.settings), runs: [...this.done.values()] };
    writeFileAtomic(this.file, `${JSON.stringify(content, null, 2)}\n`, { own: true });
    onNotice(`${key}: ${metric} ${value.toFixed(4)}, ${run.seconds.toFixed(1)} s`);
    return run;
  }
}

function sizesOf(model: ConstructorParameters<typeof Subspace>[0]): { weights: number; layers: number } {
  const { count, layers } = Subspace.shapeOf(model);
  return { weights: count, layers };
}

/** Steps of the run that pretrained a model, where its log lies beside it. */
function pretrainingSteps(folder: string): number | null {
  if (!fs.existsSync(path.join(folder, EVENTS))) return null;
  const { start, steps } = readRecord(folder);
  return start?.task === 'masked-lm' ? (steps.at(-1)?.step ?? null) : null;
}

/**
 * Searches the least dimension of a random subspace in which training has a share of what full
 * fine-tuning has, for each model and kind of subspace. Every setting has its best rate by the
 * first seed, and the mean over all seeds counts. Writes results.json and report.html; a folder
 * that is there goes on.
 *
 * @throws FusedLoraError INVALID_ARGUMENT; what `fineTune` throws.
 */
export async function intrinsicDimension(options: IntrinsicOptions): Promise<IntrinsicResults> {
  const settings = resolveIntrinsic(options);
  const { models, structures, share, outputDir } = settings;
  const runs = new Runs(settings);
  const found: IntrinsicModel[] = [];
  let metric = '';
  for (const model of models) {
    const measured = async (method: Method, rates: readonly number[]) => {
      const first: { rate: number; run: Run }[] = [];
      for (const rate of rates) first.push({ rate, run: await runs.of(model, method, rate, 0) });
      const better = (a: (typeof first)[number], b: (typeof first)[number]) => (b.run.value > a.run.value ? b : a);
      const { rate, run } = first.reduce(better);
      const values = [run.value];
      for (let seed = 1; seed < settings.seeds; seed++) {
        values.push((await runs.of(model, method, rate, seed)).value);
      }
      return { run, setting: { learningRate: rate, value: { ...meanAndDeviation(values), values } } };
    };
    const { run: ofFull, setting: full } = await measured('full', settings.fullRates);
    metric = ofFull.metric;
    const { weights, layers } = ofFull;
    const enough = share * full.value.mean;
    const searches: IntrinsicSearch[] = [];
    for (const structure of structures) {
      const settingsOf = new Map<number, IntrinsicSetting>();
      const least = structure === 'said' ? layers + 1 : 1;
      const range = { from: Math.max(settings.from, least), to: Math.min(Math.max(settings.to, least), weights) };
      const { least: d, tried } = await leastDimension(
        { ...range, refine: settings.refine },
        async (dimension) => {
          const { setting } = await measured({ subspace: dimension, structure }, settings.rates);
          settingsOf.set(dimension, setting);
          return setting.value.mean;
        },
        (value) => value >= enough,
      );
      const all = tried.map((one) => ({
        dimension: one.dimension,
        enough: one.enough,
        ...(settingsOf.get(one.dimension) as IntrinsicSetting),
      }));
      searches.push({ structure, least: d ?? null, tried: all });
    }
    found.push({
      ...{ model, weights, layers, pretrainingSteps: pretrainingSteps(model), enough, searches },
      full,
    });
  }
  const results: IntrinsicResults = { metric, share, models: found, seconds: runs.seconds };
  writeFileAtomic(path.join(outputDir, 'results.json'), `${JSON.stringify(results, null, 2)}\n`, { own: true });
  writeFileAtomic(
    path.join(outputDir, 'report.html'),
    renderIntrinsic(path.basename(path.resolve(outputDir)), results),
    {
      own: true,
    },
  );
  return results;
}
