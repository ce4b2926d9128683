/**
 * The whole document: one file with style, script and data inside, about one run or several.
 * Its charts come from charts.ts, its tables from tables.ts, all of it from a record (record.ts);
 * the shell around it is document.ts.
 */
import { FusedLoraError } from '../base/errors';
import { type Chart, curves, lengthChart, reliabilityChart, scatterChart } from './charts';
import { documentOf } from './document';
import { count, duration, number, percent } from './format';
import { type Html, html, jsonForScript } from './html';
import { meaningTable } from './meaning_table';
import type { RunRecord } from './record';
import {
  confusionTable,
  facts,
  hardestTable,
  machineFactsOf,
  parameterTables,
  scoreTable,
  settingsFacts,
  settingText,
  timingFacts,
} from './tables';

const figure = ({ id, title, note }: Chart, level: 2 | 3): Html =>
  html`<figure data-chart="${id}">${level === 2 ? html`<h2>${title}</h2>` : html`<h3>${title}</h3>`}${note && html`<p class="note">${note}</p>`}<div class="plot"></div></figure>`;

/** How a run stands, in a word, and why it ended where it was cut off. */
function state({ end, stop, steps }: RunRecord): { word: string; reason?: string } {
  if (end) return { word: 'finished' };
  const last = steps.at(-1);
  const at = last ? ` at step ${last.step} of ${last.totalSteps}` : '';
  if (stop) return { word: `stopped${at}`, reason: `${stop.code}: ${stop.message}` };
  return { word: `not finished${at}` };
}

/**
 * The metric that a run is judged by: the one that chose the
 * best state, else the first that is no loss.
 */
function mainMetric({ start, end, evaluations }: RunRecord): [string, number] | undefined {
  const metrics = end?.metrics ?? evaluations.at(-1)?.metrics ?? {};
  const wanted = start?.settings?.['metricForBest'];
  const names = Object.keys(metrics).filter((name) => name !== 'loss');
  const name = typeof wanted === 'string' && wanted in metrics ? wanted : (names[0] ?? Object.keys(metrics)[0]);
  return name === undefined ? undefined : [name, metrics[name] as number];
}

function tiles(run: RunRecord): Html {
  const { start, end, steps } = run;
  const metric = mainMetric(run);
  const seconds = end?.seconds?.['training'];
  const parameters = start?.parameters;
  const tile = (name: string, value: string, more?: string | false) =>
    html`<div><span>${name}</span><b>${value}</b>${more && html`<small>${more}</small>`}</div>`;
  return html`<div class="tiles">${metric && tile(`${metric[0]} on dev`, number(metric[1]))}${tile(
    'steps',
    count(steps.at(-1)?.step ?? 0),
    !end && state(run).word,
  )}${seconds !== undefined && tile('training time', duration(seconds))}${
    parameters &&
    tile('trained parameters', count(parameters.learnable), percent(parameters.learnable, parameters.total))
  }</div>`;
}

/** All metrics of the saved state. */
function metricFacts({ end }: RunRecord): Html | undefined {
  const entries = Object.entries(end?.metrics ?? {});
  return entries.length === 0
    ? undefined
    : html`<h3>Saved state on dev</h3>${facts(entries.map(([name, value]): [string, string] => [name, number(value)]))}`;
}

/**
 * What a run has beside its curves. @param inGrid whether
 * scatter and lengths stand among the curves.
 */
function runSections(run: RunRecord, index: number, inGrid: boolean): { body: Html; charts: Chart[] } {
  const scatter = scatterChart(run, `scatter-${index}`);
  const reliable = reliabilityChart(run, `reliability-${index}`);
  const lengths = lengthChart(run, `lengths-${index}`);
  const { details } = run;
  const own = inGrid ? [] : [scatter, reliable, lengths].filter((chart) => chart !== undefined);
  const section = (...parts: (Html | undefined)[]) => {
    const shown = parts.filter((part) => part !== undefined);
    return shown.length === 0 ? undefined : html`<section>${shown}</section>`;
  };
  const body = html`${section(
    metricFacts(run),
    details && confusionTable(details),
    details && scoreTable(details),
  )}${section(details && hardestTable(details))}${section(...own.map((chart) => figure(chart, 3)))}${section(meaningTable(run))}${section(parameterTables(run))}${section(
    settingsFacts(run),
    timingFacts(run),
    machineFactsOf(run),
  )}`;
  return { body, charts: own };
}

