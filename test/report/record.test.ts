/** Reading event logs, whole ones and such as a killed process leaves. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { readRecord, renderReport } from '../../src/report';
import { parseRecord } from '../../src/report/record';
import { binned, binWidth, pointsOf, smoothed, thinned } from '../../src/report/series';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { logOf } from './records';

const dir = temporaryFolder();

test('a log gives its events in order', () => {
  const record = parseRecord(logOf(), 'run');
  expect(record.start).toMatchObject({ task: 'sequence-classification', parameters: { learnable: 100 } });
  expect(record.steps).toHaveLength(120);
  expect(record.evaluations.map(({ step }) => step)).toEqual([40, 80, 120]);
  expect(record.end?.metrics).toEqual({ loss: 0.25, accuracy: 0.85, f1: 0.86 });
  expect(record.details?.hardest).toHaveLength(12);
});

test('of a step that was done again after a resume the later line counts; a cut last line is passed over', () => {
  const lines = [
    '{"event":"start","task":"x"}',
    '{"event":"step","step":1,"loss":1}',
    '{"event":"step","step":2,"loss":2}',
    '{"event":"stop","code":"ABORTED","message":"stopped"}',
    '{"event":"start","task":"x"}',
    '{"event":"step","step":2,"loss":20}',
    '{"event":"step","step":3,"loss":30}',
    '{"event":"news","of":"another version"}',
    '{"event":"end","metrics":{"loss":1}}',
    '{"event":"step","st',
  ];
  const record = parseRecord(lines.join('\n'), 'run');
  expect(record.steps.map(({ step, loss }) => [step, loss])).toEqual([
    [1, 1],
    [2, 20],
    [3, 30],
  ]);
  expect(record.stop).toBeUndefined();
  expect(parseRecord(lines.slice(0, 4).join('\n'), 'run').stop?.code).toBe('ABORTED');
});

test('a run is named by its folder', () => {
  const run = path.join(dir, 'lora-r8');
  fs.mkdirSync(run);
  fs.writeFileSync(path.join(run, 'events.jsonl'), logOf());
  expect(readRecord(run).name).toBe('lora-r8');
  expect(readRecord(path.join(run, 'events.jsonl')).name).toBe('lora-r8');
});

test('what is no run is an error that says what to give', () => {
  expect(() => readRecord(path.join(dir, 'none'))).toThrow(/none: can not be read.*Give the output folder/);
  fs.mkdirSync(path.join(dir, 'empty'));
  expect(() => readRecord(path.join(dir, 'empty'))).toThrow(/events\.jsonl: can not be read/);
  fs.writeFileSync(path.join(dir, 'other.jsonl'), '{"text": "a"}\n');
  expect(() => readRecord(path.join(dir, 'other.jsonl'))).toThrow(/is no event log/);
});

describe('a damaged log', () => {
  const good = () => logOf().split('\n');
  const lineOf = (kind: string) => good().findIndex((line) => line.startsWith(`{"event":"${kind}"`));
  test.each([
    ['start', { time: 'yesterday' }, /"time" is "yesterday"; expected a time/],
    ['start', { settings: 3 }, /"settings" is 3/],
    ['start', { parameterTable: [['a', 2, 3]] }, /"parameterTable\.0\.1" is 2/],
    ['start', { data: { train: { examples: 1, lengthCounts: 'x' } } }, /"data\.train\.lengthCounts" is "x"/],
    ['step', { step: null }, /"step" is null; expected a whole number/],
    ['step', { loss: '0.1' }, /"loss" is "0\.1"; expected a number/],
    ['evaluate', { metrics: [] }, /"metrics" is \[\]/],
    ['evaluate', { metrics: { f1: {} } }, /"metrics\.f1" is \{\}/],
    ['details', { hardest: [null] }, /"hardest\.0" is null; expected an object/],
    ['details', { confusion: [[1], 'x'] }, /"confusion\.1" is "x"/],
    ['details', { scores: [{ name: 'a', precision: null, recall: 1, f1: 1, support: 1 }] }, /"scores\.0\.precision"/],
    ['end', { seconds: { training: '1' } }, /"seconds\.training" is "1"/],
    ['start', { meaning: { labels: 7 } }, /meaning/],
    ['start', { meaning: { labels: [{ name: 'a', train: 'many' }] } }, /meaning/],
    ['start', { meaning: { newWeights: [null] } }, /meaning/],
  ])('%s with %j is told by file and line, and is no fault of ours', (kind, wrong, says) => {
    const lines = good();
    const at = lineOf(kind);
    lines[at] = JSON.stringify({ ...(JSON.parse(lines[at] as string) as object), ...wrong });
    const file = path.join(dir, 'damaged.jsonl');
    fs.writeFileSync(file, lines.join('\n'));
    const message = errorMessage('INVALID_DATA', () => readRecord(file));
    expect(message).toMatch(says);
    expect(message.startsWith(`${file}:${at + 1}: `)).toBe(true);
  });

  test('whatever passes makes a page: a log with few fields, and events that are no objects', () => {
    const lines = ['{"event":"start"}', 'null', '[]', '{"event":7}', '{"event":"step","step":1}', '{"event":"end"}'];
    fs.writeFileSync(path.join(dir, 'short.jsonl'), lines.join('\n'));
    expect(renderReport([readRecord(path.join(dir, 'short.jsonl'))])).toContain('finished');
  });
});

describe('curves', () => {
  test('have as few points as wanted, each a mean, and end where the run ends', () => {
    const y = Array.from({ length: 1001 }, (_, i) => i);
    const thin = thinned({ x: y.map((i) => i + 1), y }, 100);
    expect(thin.x.length).toBeLessThanOrEqual(100);
    expect(thin.x.at(-1)).toBe(1001);
    expect(thin.y[0]).toBe(5);
    expect(thinned({ x: [1], y: [2] }, 100)).toEqual({ x: [1], y: [2] });
  });

  test('leave out what is no number, as JSON writes NaN', () => {
    const events = [
      { step: 1, loss: 1 },
      { step: 2, loss: null },
      { step: 3, loss: 3 },
    ];
    expect(pointsOf(events, ({ loss }) => loss)).toEqual({ x: [1, 3], y: [1, 3] });
  });

  test('smoothing keeps a constant and starts at the first value', () => {
    const constant = { x: [1, 2, 3], y: [2, 2, 2] };
    expect(smoothed(constant, 10)).toEqual(constant);
    expect(smoothed({ x: [1, 2], y: [4, 0] }, 3).y).toEqual([4, 2]);
  });

  test('bars hold all counts', () => {
    const counts = Array.from({ length: 129 }, (_, i) => i);
    const width = binWidth(counts.length);
    const { x, y } = binned(counts, width);
    expect(x.length).toBeLessThanOrEqual(40);
    expect(y.reduce((a, b) => a + b, 0)).toBe(counts.reduce((a, b) => a + b, 0));
    expect(x[0]).toBe((width - 1) / 2);
  });
});
