/**
 * Which charts a report has, as data: curves of loss, metric and rate, lengths, comparisons.
 * They are drawn in the browser by assets/page.js; points are thinned and smoothed in series.ts.
 */
import type { RunRecord } from './record';
import { binned, binWidth, type Points, pointsOf, smoothed, smoothingSpan, thinned } from './series';

export interface Series extends Points {
  label: string;
  /** Number of its colour. */
  colour: number;
  /**
   * faint: single values behind their smoothed curve; marked: a line with a point at each value.
   */
  style: 'line' | 'faint' | 'marked' | 'bars' | 'dots';
}

export interface Chart {
  id: string;
  title: string;
  /** A line under the title. */
  note?: string;
  xLabel: string;
  yLabel: string;
  /** Logarithmic y. */
  log?: boolean;
  /** Bars: width of one in x. */
  barWidth?: number;
  /** Dots: the line y = x is drawn. */
  diagonal?: boolean;
  /** Charts over steps have a common cursor. */
  overSteps: boolean;
  series: Series[];
}

type Step = RunRecord['steps'][number];
type Evaluation = RunRecord['evaluations'][number];

/** Bounded metrics stand in one chart of a single run. */
const SCORES = /^(accuracy|f1|precision|recall|matthews|microF1|macroF1|exactMatch|pearson|spearman)$/;

/** Without the series that have no points, and the charts that have no series then. */
const withPoints = (charts: readonly Chart[]): Chart[] =>
  charts
    .map((chart) => ({ ...chart, series: chart.series.filter(({ x }) => x.length > 0) }))
    .filter(({ series }) => series.length > 0);

/** Curves of one run, or of several one over the other. */
export function curves(runs: readonly RunRecord[]): Chart[] {
  const single = runs.length === 1;
  const base = { xLabel: 'step', overSteps: true };
  const perRun = (value: (event: Step) => unknown, label: string) =>
    runs.map(
      (run, i): Series => ({
        label: single ? label : run.name,
        colour: i,
        style: 'line',
        ...thinned(pointsOf(run.steps, value)),
      }),
    );
  const rough = (value: (event: Step) => unknown, label: string) =>
    runs.flatMap((run, i): Series[] => {
      const all = pointsOf(run.steps, value);
      const curve = { ...thinned(smoothed(all)), colour: i, style: 'line' as const };
      if (!single) return [{ ...curve, label: run.name }];
      if (smoothingSpan(all.x.length) < 2) return [{ ...curve, label }];
      return [
        { ...thinned(all), label: 'each step', colour: i, style: 'faint' },
        { ...curve, label: `${label}, smoothed` },
      ];
    });
  const evaluated = (value: (event: Evaluation) => unknown, label?: string, colour = 0) =>
    runs.map(
      (run, i): Series => ({
        label: label ?? run.name,
        colour: colour + i,
        style: 'marked',
        ...thinned(pointsOf(run.evaluations, value)),
      }),
    );
  const loss = rough(({ loss }) => loss, 'train');
  const devLoss = evaluated(({ metrics }) => metrics['loss'], single ? 'dev' : undefined, single ? 1 : 0);
  const norms = rough(({ gradientNorm }) => gradientNorm, 'norm');
  return withPoints([
    { ...base, id: 'loss', title: 'Loss', yLabel: 'loss', series: single ? [...loss, ...devLoss] : loss },
    ...(single ? [] : [{ ...base, id: 'dev-loss', title: 'Loss on dev', yLabel: 'loss', series: devLoss }]),
    ...metricCharts(runs, base),
    {
      ...base,
      id: 'rate',
      title: 'Learning rate',
      yLabel: 'rate',
      series: perRun(({ learningRate }) => learningRate, 'rate'),
    },
    {
      ...base,
      id: 'norm',
      title: 'Gradient norm',
      note: 'of all trained parameters together, before clipping',
      yLabel: 'norm',
      log: isWide(norms),
      series: norms,
    },
    {
      ...base,
      id: 'speed',
      title: 'Speed',
      note: 'over the last 50 steps, evaluation left out',
      yLabel: 'tokens a second',
      series: perRun(({ tokensPerSecond }) => tokensPerSecond, 'tokens a second'),
    },
  ]);
}

