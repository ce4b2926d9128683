/** The HTML of reports as text: everything is in it, and nothing of the data is markup. */
import { renderReport } from '../../src/report';
import { escapeHtml, html, jsonForScript } from '../../src/report/html';
import { NASTY, recordOf } from './records';

const single = renderReport([recordOf({ name: `run ${NASTY}` })]);

test('what is put into a template is escaped, what is HTML already is not', () => {
  const inner = html`<b>${'<i>'}</b>`;
  expect(html`<p title="${'"'}">${inner}${[1, html`<br>`]}${undefined}${false}</p>`.text).toBe(
    '<p title="&quot;"><b>&lt;i&gt;</b>1<br></p>',
  );
  expect(escapeHtml(`&<>"'`)).toBe('&amp;&lt;&gt;&quot;&#39;');
});

test('JSON in a script element can not end it, and is still JSON', () => {
  const { text } = jsonForScript({ a: '</script><!-- ' });
  expect(text).not.toContain('<');
  expect(JSON.parse(text)).toEqual({ a: '</script><!-- ' });
});

test('a sentence with </script> stays a text', () => {
  // Two scripts of ours and the data.
  expect(single.match(/<script/g)).toHaveLength(3);
  expect(single.match(/<\/script>/g)).toHaveLength(3);
  expect(single).not.toContain('<img');
  expect(single).toContain(escapeHtml(NASTY));
});

test('nothing is loaded from elsewhere, and the policy forbids it', () => {
  expect(
    single.match(/\b(src|href)\s*=\s*"[^"]*"/g)?.filter((reference) => !/^href="data:,"$/.test(reference)),
  ).toEqual([]);
  expect(single).not.toMatch(/@import|url\(|\bfetch\(|XMLHttpRequest/);
  expect(single).toMatch(/Content-Security-Policy" content="default-src &#39;none&#39;; script-src &#39;sha256-/);
  expect(single).toMatch(/img-src data:; base-uri &#39;none&#39;; form-action &#39;none&#39;"/);
});

test('one run: curves, confusion, scores, hardest examples, parameters, settings, timings, machine', () => {
  const titles = ['Loss', 'Metrics on dev', 'Learning rate', 'Gradient norm', 'Speed', 'Length of the texts'];
  titles.push(
    'Confusion matrix',
    'Scores by class',
    'Hardest examples of dev',
    'What the model means',
    'Parameters',
    'Settings',
    'Timings',
    'Machine',
  );
  for (const title of titles) expect(single).toMatch(new RegExp(`<h[23]>${title}</h[23]>`));
  expect(single).toContain('dev.tsv:2');
  expect(single).toContain('12 × 64');
  // Equal layers are one row.
  expect(single.match(/query\.<wbr>lora_A/g)).toHaveLength(2);
});

test('what the model means: labels in order with their rows, texts that are cut, who said what', () => {
  const section = /<h3>What the model means<\/h3>([\s\S]*?)<\/section>/.exec(single)?.[1] as string;
  const plain = section.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
  expect(plain).toContain('Task sequence-classification --task');
  expect(plain).toContain('Most tokens of a text 64');
  expect(plain).toContain('3 of 6 in train, 0 of 2 in dev');
  expect(plain).toContain('classifier (missing)');
  expect(plain).toMatch(/label output in train in dev negative 0 4 1 .* 1 2 1/);
  expect(plain).toContain(`not ${escapeHtml(NASTY)} (base/config.json)`);
  const { start, ...others } = recordOf();
  const { meaning: _, ...older } = start as NonNullable<typeof start>;
  expect(renderReport([{ ...others, start: older }])).not.toContain('What the model means');
});

test('a regression has a scatter, a run that was stopped says so', () => {
  expect(renderReport([recordOf({ points: true })])).toContain('<h2>Predictions on dev</h2>');
  const stopped = renderReport([recordOf({ stopped: true })]);
  expect(stopped).toContain('stopped at step 120 of 120');
  expect(stopped).toContain('ABORTED: stopped by SIGINT');
});

test('several runs: their results, the settings that differ, curves one over the other', () => {
  const page = renderReport([recordOf({ name: 'first' }), recordOf({ name: 'second', rate: 2e-3 })]);
  expect(page).toContain('2 runs compared');
  expect(page).toMatch(/Settings that differ[\s\S]*learningRate[\s\S]*0\.001<[\s\S]*0\.002</);
  const data = /id="charts">(.*?)<\/script>/s.exec(page)?.[1] as string;
  const charts = JSON.parse(data) as { id: string; series: { label: string }[] }[];
  expect(charts.find(({ id }) => id === 'loss')?.series.map(({ label }) => label)).toEqual(['first', 'second']);
});

test('a log with a start alone, or steps alone, has a report', () => {
  const record = recordOf();
  expect(renderReport([{ ...record, steps: [], evaluations: [], details: undefined, end: undefined }])).toContain(
    'not finished',
  );
  expect(renderReport([{ ...record, start: undefined, details: undefined, end: undefined }])).toContain(
    '<h2>Loss</h2>',
  );
  expect(() => renderReport([])).toThrow(/at least one run/);
});