/** Metrics of all runs, the best of each marked, and the settings in which they differ. */
function comparison(runs: readonly RunRecord[]): Html {
  const metrics = runs.map(({ end, evaluations }) => end?.metrics ?? evaluations.at(-1)?.metrics ?? {});
  const names = [...new Set(metrics.flatMap((one) => Object.keys(one)))];
  const best = new Map(
    names.map((name) => {
      const values = metrics.map((one) => one[name]).filter((value) => typeof value === 'number');
      return [name, /(loss|mse)$/.test(name) ? Math.min(...values) : Math.max(...values)];
    }),
  );
  const settings = runs.map(({ start }) => ({ method: start?.method, ...start?.settings }) as Record<string, unknown>);
  const differing = [...new Set(settings.flatMap((one) => Object.keys(one)))].filter(
    (name) => name !== 'outputDir' && new Set(settings.map((one) => settingText(one[name]))).size > 1,
  );
  const name = (run: RunRecord, i: number) => html`<td><span class="swatch c${i % 8}"></span>${run.name}</td>`;
  const speeds = runs.map(({ steps }) => steps.at(-1)?.tokensPerSecond);
  const result = html`<h2>Results</h2><p class="note">of the saved state on dev; the best of each column is bold</p><div class="scroll"><table class="numbers">
<thead><tr><th>run</th>${names.map((metric) => html`<th>${metric}</th>`)}<th>steps</th><th>training time</th><th>tokens a second</th><th>trained</th><th>state</th></tr></thead>
<tbody>${runs.map(
    (run, i) => html`<tr>${name(run, i)}${names.map((metric) => {
      const value = metrics[i]?.[metric];
      return html`<td>${value === best.get(metric) ? html`<b>${number(value)}</b>` : number(value)}</td>`;
    })}<td>${count(run.steps.at(-1)?.step ?? 0)}</td><td>${run.end?.seconds?.['training'] === undefined ? '–' : duration(run.end.seconds['training'])}</td>
<td>${speeds[i] === undefined ? '–' : count(Math.round(speeds[i]))}</td><td>${run.start?.parameters ? count(run.start.parameters.learnable) : '–'}</td><td>${state(run).word}</td></tr>`,
  )}</tbody></table></div>`;
  const other =
    differing.length > 0 &&
    html`<h2>Settings that differ</h2><div class="scroll"><table><thead><tr><th>run</th>${differing.map((setting) => html`<th>${setting}</th>`)}</tr></thead>
<tbody>${runs.map((run, i) => html`<tr>${name(run, i)}${differing.map((setting) => html`<td>${settingText(settings[i]?.[setting])}</td>`)}</tr>`)}</tbody></table></div>`;
  return html`<section>${result}${other}</section>`;
}

function heading(runs: readonly RunRecord[]): { title: string; head: Html } {
  const [run] = runs;
  if (runs.length > 1 || !run) {
    const title = `${runs.length} runs compared`;
    return { title, head: html`<header><h1>${title}</h1></header>` };
  }
  const { start } = run;
  const { word, reason } = state(run);
  const time = start?.time && `${new Date(start.time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const line = start && [start.task, start.method, time].filter((part) => part !== undefined);
  return {
    title: `${run.name}: training report`,
    head: html`<header><h1>${run.name}</h1><p>${line && `${line.join(' · ')} · `}${word}</p>${reason && html`<p class="reason">${reason}</p>`}</header>`,
  };
}

/**
 * The report of one run, or of several compared.
 *
 * @returns HTML without any reference to another file or place; its Content-Security-Policy lets
 * run no script but its own two and load nothing.
 */
export function renderReport(runs: readonly RunRecord[]): string {
  if (runs.length === 0) throw new FusedLoraError('INVALID_ARGUMENT', 'a report needs at least one run');
  const { title, head } = heading(runs);
  const single = runs.length === 1 ? runs[0] : undefined;
  const others = single
    ? [scatterChart(single, 'scatter'), reliabilityChart(single, 'reliability'), lengthChart(single, 'lengths')]
    : [];
  const lines = [...curves(runs), ...others.filter((chart) => chart !== undefined)];
  const sections = runs.map((run, i) => runSections(run, i, single !== undefined));
  const charts = [...lines, ...sections.flatMap(({ charts }) => charts)];
  const body = html`${head}${single ? tiles(single) : comparison(runs)}
<div class="charts">${lines.map((chart) => figure(chart, 2))}</div>
${
  single
    ? sections.map(({ body }) => body)
    : sections.map(
        ({ body }, i) =>
          html`<details class="run"><summary><span class="swatch c${i % 8}"></span>${runs[i]?.name}</summary>${body}</details>`,
      )
}
<footer>Made by fused-lora${single?.start && ` ${single.start.version}`}. Nothing in this file is loaded from elsewhere.</footer>`;
  return documentOf(title, body, {
    styles: ['uplot/dist/uPlot.min.css', 'page.css'],
    scripts: ['uplot/dist/uPlot.iife.min.js', 'page.js'],
    data: html`<script type="application/json" id="charts">${jsonForScript(charts)}</script>`,
  });
}
