/**
 * The page about a study: its table and tests, then pictures of rates, components and ranks, all
 * trials with what was stopped, when they ran, learning curves and reliability. It is made of a
 * study_record.ts; pictures are drawn by plot.ts.
 */
import { documentOf } from './document';
import { count, duration, number, percent, title } from './format';
import { type Html, html } from './html';
import { type Axis, around, bar, dot, frameOf, legend, line, picture, tick } from './plot';
import type { StudyRecordFacts, StudySpread, StudyTrial } from './study_record';
import { facts } from './tables';

interface Figure {
  title: string;
  note?: string;
  content: Html;
}

/** Trials that came to a value: by their end, or when they were stopped. */
const valued = (study: StudyRecordFacts) =>
  study.trials.flatMap((trial) => {
    const value = trial.value ?? trial.reports.at(-1)?.[1];
    return value === undefined || !Number.isFinite(value) ? [] : [{ ...trial, value }];
  });

const colourOf = (study: StudyRecordFacts) => {
  const names = study.methods.map(({ method }) => method);
  return (method: string) => Math.max(0, names.indexOf(method));
};

const settingsOf = (params: Readonly<Record<string, unknown>>) =>
  Object.entries(params)
    .filter(([name]) => name !== 'method')
    .map(([name, value]) => `${name} ${typeof value === 'number' ? tick(value) : String(value)}`)
    .join(', ');

const told = ({ number: n, method, value, params, state }: StudyTrial & { value: number }) =>
  `trial ${n}, ${method}: ${number(value)}${state === 'pruned' ? ', stopped' : ''}; ${settingsOf(params)}`;

const methodsLegend = (study: StudyRecordFacts) => legend(study.methods.map(({ method }) => method));

/** Learning rate against the metric. */
function rateFigure(study: StudyRecordFacts): Figure | undefined {
  const trials = valued(study).filter(({ params }) => typeof params['learningRate'] === 'number');
  if (trials.length === 0) return undefined;
  const rate = (trial: StudyTrial) => trial.params['learningRate'] as number;
  const x: Axis = { label: 'learning rate', log: true, ...around(trials.map(rate), true) };
  const y: Axis = { label: study.metric, ...around(trials.map(({ value }) => value)) };
  const frame = frameOf(x, y);
  const colour = colourOf(study);
  const dots = trials.map((trial) =>
    dot(frame.x(rate(trial)), frame.y(trial.value), colour(trial.method), told(trial), trial.state === 'pruned'),
  );
  return {
    title: `Learning rate and ${study.metric}`,
    note: 'a circle is a trial that was stopped, at its last value',
    content: html`${picture(`${study.metric} by learning rate`, [frame.axes, ...dots])}${methodsLegend(study)}`,
  };
}

/** The metric by what one parameter was: a column a value. */
function choiceFigure(study: StudyRecordFacts, name: string, heading: string, method?: string): Figure | undefined {
  const trials = valued(study).filter(
    (trial) => trial.params[name] !== undefined && (method === undefined || trial.method === method),
  );
  const values = [...new Set(trials.map(({ params }) => params[name]))];
  values.sort((a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))));
  if (values.length < 2) return undefined;
  const x: Axis = { label: name, from: 0, to: values.length, names: values.map(shownChoice) };
  const frame = frameOf(x, { label: study.metric, ...around(trials.map(({ value }) => value)) });
  const colour = colourOf(study);
  const dots = trials.map((trial) =>
    dot(
      frame.x(values.indexOf(trial.params[name] as string)),
      frame.y(trial.value),
      colour(trial.method),
      told(trial),
      trial.state === 'pruned',
    ),
  );
  return { title: heading, content: picture(`${study.metric} by ${name}`, [frame.axes, ...dots]) };
}

/** `["query","value"]` as it is read: query, value. */
const shownChoice = (value: unknown) =>
  String(value)
    .replace(/^\["|"\]$/g, '')
    .replaceAll('","', ', ');

