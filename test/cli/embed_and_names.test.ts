/**
 * Commands in this process: files of embed by their columns, folders of adapters that share a name,
 * and a threshold that no task reads. Files of predict: inputs.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { embedCommand } from '../../src/cli/embed';
import { checkThresholdUse, namesOf } from '../../src/cli/model';
import { formatError } from '../../src/cli/run';
import { tuneCommand } from '../../src/cli/tune';
import { armsOf } from '../../src/study/trial_options';
import type { TextModel } from '../../src/task/text_model';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { TINY } from '../task/tasks';

const dir = temporaryFolder();

test('embed reads the texts of data files, and lines of every other file', async () => {
  const file = (name: string, text: string) => {
    fs.writeFileSync(path.join(dir, name), text);
    return path.join(dir, name);
  };
  const files = [
    file('a.tsv', 'sentence\tlabel\na film\tgood\n'),
    file('b.jsonl', '{"text": "schön"}\n'),
    file('c.csv', 'sentence,label\n"a, b",1\n'),
    file('d.txt', 'a\tb\n'),
  ];
  const output = path.join(dir, 'out.jsonl');
  const given = ['--model', TINY, '--dimensions', '2', '--quiet', '--output', output, '--file', ...files];
  await embedCommand().parseAsync(given, { from: 'user' });
  const lines = fs.readFileSync(output, 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).text)).toEqual(['a film', 'schön', 'a, b', 'a\tb']);
});

test('adapters whose folders share a name are told apart by their paths', () => {
  expect(namesOf(['mood/', 'intent'])).toEqual(['mood', 'intent']);
  expect(namesOf(['a/m', 'b/m', 'other'])).toEqual(['a_m', 'b_m', 'other']);
  expect(namesOf(['ä', 'ö'].map((name) => `same/${name}`))).toEqual(['__1', '__2']);
  expect(errorMessage('INVALID_ARGUMENT', () => namesOf(['mood', './mood/']))).toContain('twice');
});

test('a threshold is for several labels a text', () => {
  const model = (task: string) => ({ model: { task } }) as unknown as TextModel;
  expect(() => checkThresholdUse(0.4, model('multi-label-classification'), undefined)).not.toThrow();
  expect(() => checkThresholdUse(undefined, model('regression'), undefined)).not.toThrow();
  const message = errorMessage('INVALID_ARGUMENT', () => checkThresholdUse(0.4, model('regression'), undefined));
  expect(message).toContain('this is regression');
});

test('errors of a space name its parameters as the file does', () => {
  let error: unknown;
  try {
    armsOf({ learningrate: [1] }, false);
  } catch (thrown) {
    error = thrown;
  }
  expect(formatError(error, false, tuneCommand())).toContain('Was learningRate meant?');
});
