/**
 * Data of unusual kinds from file to metrics: empty texts, words that count for nothing, multi-hot
 * lists, stars. What each reader makes of a file is in test/data; refusals are in test/bad_input.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Classifier, evaluate, type FineTuneOptions, fineTune } from '../../src';
import { temporaryFolder } from '../io/temporary';
import { TINY } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const write = (name: string, content: string) => {
  fs.writeFileSync(path.join(dir, name), content);
  return path.join(dir, name);
};
const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

async function run(name: string, options: Partial<FineTuneOptions> & Pick<FineTuneOptions, 'train'>) {
  const notices: string[] = [];
  const result = await fineTune({
    model: TINY,
    outputDir: path.join(dir, name),
    method: 'head',
    maxSteps: 1,
    batchSize: 4,
    maxLength: 16,
    device: 'cpu',
    report: true,
    onNotice: (line) => notices.push(line),
    ...options,
  });
  return { ...result, notices };
}

it('an empty text is measured and told, and nothing to train on', async () => {
  const train = write('train.csv', 'text,label\ngood,pos\nbad,neg\n');
  const dev = write('dev.csv', 'text,label\ngood,pos\n,neg\n" ",neg\n');
  const note = `${dev}:3 (and 1 more): its text is empty; it is measured all the same`;
  const { textModel, notices, examples } = await run('empty', { train, dev });
  expect(examples).toEqual({ train: 2, dev: 3 });
  expect(notices).toContain(note);
  const told: string[] = [];
  const { metrics, ...result } = await evaluate(textModel, dev, { device: 'cpu', onNotice: (line) => told.push(line) });
  expect(result.examples).toBe(3);
  expect(Number.isFinite(metrics['loss'])).toBe(true);
  expect(told).toEqual([note, 'f1: of the label pos']);
  const said: string[] = [];
  using classifier = new Classifier(textModel, { device: 'cpu', onNotice: (line) => said.push(line) });
  await classifier.predict([{ text: 'good' }, { text: ' ', place: 'a.csv:7' }, '']);
  await classifier.predict(['']);
  expect(classifier.numberEmpty).toBe(3);
  expect(said).toEqual(['a.csv:7: its text is empty; it is classified all the same']);
  textModel.model.dispose();
  await expect(run('empty-train', { train: dev })).rejects.toThrow(/dev.csv:3: its text is empty/);
});

it('words of -100 are in no class, no loss and no metric', async () => {
  const rows = [
    { tokens: ['Ann', 'met', 'Bob'], labels: [1, 0, -100] },
    { tokens: ['Bob', 'ran'], labels: [-100, 0] },
  ];
  const train = write('words.jsonl', lines(rows));
  const one = await run('words', { task: 'token-classification', train, dev: train });
  expect(one.labelNames).toEqual(['0', '1']);
  // The same words, with anything in the place of the label that counts for nothing.
  const { metrics } = await evaluate(one.textModel, train, { device: 'cpu' });
  expect(metrics['loss']).toBeCloseTo(one.metrics!['loss']!, 6);
  expect([0, 1 / 3, 2 / 3, 1].some((share) => Math.abs(share - metrics['accuracy']!) < 1e-12)).toBe(true);
  one.textModel.model.dispose();
});

it('multi-hot lists, of numbers, truth values or text, are the labels that they mark', async () => {
  const names = lines([
    { text: 'a', label: ['z'] },
    { text: 'b', label: ['x', 'z'] },
  ]);
  const numbers = lines([
    { text: 'a', label: [0, 0, 1] },
    { text: 'b', label: [1, 0, 1] },
  ]);
  const flags = lines([
    { text: 'a', label: [false, false, true] },
    { text: 'b', label: [true, false, true] },
  ]);
  const text = 'text,label\na,"[0, 0, 1]"\nb,"[1, 0, 1]"\n';
  const files = { 'n.jsonl': names, '0.jsonl': numbers, 'f.jsonl': flags, 't.csv': text };
  const losses: number[] = [];
  for (const [name, content] of Object.entries(files)) {
    const train = write(name, content);
    const options = { task: 'multi-label-classification', labelNames: ['x', 'y', 'z'], train, dev: train } as const;
    const { textModel, metrics } = await run(`of-${name}`, options);
    losses.push(metrics!['loss']!);
    textModel.model.dispose();
  }
  expect(losses).toEqual(losses.map(() => losses[0]));
});

it('truth values are classes of their own names, in every form of data', async () => {
  const rows = [true, false, true].map((label, i) => ({ text: `number ${i}`, label }));
  const files = {
    'flags.jsonl': lines(rows),
    'flags.csv': `text,label\n${rows.map(({ text, label }) => `${text},${label}`).join('\n')}\n`,
  };
  const losses: number[] = [];
  for (const [name, content] of Object.entries(files)) {
    const { labelNames, textModel, metrics } = await run(`of ${name}`, {
      train: write(name, content),
      dev: write(name, content),
    });
    expect(labelNames).toEqual(['false', 'true']);
    losses.push(metrics!['loss']!);
    textModel.model.dispose();
  }
  expect(losses[1]).toBe(losses[0]);
  // What the types forbid is told as what it is.
  await expect(run('in-memory', { train: rows as never })).rejects.toMatchObject({
    message: expect.stringContaining('example 0: the label is true; a label is a name (a string) or a number'),
  });
});

it('stars are five classes', async () => {
  const rows = [1, 2, 3, 4, 5].map((label) => ({ text: `number ${label}`, label }));
  const { labelNames, textModel } = await run('stars', { train: rows, dev: rows });
  expect(labelNames).toEqual(['1', '2', '3', '4', '5']);
  textModel.model.dispose();
});

describe('labels that are floats, 0.0 and 1.0 too, are numbers to learn', () => {
  const PARQUET = path.join(__dirname, '..', 'fixtures', 'parquet', 'floats.parquet');
  it.each<[string, () => string]>([
    ['CSV', () => write('floats.csv', 'text,label\na,0.0\nb,1.0\n')],
    ['CSV with an exponent', () => write('exponents.csv', 'text,label\na,0\nb,1e0\n')],
    ['JSONL', () => write('floats.jsonl', '{"label": 0.0, "text": "\\"label\\": 2"}\n{"text": "b", "label":1.0}\n')],
    ['Parquet', () => PARQUET],
  ])('%s', async (name, file) => {
    const { meaning, metrics, textModel } = await run(`floats ${name}`, { train: file(), dev: file() });
    expect(meaning).toMatchObject({ task: 'regression', sources: { task: 'the data: numbers with a fraction' } });
    expect(metrics).toHaveProperty('mse');
    textModel.model.dispose();
  });

  it('whole numbers are classes, in whatever field a fraction stands', async () => {
    const train = write(
      'whole.jsonl',
      '{"text": "\\"label\\": 2.0", "label": 0, "score": 1.0}\n{"text": "b", "label": 1}\n',
    );
    const { labelNames, textModel } = await run('whole', { train });
    expect(labelNames).toEqual(['0', '1']);
    textModel.model.dispose();
  });

  it('with a task that says so they are classes, as they are written', async () => {
    const train = write('classes.jsonl', '{"text": "a", "label": 0.0}\n{"text": "b", "label": 1.0}\n');
    const { labelNames, textModel } = await run('classes', { train, task: 'sequence-classification' });
    expect(labelNames).toEqual(['0.0', '1.0']);
    textModel.model.dispose();
  });

  it('of a stream the task is asked for, and of lists what they are', async () => {
    const train = write('stream.csv', 'text,label\na,0.0\nb,1.0\n');
    await expect(run('stream', { train, stream: true })).rejects.toThrow(
      /numbers with a fraction \(0\.0, 1\.0\).*--task/,
    );
    const lists = write(
      'lists.jsonl',
      lines([
        { text: 'a', label: [0.5, 0.25] },
        { text: 'b', label: [1, 0] },
      ]),
    );
    await expect(run('lists', { train: lists })).rejects.toThrow(/fractions \(0\.25, 0\.5\).*--task regression/);
  });
});

it('F1 of two classes names its class, and classes that data lack are told', async () => {
  const train = write('both.csv', 'text,label\na,neg\nb,pos\n');
  const dev = write('one-class.csv', 'text,label\na,neg\nb,neg\n');
  const { textModel, notices } = await run('one-class', { train, dev });
  const told: string[] = [];
  await evaluate(textModel, dev, { device: 'cpu', onNotice: (line) => told.push(line) });
  expect(notices).toEqual(expect.arrayContaining(['no row of dev has the label pos', 'f1: of the label pos']));
  expect(told).toEqual(['no row of the data has the label pos', 'f1: of the label pos']);
  textModel.model.dispose();
});

describe('labels that are not what they seem', () => {
  const refused = async (name: string, content: string, options: Partial<FineTuneOptions> = {}) => {
    const train = write(`${name}.csv`, `text,label\n${content}`);
    return expect(run(`refused-${name}`, { train, ...options })).rejects;
  };

  it('lists written as text are several labels, with names and multi-hot', async () => {
    for (const [i, rows] of [
      ["a,\"['x', 'y']\"\n", "b,['y']\n"],
      ['a,"[0, 1, 1]"\n', 'b,"[1, 0, 0]"\n'],
    ].entries()) {
      const train = write(`text-lists-${i}.csv`, `text,label\n${rows.join('')}`);
      const { meaning, textModel } = await run(`text-lists-${i}`, { train });
      expect(meaning).toMatchObject({ task: 'multi-label-classification' });
      expect(meaning.labels.map(({ name }) => name)).toEqual(i === 0 ? ['x', 'y'] : ['0', '1', '2']);
      textModel.model.dispose();
    }
    await (await refused('list-stream', "a,['x']\nb,['y']\n", { stream: true })).toThrow(
      /labels are lists .*multi-label-classification.*--task/,
    );
  });

  it('a gap among floats is no class, nor is a decimal comma', async () => {
    await (await refused('nan', 'a,0.5\nb,nan\n')).toThrow(/nan\.csv:3: the label is "nan"; regression needs/);
    await (await refused('inf', 'a,0.5\nb,-inf\n')).toThrow(/inf\.csv:3: the label is "-inf"; regression needs/);
    await (await refused('comma', 'a,"0,5"\nb,"1,5"\n')).toThrow(/decimal comma \(0,5 and 1,5\).*point/);
  });

  it('a class a row, and a first line that may be no header, are told', async () => {
    const lines = Array.from({ length: 12 }, (_, i) => `text ${i},${i * 37}\n`).join('');
    const train = write('ids.csv', `text,label\n${lines}`);
    const { notices, textModel } = await run('ids', { train, textColumn: 0, labelColumn: 1 });
    expect(notices.join('\n')).toMatch(/12 classes in 12 rows.*--task regression/);
    expect(notices.join('\n')).toMatch(/ids\.csv:1: is taken for the names of columns \(text, label\).*--no-header/);
    textModel.model.dispose();
    const named = await run('ids-named', {
      train: write('few.csv', 'text,label\na,x\nb,y\n'),
      textColumn: 0,
      header: true,
    });
    expect(named.notices.join('\n')).not.toMatch(/is taken for|classes in/);
    named.textModel.model.dispose();
  });
});

it('pairs where there were none, and the reverse, are told by eval as by predict', async () => {
  const single = [
    { text: 'a', label: 'x' },
    { text: 'b', label: 'y' },
  ];
  const pairs = single.map((one) => ({ ...one, textPair: 'c' }));
  for (const [train, other, message] of [
    [single, pairs, 'the model was trained on single texts, and there are pairs'],
    [pairs, single, expect.stringMatching(/^the model was trained on pairs of texts, and there is one/)],
  ] as const) {
    const { textModel } = await run(`pairs-${train === pairs}`, { train });
    for (const data of [train, other]) {
      const told: string[] = [];
      const onNotice = (line: string) => told.push(line);
      await evaluate(textModel, data, { device: 'cpu', onNotice });
      using classifier = new Classifier(textModel, { device: 'cpu', onNotice });
      await classifier.predict(data);
      const rest = told.filter((line) => !line.startsWith('f1'));
      expect(rest).toEqual(data === other ? [message, message] : []);
    }
    textModel.model.dispose();
  }
});
