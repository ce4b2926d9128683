/**
 * One self-contained HTML page from the results of the
 * benchmarks: Chart.js, data and style are inside.
 * Its script and style: benchmarks/report/. The command: benchmarks/report.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { formatFigure, type Plot, type Result, type Section } from './result';
import { type Judged, judgedHeader, judgedRow, summaryOf } from './targets';

const assets = path.resolve(__dirname, '..', 'report');
const read = (file: string) => fs.readFileSync(file, 'utf8');
const chartLibrary = () => read(path.join(path.dirname(require.resolve('chart.js')), 'chart.umd.min.js'));

export function escapeHtml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (character) => named[character] as string);
}

/** Neither a script's end nor a comment can come out of the data. */
const embedJson = (value: unknown) => JSON.stringify(value).replaceAll('<', '\\u003c');
/** A library's text as the body of a script element. */
const embedScript = (text: string) =>
  text.replaceAll('</script', '<\\/script').replace(/^\/\/# sourceMappingURL.*$/m, '');

function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  cellClass = (_: number, __: number) => '',
) {
  const cells = (tag: string, row: readonly string[], of: (column: number) => string) =>
    row.map((cell, c) => `<${tag}${of(c) && ` class="${of(c)}"`}>${escapeHtml(cell)}</${tag}>`).join('');
  const head = header.some((cell) => cell !== '') ? `<thead><tr>${cells('th', header, () => '')}</tr></thead>` : '';
  const body = rows.map((row, r) => `<tr>${cells('td', row, (c) => cellClass(r, c))}</tr>`).join('\n');
  const text = header.every((cell) => cell === '') ? ' class="text"' : '';
  return `<div class="scroll"><table${text}>${head}<tbody>${body}</tbody></table></div>`;
}

function facts(entries: readonly (readonly [string, string])[]): string {
  const rows = entries.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  return `<dl>${rows.join('')}</dl>`;
}

function sectionHtml({ title, note, header, rows, plot }: Section, plots: Plot[]): string {
  const parts = [`<h3>${escapeHtml(title)}</h3>`];
  if (note) parts.push(`<p>${escapeHtml(note)}</p>`);
  if (plot?.series.some(({ points }) => points.length > 0)) {
    parts.push(`<div class="chart"><canvas id="plot-${plots.length}" role="img"></canvas></div>`);
    plots.push(plot);
  }
  parts.push(table(header, rows));
  return parts.join('\n');
}

function resultHtml(result: Result, plots: Plot[]): string {
  const { benchmark, question, quick, model, machine, figures, sections, peers } = result;
  const named = Object.entries(figures).map(([name, figure]) => [name, formatFigure(figure)]);
  return [
    `<h2 id="${benchmark}">bench:${benchmark}${model ? ` (${model})` : ''}</h2>`,
    `<p>${escapeHtml(question)}${quick ? ' <strong>Quick: few sizes and rounds, rough figures.</strong>' : ''}</p>`,
    facts(Object.entries(machine).map(([name, value]) => [name, String(value)])),
    ...sections.map((section) => sectionHtml(section, plots)),
    ...(named.length > 0 ? [`<details><summary>figures</summary>${table(['figure', ''], named)}</details>`] : []),
    `<details><summary>peers: versions and settings</summary><pre class="scroll">${escapeHtml(JSON.stringify(peers, null, 2))}</pre></details>`,
  ].join('\n');
}

const verdictClass = {
  'stretch met': 'verdict good',
  met: 'verdict good',
  'not met': 'verdict bad',
  'not measured': 'verdict muted',
} as const;

/** @param judged the rows of targets.json; none where no result bears on them. */
export function reportHtml(results: readonly Result[], judged: readonly Judged[]): string {
  const plots: Plot[] = [];
  const bodies = results.map((result) => resultHtml(result, plots));
  const links = results.map(({ benchmark }) => `<a href="#${benchmark}">bench:${benchmark}</a>`);
  const targets =
    judged.length === 0
      ? ''
      : `<h2 id="targets">figures to reach</h2>\n<p>${escapeHtml(summaryOf(judged))}.</p>\n${table(
          judgedHeader,
          judged.map(judgedRow),
          (r, c) => (c === judgedHeader.length - 1 ? verdictClass[(judged[r] as Judged).verdict] : ''),
        )}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fused-lora benchmarks</title>
<style>
${read(path.join(assets, 'page.css'))}</style>
</head>
<body>
<h1>fused-lora benchmarks</h1>
<nav>${links.join(' ')}</nav>
${targets}
${bodies.join('\n')}
<script>${embedScript(chartLibrary())}</script>
<script>
const plots = ${embedJson(plots)};
${embedScript(read(path.join(assets, 'charts.js')))}</script>
</body>
</html>
`;
}