/** All trials of a method over all its parameters. */
function parallelFigure(study: StudyRecordFacts, method: string): Figure | undefined {
  const trials = valued(study).filter((trial) => trial.method === method);
  const names = [...new Set(trials.flatMap(({ params }) => Object.keys(params)))].filter(
    (name) => name !== 'method' && new Set(trials.map(({ params }) => params[name])).size > 1,
  );
  if (names.length < 2 || trials.length < 3) return undefined;
  const columns = [...names, study.metric];
  const frame = frameOf(
    { label: '', from: 0, to: columns.length, names: columns },
    { label: '', from: 0, to: 1, names: [] },
    { left: 24 },
  );
  // Each column from its least to its most; words in their order.
  const scaleOf = (name: string) => {
    const all = trials.map((trial) => (name === study.metric ? trial.value : trial.params[name]));
    const numbers = all.filter((value): value is number => typeof value === 'number');
    const isNumeric = numbers.length === all.filter((value) => value !== undefined).length;
    const words = [...new Set(all.map(String))].sort();
    const at = name === 'learningRate' ? Math.log : (value: number) => value;
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const ends = isNumeric ? [number(low), number(high)] : [words[0], words.at(-1)].map(shownChoice);
    const position = (value: unknown) =>
      isNumeric
        ? high === low
          ? 0.5
          : (at(value as number) - at(low)) / (at(high) - at(low))
        : words.indexOf(String(value)) / Math.max(1, words.length - 1);
    return { position, ends };
  };
  const scales = columns.map(scaleOf);
  const [top, bottom] = [44, 206];
  const yAt = (position: number) => Number((bottom - position * (bottom - top)).toFixed(1));
  const ends = scales.map(
    ({ ends: [low, high] }, i) =>
      html`<text x="${frame.x(i)}" y="${bottom + 14}" text-anchor="middle">${low}</text><text x="${frame.x(i)}" y="${top - 6}" text-anchor="middle">${high}</text>`,
  );
  const ranked = [...trials].sort((a, b) => (study.maximize ? 1 : -1) * (a.value - b.value));
  const lines = ranked.map((trial, i) => {
    const points = columns.flatMap((name, c): [number, number][] => {
      const value = name === study.metric ? trial.value : trial.params[name];
      return value === undefined ? [] : [[frame.x(c), yAt((scales[c] as (typeof scales)[number]).position(value))]];
    });
    return line(points, colourOf(study)(method), told(trial), i < ranked.length - 3);
  });
  return {
    title: `Settings of ${method}`,
    note: 'a line is a trial; the best three are strong',
    content: picture(`parallel coordinates of ${method}`, [frame.axes, html`<g class="axes">${ends}</g>`, ...lines]),
  };
}

/** Every trial's reports: what was stopped where. */
function reportsFigure(study: StudyRecordFacts): Figure | undefined {
  const trials = study.trials.filter(({ reports }) => reports.length > 0);
  const points = trials.flatMap(({ reports }) => reports);
  if (points.length < 2) return undefined;
  const steps = points.map(([step]) => step);
  const frame = frameOf(
    { label: 'evaluation', whole: true, from: Math.min(...steps), to: Math.max(...steps, Math.min(...steps) + 1) },
    { label: study.metric, ...around(points.map(([, value]) => value)) },
  );
  const colour = colourOf(study);
  const lines = trials.map((trial) => {
    const at = trial.reports.map(([step, value]): [number, number] => [frame.x(step), frame.y(value)]);
    const [x, y] = at.at(-1) as [number, number];
    const stopped = trial.state === 'pruned';
    const last = trial.reports.at(-1)?.[1] as number;
    return html`${line(at, colour(trial.method), '', stopped)}${dot(x, y, colour(trial.method), told({ ...trial, value: last }), stopped)}`;
  });
  return {
    title: 'Trials as they went',
    note: 'a circle: stopped there',
    content: html`${picture(`${study.metric} by evaluation`, [frame.axes, ...lines])}${methodsLegend(study)}`,
  };
}

