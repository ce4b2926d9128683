/** The journal of a study: Optuna's form, lines that were cut, locks of the living and the dead. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { JsonObject } from '../../src/io/json';
import { Journal } from '../../src/study/journal/journal_file';
import { endRecord, reportRecord, studyRecord, trialRecords } from '../../src/study/journal/records';
import { failure, temporaryFolder } from '../io/temporary';

const dir = temporaryFolder();
let count = 0;
const newFile = () => path.join(dir, `journal-${count++}.log`);

const SLOT = {
  arm: 'lora',
  index: 0,
  params: [
    {
      name: 'learningRate',
      distribution: { kind: 'float' as const, low: 1e-5, high: 1e-3, log: true },
      internal: 1e-4,
    },
    { name: 'lora.r', distribution: { kind: 'categorical' as const, choices: [4, 8] }, internal: 1 },
  ],
};

async function begun(): Promise<Journal> {
  const journal = new Journal(newFile());
  await journal.change(() => [studyRecord('search', true), ...trialRecords(0, 0, SLOT)]);
  return journal;
}

test('lines are those that Optuna has, and are read back', async () => {
  const journal = await begun();
  await journal.change(() => [reportRecord(0, 1, 0.5), endRecord(0, 'complete', 0.75)]);
  const lines = fs.readFileSync(journal.file, 'utf8').trim().split('\n');
  const records = lines.map((line) => JSON.parse(line) as JsonObject);
  expect(records.map((record) => record['op_code'])).toEqual([0, 4, 8, 5, 5, 7, 6]);
  expect(records[0]).toMatchObject({ study_name: 'search', directions: [2] });
  expect(records[1]!['datetime_start']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/);
  expect(JSON.parse(records[3]!['distribution'] as string)).toEqual({
    name: 'FloatDistribution',
    attributes: { step: null, low: 1e-5, high: 1e-3, log: true },
  });
  expect(records[4]).toMatchObject({ param_name: 'lora.r', param_value_internal: 1 });
  expect(records[6]).toMatchObject({ trial_id: 0, state: 1, values: [0.75] });
  const [trial] = new Journal(journal.file).read().trials;
  expect(trial).toMatchObject({ state: 'complete', value: 0.75, number: 0, slot: SLOT, attributes: { arm: 'lora' } });
  expect([...trial!.reports]).toEqual([[1, 0.5]]);
});

test.each([
  ['cut in the middle', '{"op_code":7,"trial_id":0,"st'],
  ['whole, without its end of line', '{"op_code":7,"trial_id":0,"step":1,"intermediate_value":9}'],
])('a last line that was cut off is removed before anything is written: %s', async (_, rest) => {
  const journal = await begun();
  const before = fs.readFileSync(journal.file, 'utf8');
  fs.appendFileSync(journal.file, rest);
  expect([...new Journal(journal.file).read().trials[0]!.reports]).toEqual([]);
  await journal.change(() => [reportRecord(0, 1, 0.5)]);
  const after = fs.readFileSync(journal.file, 'utf8');
  expect(after.startsWith(before)).toBe(true);
  expect(after.slice(before.length).trim().split('\n')).toHaveLength(1);
  expect([...new Journal(journal.file).read().trials[0]!.reports]).toEqual([[1, 0.5]]);
});

test('what Optuna writes is passed over or read: NaN, attributes of the system, trials of others', async () => {
  const journal = await begun();
  fs.appendFileSync(
    journal.file,
    `${[
      '{"op_code": 7, "worker_id": "w", "trial_id": 0, "step": 1, "intermediate_value": NaN}',
      '{"op_code": 9, "worker_id": "w", "trial_id": 0, "system_attr": {"completed_rung_0": -Infinity}}',
      '{"op_code": 4, "worker_id": "w", "study_id": 0, "state": 4, "value": null, "values": null, "user_attrs": {}}',
      '{"op_code": 6, "worker_id": "w", "trial_id": 1, "state": 3, "values": null, "datetime_complete": "2026-11-29T10:00:00+00:00"}',
    ].join('\n')}\n`,
  );
  const { trials } = journal.read();
  expect(trials.map(({ state, slot }) => [state, slot !== undefined])).toEqual([
    ['running', true],
    ['failed', false],
  ]);
  expect(trials[0]!.reports.get(1)).toBeNaN();
});

test.each([
  ['{"op_code": 4, "study_id": 0}{"op_code": 7}', 'has joined two'],
  ['', 'is not JSON'],
  ['{"op_code": 77}', 'op_code 77'],
  ['[1]', 'is no object'],
  ['{"op_code": 4, "study_id": 5}', 'study 5'],
  ['{"op_code": 1, "study_id": 0}', 'deletes a study'],
])('a line %j is told with its place', async (line, message) => {
  const journal = await begun();
  fs.appendFileSync(journal.file, `${line}\n`);
  const told = await failure(
    'INVALID_DATA',
    journal.change(() => []),
  );
  expect(told).toContain(`${journal.file}:6`);
  expect(told).toContain(message);
});

test('what is decided sees every line before it, with two writers', async () => {
  const file = newFile();
  const [a, b] = [new Journal(file), new Journal(file)];
  await a.change(() => [studyRecord('search', true)]);
  const add = (journal: Journal) =>
    journal.change((state) => trialRecords(0, state.trials.length, { ...SLOT, index: state.trials.length }));
  await Promise.all([a, b, a, b, a, b].map(add));
  expect(a.read().trials.map(({ slot }) => slot?.index)).toEqual([0, 1, 2, 3, 4, 5]);
});

test('the lock of a process that is gone is taken over at once, that of a living one is waited for', async () => {
  const journal = await begun();
  const lock = `${journal.file}.lock`;
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  fs.writeFileSync(lock, JSON.stringify({ pid, host: os.hostname(), begin: '1' }));
  await journal.change(() => [reportRecord(0, 1, 0.5)]);
  expect(fs.existsSync(lock)).toBe(false);
  // Optuna's own: a link to the journal, which says nothing of who holds it.
  fs.symlinkSync(journal.file, lock);
  const waiting = journal.change(() => [reportRecord(0, 2, 0.5)]);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(journal.read().trials[0]!.reports.has(2)).toBe(false);
  fs.rmSync(lock);
  await waiting;
  expect(journal.read().trials[0]!.reports.has(2)).toBe(true);
});