/** Of one run: the scores together, others (mse) by themselves. Of several: a chart a metric. */
function metricCharts(runs: readonly RunRecord[], base: { xLabel: string; overSteps: boolean }): Chart[] {
  const names = [
    ...new Set(runs.flatMap(({ evaluations }) => evaluations.flatMap(({ metrics }) => Object.keys(metrics)))),
  ].filter((name) => name !== 'loss');
  const of = (run: RunRecord, name: string) => pointsOf(run.evaluations, ({ metrics }) => metrics[name]);
  const [run] = runs;
  if (runs.length === 1 && run) {
    const scores = names.filter((name) => SCORES.test(name));
    const chart = (id: string, title: string, yLabel: string, shown: string[]): Chart => ({
      ...base,
      id,
      title,
      yLabel,
      series: shown.map((name, i) => ({ label: name, colour: i, style: 'marked', ...of(run, name) })),
    });
    return [
      chart('metrics', 'Metrics on dev', 'score', scores),
      ...names
        .filter((name) => !scores.includes(name))
        .map((name) => chart(`metric-${name}`, `${name} on dev`, name, [name])),
    ];
  }
  return names.map((name) => ({
    ...base,
    id: `metric-${name}`,
    title: `${name} on dev`,
    yLabel: name,
    series: runs.map((one, i) => ({ label: one.name, colour: i, style: 'marked', ...of(one, name) })),
  }));
}

/** Whether values differ so much that only a logarithmic axis shows all. */
function isWide(series: readonly Series[]): boolean {
  const values = series.flatMap(({ y }) => y);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least > 0 && most / least > 50;
}

/** Tokens of the sentences, train and dev as shares, so that sets of other sizes compare. */
export function lengthChart(run: RunRecord, id: string): Chart | undefined {
  const data = run.start?.data;
  if (!data?.train?.lengthCounts) return undefined;
  const sets = [{ label: 'train', ...data.train }, ...(data.dev ? [{ label: 'dev', ...data.dev }] : [])];
  const width = binWidth(Math.max(...sets.map(({ lengthCounts }) => lengthCounts.length)));
  return {
    id,
    title: 'Length of the texts',
    note: 'in tokens, special tokens counted',
    xLabel: 'tokens',
    yLabel: '% of the texts',
    barWidth: width,
    overSteps: false,
    series: sets.map(({ label, lengthCounts, examples }, i) => {
      const { x, y } = binned(lengthCounts, width);
      return { label, colour: i, style: 'bars', x, y: y.map((n) => (100 * n) / Math.max(1, examples)) };
    }),
  };
}

/** Predictions of a regression over their targets. */
export function scatterChart(run: RunRecord, id: string): Chart | undefined {
  const points = run.details?.points;
  if (!points || points.length === 0) return undefined;
  const sorted = [...points].sort(([a], [b]) => a - b);
  return {
    id,
    title: 'Predictions on dev',
    note: 'on the line, prediction and target are equal',
    xLabel: 'target',
    yLabel: 'prediction',
    diagonal: true,
    overSteps: false,
    series: [{ label: 'prediction', colour: 0, style: 'dots', x: sorted.map(([x]) => x), y: sorted.map(([, y]) => y) }],
  };
}

/** How often what was said with a probability came true. */
export function reliabilityChart(run: RunRecord, id: string): Chart | undefined {
  const calibration = run.details?.calibration;
  if (!calibration || calibration.bins.length === 0) return undefined;
  const { ece, bins } = calibration;
  return {
    id,
    title: 'Reliability on dev',
    note: `on the line, what is said with probability p is right in a share p; expected calibration error ${ece.toFixed(4)}`,
    xLabel: 'probability',
    yLabel: 'share that is right',
    diagonal: true,
    overSteps: false,
    series: [
      {
        label: 'share that is right',
        colour: 0,
        style: 'dots',
        x: bins.map(({ predicted }) => predicted),
        y: bins.map(({ observed }) => observed),
      },
    ],
  };
}