/** When each trial ran. */
function timelineFigure(study: StudyRecordFacts): Figure | undefined {
  const ran = study.trials.flatMap((trial) => {
    const [from, to] = [Date.parse(trial.started ?? ''), Date.parse(trial.ended ?? '')];
    return Number.isNaN(from) || Number.isNaN(to) ? [] : [{ trial, from, to }];
  });
  if (ran.length < 2) return undefined;
  const begin = Math.min(...ran.map(({ from }) => from));
  const seconds = (time: number) => (time - begin) / 1000;
  const end = Math.max(...ran.map(({ to }) => seconds(to)));
  const [unit, per] = end > 7200 ? ['hours', 3600] : end > 120 ? ['minutes', 60] : ['seconds', 1];
  const height = 64 + Math.min(480, 11 * ran.length);
  const frame = frameOf(
    { label: `${unit} since the first began`, from: 0, to: Math.max(end / per, 1e-3) },
    { label: 'trial', from: ran.length + 0.5, to: -0.5 },
    { height },
  );
  const colour = colourOf(study);
  const bars = ran.map(({ trial, from, to }, i) =>
    bar(
      frame.x(seconds(from) / per),
      frame.x(seconds(to) / per),
      frame.y(i),
      colour(trial.method),
      `trial ${trial.number}, ${trial.method}, ${trial.state === 'pruned' ? 'stopped' : trial.state}: ${duration((to - from) / 1000)}`,
      trial.state !== 'complete',
    ),
  );
  return {
    title: 'When trials ran',
    note: 'light: stopped or failed',
    content: html`${picture('timeline of the trials', [frame.axes, ...bars], height)}${methodsLegend(study)}`,
  };
}

/** The best settings on fewer examples: mean, with the deviation as a line. */
function sizesFigure(study: StudyRecordFacts): Figure | undefined {
  const all = study.methods.flatMap(({ trainSizes }) => trainSizes);
  if (all.length === 0) return undefined;
  const ends = all.flatMap(({ dev: { mean, deviation } }) => [mean - deviation, mean + deviation]);
  const frame = frameOf(
    {
      label: 'training examples',
      log: true,
      ...around(
        all.map(({ size }) => size),
        true,
      ),
    },
    { label: study.metric, ...around(ends) },
  );
  const curves = study.methods.map(({ method, trainSizes }, c) => {
    const points = trainSizes.map(({ size, dev }): [number, number] => [frame.x(size), frame.y(dev.mean)]);
    const spread = trainSizes.map(({ size, dev: { mean, deviation, count: n } }) => {
      const [x, words] = [frame.x(size), `${method}, ${size} examples: ${number(mean)} ± ${number(deviation)} (${n})`];
      return html`${line(
        [
          [x, frame.y(mean - deviation)],
          [x, frame.y(mean + deviation)],
        ],
        c,
        words,
        true,
      )}${dot(x, frame.y(mean), c, words)}`;
    });
    return html`${points.length > 1 && line(points, c)}${spread}`;
  });
  return {
    title: 'Learning curve',
    note: 'mean over seeds, the thin line one deviation to both sides',
    content: html`${picture(`${study.metric} by number of training examples`, [frame.axes, ...curves])}${methodsLegend(study)}`,
  };
}

/** How often what was said with a probability came true. */
function reliabilityFigure(study: StudyRecordFacts): Figure | undefined {
  const known = study.methods.filter(({ reliability }) => reliability !== undefined);
  if (known.length === 0) return undefined;
  const frame = frameOf({ label: 'probability', from: 0, to: 1 }, { label: 'share that is right', from: 0, to: 1 });
  const colour = colourOf(study);
  const curves = known.map(({ method, reliability }) => {
    const bins = reliability?.bins ?? [];
    const points = bins.map(({ predicted, observed }): [number, number] => [frame.x(predicted), frame.y(observed)]);
    const dots = bins.map(({ predicted, observed, count: n }, i) => {
      const [x, y] = points[i] as [number, number];
      return dot(x, y, colour(method), `${method}: ${number(observed)} of ${count(n)} said with ${number(predicted)}`);
    });
    return html`${line(points, colour(method))}${dots}`;
  });
  const ideal = html`<g class="axes">${line(
    [
      [frame.x(0), frame.y(0)],
      [frame.x(1), frame.y(1)],
    ],
    7,
    '',
    true,
  )}</g>`;
  const errors = known.map(({ method, reliability }) => `${method} ${(reliability?.ece ?? 0).toFixed(4)}`).join(', ');
  return {
    title: 'Reliability on dev',
    note: `of all seeds; expected calibration error: ${errors}`,
    content: html`${picture('reliability', [frame.axes, ideal, ...curves])}${methodsLegend(study)}`,
  };
}

