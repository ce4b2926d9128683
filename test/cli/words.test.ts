/** Token classification on the command line: train from CoNLL and JSONL, eval, predict. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { temporaryFolder } from '../io/temporary';
import { TINY, taggedSentences } from '../task/tasks';
import { run } from './command';

jest.setTimeout(300_000);

const dir = temporaryFolder();
const at = (name: string) => path.join(dir, name);
const train = taggedSentences(160, 1);
const dev = taggedSentences(40, 2);
const conll = train.map(({ tokens, labels }) => `${tokens.map((word, i) => `${word} _ ${labels![i]}\n`).join('')}\n`);
fs.writeFileSync(at('train.conll'), conll.join(''));
const rows = dev.map(({ tokens, labels }) => `${JSON.stringify({ tokens, ner_tags: labels })}\n`);
fs.writeFileSync(at('dev.jsonl'), rows.join(''));

it('trains, measures and predicts', async () => {
  const output = at('adapter');
  const trained = await run([
    ...['train', '--task', 'token-classification', '--model', TINY, '--train', at('train.conll'), '--quiet'],
    ...['--dev', at('dev.jsonl'), '--output', output, '--epochs', '2', '--batch-size', '8', '--lr', '5e-3'],
    ...['--metric', 'f1', '--json', at('train.json')],
  ]);
  expect(trained).toMatchObject({ code: 0, stderr: '' });
  const { metrics } = JSON.parse(fs.readFileSync(at('train.json'), 'utf8')) as { metrics: Record<string, number> };
  expect(metrics['f1']).toBeGreaterThan(0.8);

  const measured = await run(['eval', at('dev.jsonl'), '--adapter', output, '--label-column', 'ner_tags', '--quiet']);
  expect(measured).toMatchObject({ code: 0, stderr: '' });
  for (const name of ['accuracy', 'precision', 'recall', 'f1']) {
    expect(measured.stdout).toContain(`${name} ${metrics[name]!.toFixed(4)}\n`);
  }

  const predicted = await run(['predict', '--adapter', output, 'Anna Hill loved Los Angeles .']);
  expect(predicted.code).toBe(0);
  expect(predicted.stderr).toMatch(
    /^task: token-classification \(.*fused_lora\.json\)\nlabels: B-LOC, B-PER, .*\nlength: /,
  );
  const { words, entities } = JSON.parse(predicted.stdout) as { words: { word: string }[]; entities: object[] };
  expect(words.map(({ word }) => word)).toEqual(['Anna', 'Hill', 'loved', 'Los', 'Angeles', '.']);
  expect(entities).toContainEqual({ type: 'LOC', start: 3, end: 5, text: 'Los Angeles' });
  const byFile = await run(['predict', '--adapter', output, '--file', at('dev.jsonl')]);
  expect(byFile.stdout.trim().split('\n')).toHaveLength(dev.length);
});

it('names the row that is not of the task', async () => {
  fs.writeFileSync(at('texts.jsonl'), '{"text": "a", "label": 1}\n');
  const args = ['train', '--task', 'token-classification', '--model', TINY, '--output', at('bad')];
  const { code, stderr } = await run([...args, '--train', at('texts.jsonl')]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^error \[INVALID_DATA\]: .*texts.jsonl:1: has no field "tokens" or "words"; it has text, label/,
  );
});
