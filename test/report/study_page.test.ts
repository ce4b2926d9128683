/** The page about a study: every picture from its facts, texts that stay texts, round axes. */
import { renderStudy, type StudyRecordFacts } from '../../src/report';
import { around, ticksOf } from '../../src/report/plot';

const bootstrap = { difference: 0.05, low: 0.01, high: 0.09, p: 0.02, resamples: 1000 };
const spread = (mean: number) => ({ mean, deviation: 0.01, count: 3 });
const trial = (number: number, method: string, rate: number, more: object = {}) => ({
  number,
  method,
  state: 'complete' as const,
  value: 0.8 + number / 100,
  params: {
    method,
    learningRate: rate,
    ...(method === 'lora' && { 'lora.r': 2 ** (number % 3), batchSize: 8 + number }),
  },
  reports: [
    [1, 0.7],
    [2, 0.8 + number / 100],
  ] as const,
  started: `2026-11-29T10:0${number}:00.000000+00:00`,
  ended: `2026-11-29T10:0${number}:30.000000+00:00`,
  ...more,
});
const method = (name: string) => ({
  method: name,
  trial: 0,
  params: { method: name, learningRate: 1e-4 },
  trials: { complete: 3, stopped: 1, failed: 0 },
  parameters: { total: 1000, learnable: 100 },
  dev: spread(0.9),
  test: spread(0.88),
  trainSizes: [
    { size: 50, dev: spread(0.7) },
    { size: 100, dev: spread(0.8) },
  ],
  reliability: { ece: 0.0123, bins: [{ count: 10, predicted: 0.8, observed: 0.7 }] },
});
const STUDY: StudyRecordFacts = {
  name: '<script>alert(1)</script>',
  metric: 'accuracy',
  maximize: true,
  best: 'lora',
  examples: { train: 100, dev: 40, test: 20 },
  methods: [method('head'), method('lora')],
  comparisons: [{ first: 'lora', second: 'head', bootstrap, mcNemar: { onlyFirst: 3, onlySecond: 1, p: 0.625 } }],
  trials: [
    trial(0, 'head', 1e-3),
    trial(1, 'head', 1e-4, { state: 'pruned', value: undefined, reports: [[1, 0.5]] }),
    ...[2, 3, 4, 5].map((n) => trial(n, 'lora', n * 1e-4)),
    trial(6, 'lora', 1e-2, { state: 'failed', value: undefined, reports: [] }),
  ],
};

test('every picture is there, with the words of each trial', () => {
  const page = renderStudy(STUDY);
  const titles = [...page.matchAll(/<figure><h2>([^<]*)/g)].map(([, heading]) => heading);
  expect(titles).toEqual([
    'Learning rate and accuracy',
    'Accuracy by rank',
    'Settings of lora',
    'Trials as they went',
    'When trials ran',
    'Learning curve',
    'Reliability on dev',
  ]);
  expect(page).toContain('trial 3, lora: 0.8300; learningRate 3e-4, lora.r 1, batchSize 11');
  expect(page).toContain('trial 1, head: 0.5000, stopped');
  expect(page).toContain('0.9000 ± 0.0100 (3)');
  expect(page).toContain('lora 0.0123');
  expect(page).toContain('<title>lora, 50 examples: 0.7000 ± 0.0100 (3)</title>');
  expect(page).toContain('<td>0.625</td>');
  for (const number of page.matchAll(/ (?:cx|cy|x|y|x1|x2|y1|y2|width)="([^"]*)"/g)) {
    expect(Number.isFinite(Number(number[1]?.replace('%', '')))).toBe(true);
  }
});

test('texts stay texts, and the page runs and loads nothing', () => {
  const page = renderStudy(STUDY);
  expect(page).not.toContain('<script');
  expect(page).toContain('&lt;script&gt;alert(1)');
  expect(page).toContain('script-src &#39;none&#39;');
  expect(page).not.toMatch(/(src|href)="(?!data:)/);
});

test('a study of one trial, or of a metric that is no number, is a page too', () => {
  const page = renderStudy({ ...STUDY, methods: [], comparisons: [], trials: [trial(0, 'lora', 1e-4)] });
  expect(page).toContain('1 trials, 0 stopped');
  const none = renderStudy({ ...STUDY, trials: [trial(0, 'lora', 1e-4, { value: Number.NaN, reports: [] })] });
  expect(none).not.toContain('NaN');
});

test('axes have round numbers', () => {
  expect(ticksOf({ label: '', from: 0.03, to: 0.97 })).toEqual([0.2, 0.4, 0.6, 0.8]);
  expect(ticksOf({ label: '', log: true, from: 1e-4, to: 2e-3 }).map((x) => x.toExponential(0))).toEqual([
    '1e-4',
    '2e-4',
    '5e-4',
    '1e-3',
    '2e-3',
  ]);
  expect(ticksOf({ label: '', from: 5, to: 5 })).toEqual([5]);
  expect(around([2, 2])).toEqual({ from: 1.9, to: 2.1 });
});
