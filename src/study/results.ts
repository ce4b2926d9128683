/**
 * What a study found: the best setting of each method with mean and deviation over seeds, what the
 * differences mean, and the learning curve. Runs are measured in measure_repeats.ts; the file and
 * the table that people read are made from this.
 */
import * as path from 'node:path';
import type { Example } from '../data/examples/example';
import {
  confidences,
  decisionsOf,
  expectedCalibrationError,
  type ReliabilityBin,
  reliability,
} from '../metrics/calibration';
import {
  type McNemar,
  mcNemar,
  meanAndDeviation,
  type PairedBootstrap,
  pairedBootstrap,
} from '../metrics/significance';
import type { JournalState } from './journal/records';
import { paramsOf, shownParams } from './journal/records';
import { isOneClass, type MeasuredRun, measureRun, metricOnSample, rightByMean } from './measure_repeats';
import { mainMetric, type ResolvedStudy } from './options';
import { chosenArms, ownTrials, type Phase, SEARCH } from './phases';
import type { StudyData } from './study_data';

/** Mean and deviation (n - 1) over seeds. */
export interface Spread {
  mean: number;
  deviation: number;
  count: number;
  /** By seed. */
  values: number[];
}

/** The best setting of one method. */
export interface ArmResult {
  method: string;
  /** Number of the trial that found it. */
  trial: number;
  params: Record<string, unknown>;
  /** The metric in the search, with the seed that chose the setting. */
  search: number;
  /** Trials of the method by what became of them. */
  trials: { complete: number; stopped: number; failed: number };
  parameters: { total: number; learnable: number } | undefined;
  /** With other seeds, on dev. */
  dev: Spread;
  /** On the test split, which was read once. */
  test: Spread | undefined;
  /** How its probabilities fit what came true on dev, of all seeds; absent for regression. */
  reliability: { ece: number; bins: ReliabilityBin[] } | undefined;
  /** By number of training examples, where it was asked for. */
  trainSizes: { size: number; dev: Spread }[];
}

/** Two methods on the same dev examples. */
export interface Comparison {
  first: string;
  second: string;
  /** Of the metric's mean over seeds. */
  bootstrap: PairedBootstrap;
  /** Of the mean of the runs' probabilities, where there is one class a text. */
  mcNemar: McNemar | undefined;
}

/** What {@link tune} found. */
export interface StudyResults {
  metric: string;
  /** Whether more of it is better. */
  maximize: boolean;
  /** In the order of the search. */
  methods: ArmResult[];
  comparisons: Comparison[];
  /** The method with the best mean on dev. */
  best: string;
  /** Examples that were measured on. */
  examples: { train: number; dev: number; test: number | undefined };
}

/** Over the decisions of all runs together. */
function reliabilityOf(runs: readonly MeasuredRun[]): ArmResult['reliability'] {
  const decisions = runs.flatMap(({ settings, evaluation, examples }) => decisionsOf(settings, evaluation, examples));
  if (decisions.length === 0) return undefined;
  const { probabilities, outcomes } = confidences(decisions);
  const bins = reliability(probabilities, outcomes);
  return { ece: expectedCalibrationError(bins), bins };
}

function spreadOf(values: readonly number[]): Spread {
  return { ...meanAndDeviation(values), values: [...values] };
}

const valuesOf = (state: JournalState, phase: string, arm: string, size?: number) =>
  ownTrials(state.study(phase))
    .filter((trial) => trial.slot?.arm === arm && trial.value !== undefined)
    .filter((trial) => size === undefined || paramsOf(trial)['size'] === size)
    .map(({ value }) => value as number);

/**
 * @param test the held-out examples, read for this.
 * @throws FusedLoraError what opening and evaluating a run throws.
 */
export async function resultsOf(
  study: ResolvedStudy,
  data: StudyData,
  state: JournalState,
  phases: readonly Phase[],
  metric: string,
  test: readonly Example[] | undefined,
): Promise<StudyResults> {
  const repeats = phases.find(({ keeps }) => keeps) as Phase;
  const maximize = state.study(SEARCH)?.maximize ?? true;
  const search = ownTrials(state.study(SEARCH));
  const runs = new Map<string, MeasuredRun[]>();
  const methods: ArmResult[] = [];
  for (const { arm, best } of chosenArms(study, state)) {
    const done = ownTrials(state.study(repeats.name)).filter(
      (trial) => trial.slot?.arm === arm && trial.state === 'complete',
    );
    const measured: MeasuredRun[] = [];
    for (const { number } of done) {
      const folder = path.join(study.outputDir, repeats.folder, String(number).padStart(4, '0'));
      measured.push(await measureRun(study, data, folder, metric, test));
    }
    runs.set(arm, measured);
    const counted = (wanted: string) =>
      search.filter((trial) => trial.slot?.arm === arm && trial.state === wanted).length;
    const dev = valuesOf(state, repeats.name, arm);
    methods.push({
      method: arm,
      trial: best.number,
      params: shownParams(best),
      search: best.value as number,
      trials: { complete: counted('complete'), stopped: counted('pruned'), failed: counted('failed') },
      parameters: best.attributes['parameters'] as ArmResult['parameters'],
      // Where every repeat diverged, there is what the search saw.
      dev: spreadOf(dev.length > 0 ? dev : [best.value as number]),
      test: test && measured.length > 0 ? spreadOf(measured.map((run) => run.test as number)) : undefined,
      reliability: reliabilityOf(measured),
      trainSizes: study.trainSizes.flatMap((size) => {
        const values = valuesOf(state, `${SEARCH}/train-sizes`, arm, size);
        return values.length === 0 ? [] : [{ size, dev: spreadOf(values) }];
      }),
    });
  }
  const sign = maximize ? 1 : -1;
  const byMean = [...methods].sort((a, b) => sign * (b.dev.mean - a.dev.mean));
  return {
    metric,
    maximize,
    methods,
    comparisons: comparisonsOf(runs, metric),
    best: byMean[0]?.method ?? '',
    examples: { train: data.train.length, dev: data.measured.length, test: test?.length },
  };
}

/** Every pair of methods, the later one first: a method against its baselines. */
function comparisonsOf(runs: ReadonlyMap<string, readonly MeasuredRun[]>, metric: string): Comparison[] {
  const names = [...runs.keys()].filter((name) => (runs.get(name)?.length ?? 0) > 0);
  return names.flatMap((first, i) =>
    names.slice(0, i).map((second): Comparison => {
      const [a, b] = [runs.get(first) as MeasuredRun[], runs.get(second) as MeasuredRun[]];
      const [run] = a as [MeasuredRun];
      // A sample has no loss of its own.
      const compared = metric === 'loss' ? mainMetric(run.settings.task) : metric;
      const [ofA, ofB] = [metricOnSample(a, compared), metricOnSample(b, compared)];
      return {
        first,
        second,
        bootstrap: pairedBootstrap(run.examples.length, (sample) => ofA(sample) - ofB(sample)),
        mcNemar: isOneClass(run) ? mcNemar(rightByMean(a), rightByMean(b)) : undefined,
      };
    }),
  );
}
