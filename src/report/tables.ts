/**
 * The parts of a report that are no curves: confusion, scores, hardest examples, parameters,
 * settings.
 * Charts are in charts.ts; digits are chosen in format.ts.
 */
import { foldLayers } from '../nn/fold_layers';
import { bytes, count, duration, number, percent, title } from './format';
import { Html, html, trusted } from './html';
import type { DetailsEvent, RunRecord } from './record';

/** A table that scrolls by itself where the page is narrow. */
function table(head: readonly (string | Html)[], rows: readonly (readonly (string | Html)[])[], className = ''): Html {
  return html`<div class="scroll"><table class="${className}"><thead><tr>${head.map((cell) => html`<th>${cell}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>`;
}

const FACT_WIDTH = 40;
/** Hardest examples that are seen at once. */
const SHOWN_EXAMPLES = 10;

/** Names with values, one a line. */
export function facts(entries: readonly (readonly [string, string | Html | undefined])[]): Html {
  const shown = entries.filter((entry): entry is [string, string | Html] => entry[1] !== undefined);
  return html`<dl>${shown.map(
    ([name, value]) =>
      html`<div class="${!(value instanceof Html) && value.length > FACT_WIDTH ? 'wide' : ''}"><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl>`;
}

/**
 * Counts of labels (rows) by predictions (columns); the darker, the larger the share of its row.
 */
export function confusionTable({ confusion, mistakes, labelNames }: DetailsEvent): Html | undefined {
  if (mistakes) {
    const rows = mistakes.map(({ label, predicted, count: n }) => [label, predicted, count(n)]);
    return html`<h3>Most frequent mistakes</h3>${table(['label', 'predicted', 'times'], rows, 'numbers')}`;
  }
  if (!confusion) return undefined;
  const rows = confusion.map((row, label) => {
    const total = row.reduce((sum, n) => sum + n, 0);
    const cells = row.map((n, predicted) => {
      const share = total === 0 ? 0 : n / total;
      const kind = label === predicted ? 'right' : 'wrong';
      const hint = `${labelNames[label]} taken for ${labelNames[predicted]}: ${n} of ${total}`;
      const shade = n === 0 ? '' : `--share: ${Math.round(8 + 72 * share)}%`;
      return html`<td class="${kind}" style="${shade}" title="${hint}">${count(n)}${n > 0 && html`<small>${percent(n, total)}</small>`}</td>`;
    });
    return html`<tr><th scope="row">${labelNames[label]}</th>${cells}</tr>`;
  });
  return html`<h3>Confusion matrix</h3><p class="note">rows: label; columns: prediction; percentages are of the row</p>
<div class="scroll"><table class="confusion"><thead><tr><th></th>${labelNames.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

export function scoreTable({ scores, scoresOf }: DetailsEvent): Html | undefined {
  if (!scores || scores.length === 0) return undefined;
  const bar = (value: number) =>
    html`<span class="bar" style="--value: ${(100 * value).toFixed(1)}%">${value.toFixed(4)}</span>`;
  const rows = scores.map(({ name, precision, recall, f1, support }) => [
    name,
    bar(precision),
    bar(recall),
    bar(f1),
    count(support),
  ]);
  const of = scoresOf ?? 'class';
  return html`<h3>Scores by ${of}</h3>${table([of, 'precision', 'recall', 'F1', 'in dev'], rows, 'numbers')}`;
}

/** Examples with the largest loss, with what was wanted and what came. */
export function hardestTable({ hardest }: DetailsEvent): Html | undefined {
  if (!hardest || hardest.length === 0) return undefined;
  const rows = hardest.map(
    ({ place, text, textPair, label, prediction, probability, loss }) => html`<tr>
<td class="number" data-name="loss">${number(loss)}</td><td class="text">${text}${textPair !== undefined && html`<br><span class="pair">${textPair}</span>`}<small>${/^\d+$/.test(place) ? `example ${place}` : place}</small></td>
<td data-name="label">${label}</td><td data-name="prediction" class="${label === prediction ? 'same' : 'other'}">${prediction}</td>
<td class="number" data-name="probability">${probability === undefined ? '–' : probability.toFixed(3)}</td></tr>`,
  );
  const list = (some: readonly Html[]) =>
    html`<div class="scroll"><table class="hardest"><thead><tr><th class="number">loss</th><th>text</th><th>label</th><th>prediction</th><th class="number">probability</th></tr></thead><tbody>${some}</tbody></table></div>`;
  const more = rows.slice(SHOWN_EXAMPLES);
  return html`<h3>Hardest examples of dev</h3><p class="note">those with the largest loss; the probability is the one that the model gives to its prediction</p>
${list(rows.slice(0, SHOWN_EXAMPLES))}${more.length > 0 && html`<details><summary>${more.length} more</summary>${list(more)}</details>`}`;
}

export function parameterTables({ start }: RunRecord): Html | undefined {
  if (!start?.parameterTable || !start.parameters) return undefined;
  const { total, learnable } = start.parameters;
  const rows = start.parameterTable.map(([name, trained, size]) => ({ name, learnable: trained === 1, count: size }));
  const folded = foldLayers(rows);
  const cells = (rows: typeof folded) =>
    rows.map(({ name, learnable: trained, times, count: size }) => [
      html`<code>${breakable(name)}</code>`,
      trained ? html`<b class="trained">1</b>` : '0',
      times > 1 ? `${times} × ${count(size)}` : count(size),
      count(times * size),
    ]);
  const head = ['name', 'trained', 'values', 'in all'];
  const trained = folded.filter(({ learnable }) => learnable);
  return html`<h3>Parameters</h3><p>${count(total)} in all, <b>${count(learnable)} trained</b> (${percent(learnable, total)})</p>
${table(head, cells(trained), 'numbers parameters')}
<details><summary>All parameters, frozen ones too</summary>${table(head, cells(folded), 'numbers parameters')}</details>`;
}

/** Long names may break after a dot. */
const breakable = (name: string): Html[] =>
  name.split(/(?<=\.)/).map((part, i) => (i === 0 ? html`${part}` : html`${trusted('<wbr>')}${part}`));

/** Values of settings as one line. */
export function settingText(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

export function settingsFacts({ start }: RunRecord): Html | undefined {
  if (!start?.settings) return undefined;
  const entries = Object.entries(start.settings).map(([name, value]): [string, string] => [name, settingText(value)]);
  return html`<h3>Settings</h3>${facts(entries)}`;
}

export function timingFacts({ end, steps }: RunRecord): Html | undefined {
  const training = end?.training ?? {};
  const seconds = Object.entries(end?.seconds ?? {});
  if (seconds.length === 0 && steps.length === 0) return undefined;
  const tokens = steps.reduce((sum, step) => sum + (step.tokens ?? 0), 0);
  const rate = (name: string) => (typeof training[name] === 'number' ? count(Math.round(training[name])) : undefined);
  return html`<h3>Timings</h3>${facts([
    ...seconds.map(([name, value]): [string, string] => [title(name), duration(value)]),
    ['Tokens trained on', count(tokens)],
    ['Tokens a second', rate('tokensPerSecond')],
    ['Samples a second', rate('samplesPerSecond')],
  ])}`;
}

export function machineFactsOf({ start }: RunRecord): Html | undefined {
  if (!start?.machine) return undefined;
  const { cpu, cores, memoryBytes, isa, threads, gpu, node, platform, compiler } = start.machine;
  return html`<h3>Machine</h3>${facts([
    ['Device', start.device],
    ['Processor', `${cpu}, ${cores} cores`],
    ['GPU', gpu],
    ['Instruction set', `${isa}, ${threads} threads`],
    ['Memory', bytes(memoryBytes)],
    ['System', `${platform}, Node ${node}`],
    ['fused-lora', `${start.version}, ${compiler}`],
  ])}`;
}
