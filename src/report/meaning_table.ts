/**
 * What the model of a run means, as its log tells it: task, labels in order with their counts,
 * length, tokenizer, new weights, and who said each. Other tables are in tables.ts.
 */
import { count } from './format';
import { type Html, html } from './html';
import type { MeaningFacts, RunRecord } from './record';
import { facts } from './tables';

/** Labels that are seen at once. */
const SHOWN_LABELS = 50;

function labelTable({ labels = [] }: MeaningFacts): Html | undefined {
  if (labels.length === 0) return undefined;
  const of = (part: 'train' | 'dev') => labels.some((label) => typeof label[part] === 'number');
  const parts = (['train', 'dev'] as const).filter(of);
  const rows = labels.map(
    (label, id) =>
      html`<tr><td>${label.name}</td><td>${id}</td>${parts.map((part) => html`<td>${count(label[part] ?? 0)}</td>`)}</tr>`,
  );
  const list = (some: readonly Html[]) =>
    html`<div class="scroll"><table class="numbers"><thead><tr><th>label</th><th>output</th>${parts.map((part) => html`<th>in ${part}</th>`)}</tr></thead><tbody>${some}</tbody></table></div>`;
  const more = rows.slice(SHOWN_LABELS);
  return html`${list(rows.slice(0, SHOWN_LABELS))}${more.length > 0 && html`<details><summary>${count(more.length)} more</summary>${list(more)}</details>`}`;
}

/** Undefined of a log that does not tell. */
export function meaningTable({ start }: RunRecord): Html | undefined {
  const meaning = start?.meaning;
  if (!meaning) return undefined;
  const { sources = {}, newWeights = [], notes = [], cut, labels = [] } = meaning;
  const said = (value: unknown, source: string) =>
    value === undefined
      ? undefined
      : html`${String(value)}${sources[source] !== undefined && html` <small>${sources[source]}</small>`}`;
  const texts = { train: start.data?.train?.examples, dev: start.data?.dev?.examples };
  const cutOf = (part: 'train' | 'dev') =>
    cut?.[part] === undefined ? [] : [`${count(cut[part])} of ${count(texts[part] ?? 0)} in ${part}`];
  const cuts = [...cutOf('train'), ...cutOf('dev')].join(', ');
  return html`<h3>What the model means</h3>${facts([
    ['Task', said(meaning.task, 'task')],
    ['Labels', labels.length === 0 ? undefined : said(labels.length, 'labels')],
    ['Outputs', labels.length === 0 ? said(meaning.numLabels, 'labels') : undefined],
    ['Most tokens of a text', said(meaning.maxLength, 'maxLength')],
    ['Longer texts, which are cut', cuts === '' ? undefined : cuts],
    ['Cut on the', said(meaning.truncationSide, 'truncationSide')],
    ['Threshold', meaning.threshold === undefined ? undefined : String(meaning.threshold)],
    ['Pairs of texts', meaning.pairs === undefined ? undefined : meaning.pairs ? 'yes' : 'no'],
    ['Tokenizer', said(meaning.tokenizer, 'tokenizer')],
    [
      'New weights',
      newWeights.length === 0 ? 'none' : newWeights.map(({ path, reason }) => `${path} (${reason})`).join(', '),
    ],
  ])}${labelTable(meaning)}${notes.length > 0 && html`<ul class="notes">${notes.map((note) => html`<li>${note}</li>`)}</ul>`}`;
}