const spread = (given: StudySpread | undefined) =>
  given === undefined ? '–' : `${given.mean.toFixed(4)} ± ${given.deviation.toFixed(4)} (${given.count})`;

function tables(study: StudyRecordFacts): Html {
  const { methods, comparisons, metric, best, examples } = study;
  const withTest = methods.some(({ test }) => test !== undefined);
  const rows = methods.map(
    (
      one,
      i,
    ) => html`<tr><td><span class="swatch c${i % 8}"></span>${one.method === best ? html`<b>${one.method}</b>` : one.method}</td><td>${one.parameters ? `${count(one.parameters.learnable)} (${percent(one.parameters.learnable, one.parameters.total)})` : '–'}</td>
<td>${spread(one.dev)}</td>${withTest && html`<td>${spread(one.test)}</td>`}<td>${one.trials.complete}</td><td>${one.trials.stopped}</td><td>${one.trials.failed}</td></tr>`,
  );
  const differences = comparisons.map(
    ({ first, second, bootstrap: { difference, low, high, p }, mcNemar }) =>
      html`<tr><td>${first} − ${second}</td><td>${difference.toFixed(4)}</td><td>${low.toFixed(4)} to ${high.toFixed(4)}</td><td>${p.toFixed(3)}</td><td>${mcNemar === undefined ? '–' : mcNemar.p.toFixed(3)}</td></tr>`,
  );
  const settings = methods.map(({ method, params }): [string, string] => [method, settingsOf(params)]);
  const ofTest = examples.test === undefined ? 'no test split' : `${count(examples.test)} in test, read once`;
  return html`<section><h2>Methods</h2><p class="note">mean ± deviation (number of seeds) of each method's best setting; ${count(examples.train)} examples in train, ${count(examples.dev)} measured on, ${ofTest}; the best on dev is bold</p>
<div class="scroll"><table class="numbers"><thead><tr><th>method</th><th>trained</th><th>${metric} on dev</th>${withTest && html`<th>${metric} on test</th>`}<th>trials</th><th>stopped</th><th>failed</th></tr></thead><tbody>${rows}</tbody></table></div><h3>Best settings</h3>${facts(settings)}${
    differences.length > 0 &&
    html`<h2>Differences on dev</h2><p class="note">of the mean over seeds; the interval and p are of the paired bootstrap, McNemar's p of the seeds' mean probabilities</p>
<div class="scroll"><table class="numbers"><thead><tr><th></th><th>difference</th><th>95 % interval</th><th>p</th><th>McNemar p</th></tr></thead><tbody>${differences}</tbody></table></div>`
  }</section>`;
}

/**
 * The page about a study.
 *
 * @returns HTML that runs no script and loads nothing.
 */
export function renderStudy(study: StudyRecordFacts): string {
  const figures = [
    rateFigure(study),
    choiceFigure(study, 'lora.pattern', `${title(study.metric)} by component`, 'lora'),
    choiceFigure(study, 'lora.targetModules', `${title(study.metric)} by component`, 'lora'),
    choiceFigure(study, 'lora.r', `${title(study.metric)} by rank`, 'lora'),
    ...study.methods.map(({ method }) => parallelFigure(study, method)),
    reportsFigure(study),
    timelineFigure(study),
    sizesFigure(study),
    reliabilityFigure(study),
  ].filter((one): one is Figure => one !== undefined);
  const stopped = study.trials.filter(({ state }) => state === 'pruned').length;
  const body = html`<header><h1>${study.name}</h1><p>study of ${study.metric} · ${count(study.trials.length)} trials, ${count(stopped)} stopped</p></header>
${tables(study)}
<div class="charts">${figures.map(({ title: heading, note, content }) => html`<figure><h2>${heading}</h2>${note && html`<p class="note">${note}</p>`}<div class="scroll">${content}</div></figure>`)}</div>
<footer>Made by fused-lora. Nothing in this file is loaded from elsewhere.</footer>`;
  return documentOf(`${study.name}: study`, body, { styles: ['page.css', 'study.css'] });
}
