/** Data that can not be read or learnt from, in every format: each names file and row. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  type DataFiles,
  type ErrorCode,
  type ExampleData,
  type FineTuneOptions,
  fineTune,
  openTextModel,
  type ReadOptions,
  readExamples,
  readTokenExamples,
} from '../../src';
import { type BadInput, goodModel, SENTENCES } from './support';

const PARQUET = path.join(__dirname, '..', 'fixtures', 'parquet');

/** A file that reading refuses. */
function file(
  what: string,
  name: string,
  content: string | Buffer,
  says: (string | RegExp)[],
  options: ReadOptions & { words?: boolean; code?: ErrorCode } = {},
): BadInput {
  const { words = false, code = 'INVALID_DATA', ...columns } = options;
  return {
    name: `${name}: ${what}`,
    code,
    says: code === 'INVALID_ARGUMENT' ? says : [name, ...says],
    prepare: (dir) => fs.writeFileSync(path.join(dir, name), content),
    run: (dir) => (words ? readTokenExamples : readExamples)(path.join(dir, name), columns),
  };
}

/** A Parquet file with bytes changed. */
function parquet(what: string, change: (bytes: Buffer) => Buffer, ...says: (string | RegExp)[]): BadInput {
  const bytes = fs.readFileSync(path.join(PARQUET, 'reviews-snappy.parquet'));
  return file(what, 'a.parquet', change(Buffer.from(bytes)), says);
}

/** Data that a run refuses before it trains. */
function trained(
  name: string,
  data: (dir: string) => ExampleData,
  says: (string | RegExp)[],
  options: Partial<FineTuneOptions> & { code?: ErrorCode } = {},
): BadInput {
  const { code = 'INVALID_DATA', ...settings } = options;
  return {
    name,
    code,
    says,
    prepare: (dir) => void goodModel(dir),
    run: async (dir) => {
      const { textModel } = await fineTune({
        model: path.join(dir, 'model'),
        outputDir: path.join(dir, 'out'),
        train: data(dir),
        method: 'head',
        maxSteps: 1,
        maxLength: 16,
        device: 'cpu',
        ...settings,
      });
      textModel.model.dispose();
    },
    mayLeave: /^out(\/events\.jsonl)?$/,
  };
}

/** A folder or pattern that reading refuses. */
function place(
  name: string,
  make: (dir: string) => DataFiles,
  code: ErrorCode,
  ...says: (string | RegExp)[]
): BadInput {
  return {
    name,
    code,
    says,
    prepare: (dir) => {
      fs.mkdirSync(path.join(dir, 'empty'));
      fs.mkdirSync(path.join(dir, 'other'));
      fs.writeFileSync(path.join(dir, 'other', 'notes.md'), 'x');
      fs.mkdirSync(path.join(dir, 'mixed'));
      for (const one of ['a.csv', 'b.jsonl']) fs.writeFileSync(path.join(dir, 'mixed', one), 'x');
    },
    run: (dir) => readExamples(make(dir)),
  };
}

const UTF16 = Buffer.from('\uFEFFtext,label\na,1\n', 'utf16le');
const LATIN1 = (separator: string) =>
  Buffer.from(`text${separator}label\nok${separator}1\ncaf\u00e9${separator}0\n`, 'latin1');
const CSV_HEAD = 'text,label\n';

async function* throwing(): AsyncGenerator<(typeof SENTENCES)[number]> {
  yield* SENTENCES;
  throw new Error('the database went away');
}

export const DATA_CASES: readonly BadInput[] = [
  // Bytes that are no text.
  file('an empty file', 'a.csv', '', ['is empty', 'at least one row']),
  file('an empty file', 'a.jsonl', '', ['is empty']),
  file('an empty file', 'a.parquet', '', ['too short']),
  file('an empty file', 'a.csv.gz', gzipSync(''), ['is empty']),
  file('a NUL byte', 'a.csv', `${CSV_HEAD}a,1\nb\0,0\n`, [':3', 'NUL byte', 'iconv']),
  file('a NUL byte', 'a.jsonl', '{"text": "a", "label": 1}\n\0\n', [':2', 'NUL byte']),
  file('UTF-16', 'a.csv', UTF16, [/NUL byte|not valid UTF-8/, 'iconv']),
  file('Latin-1', 'a.csv', LATIN1(','), [':3', 'not valid UTF-8', 'iconv']),
  file('Latin-1', 'a.tsv', LATIN1('\t'), [':3', 'not valid UTF-8']),
  file('Latin-1 in gzip', 'a.csv.gz', gzipSync(LATIN1(',')), [':3', 'not valid UTF-8']),
  file('gzip that is cut off', 'a.csv.gz', gzipSync(`${CSV_HEAD}${'a,1\n'.repeat(9999)}`).subarray(0, 60), [
    'cut off',
    'copy it again',
  ]),
  file('gzip that is damaged', 'a.csv.gz', gzipSync(`${CSV_HEAD}${'a,1\n'.repeat(9999)}`).fill(255, 20, 40), [
    'damaged',
    'copy it again',
  ]),
  file('a line without end', 'a.jsonl', Buffer.alloc(68 << 20, 'x'), [':1', '64 MiB', 'one row a line']),
  file('a line without end', 'a.tsv', Buffer.concat([Buffer.from('text\tlabel\n'), Buffer.alloc(68 << 20, 'x')]), [
    ':2',
    '64 MiB',
  ]),

  // CSV.
  file('a header alone', 'a.csv', CSV_HEAD, ['no rows', 'at least one']),
  file('a quote that is not closed', 'a.csv', `${CSV_HEAD}a,1\n"b,0\nc,1\nd,0\n`, [':3', 'not closed', 'close it']),
  file('a quote in a field', 'a.csv', `${CSV_HEAD}a,1\nb "c" d,0\n`, [':3', 'quote', 'double those']),
  file('text after a quote', 'a.csv', `${CSV_HEAD}"a" b,1\n`, [':2', 'quote']),
  file('a comma without quotes', 'a.csv', `${CSV_HEAD}a,1\nb, c,0\n`, [
    ':3',
    'has 3 columns, the first line 2',
    'quotes',
  ]),
  file('a row that is short', 'a.csv', `${CSV_HEAD}a,1\nb\n`, [':3', 'has 1 columns']),
  file('a row of a megabyte that is short', 'a.csv', `${CSV_HEAD}${'b '.repeat(500_000)}\n`, [':2', 'has 1 columns']),
  file('no column for the text', 'a.csv', 'review,label\na,1\n', [
    ':1',
    'no column for the text',
    '"review"',
    'textColumn',
  ]),
  file('a column that is mistyped', 'a.csv', `${CSV_HEAD}a,1\n`, [':1', 'has no column "txet"', 'was "text" meant'], {
    textColumn: 'txet',
  }),
  file('no such pair column', 'a.csv', `${CSV_HEAD}a,1\n`, ['has no column "text_b"', 'textPairColumn'], {
    textPairColumn: 'text_b',
  }),
  file('a column number out of range', 'a.csv', `${CSV_HEAD}a,1\n`, ['has no column "7"'], { labelColumn: 7 }),
  file('a column number out of range, no header', 'a.csv', 'a,1\n', ['there are 2 columns, from 0'], {
    header: false,
    textColumn: 0,
    labelColumn: 2,
  }),
  file('two columns of one name', 'a.csv', 'text,text,label\na,b,1\n', [
    ':1',
    'two columns are named "text" (0 and 1)',
    'number',
  ]),
  file('a delimiter of two characters', 'a.csv', CSV_HEAD, ['delimiter', 'one character'], {
    delimiter: '::',
    code: 'INVALID_ARGUMENT',
  }),
  file('tabs, though it is called so', 'a.csv', 'text\tlabel\na\t1\n', [
    'no column for the text',
    'the header names "text\\tlabel"',
  ]),

  // TSV and JSONL.
  file('two columns of one name', 'a.tsv', 'label\ttext\tlabel\n1\ta\t0\n', ['two columns are named "label"']),
  file('no tabs', 'a.tsv', 'text label\na 1\n', ['no column for the text']),
  file('a column that is mistyped', 'a.tsv', 'sentence\tlabel\na\t1\n', ['was "label" meant'], {
    labelColumn: 'lable',
  }),
  file('a line that is cut off', 'a.jsonl', '{"text": "a", "label": 1}\n{"text": "b", "lab', [':2', 'not JSON']),
  file('one list', 'a.json', '[{"text": "a", "label": 1}]', [':1', 'one object a line']),
  file(
    'a field that is mistyped',
    'a.jsonl',
    '{"text": "a", "label": 1}\n',
    ['no field "lable"', 'was "label" meant'],
    { labelColumn: 'lable' },
  ),
  file('a text that is null', 'a.jsonl', '{"text": null, "label": 1}\n', [':1', 'field "text" is null', 'string']),
  file('a label that is null', 'a.jsonl', '{"text": "a", "label": null}\n', [':1', 'field "label" is null']),
  file('words that are a string', 'a.jsonl', '{"tokens": "a b", "labels": ["O"]}\n', [':1', 'must be a list'], {
    words: true,
  }),

  // Parquet.
  parquet('cut off', (bytes) => bytes.subarray(0, bytes.length - 20), 'cut off', 'copy it again'),
  parquet('cut off early', (bytes) => bytes.subarray(0, 6), 'too short'),
  parquet('another format', () => Buffer.from(`${CSV_HEAD}a,1\nb,0\n`), 'does not begin as Parquet'),
  parquet(
    'a footer that is damaged',
    (bytes) => bytes.fill(255, bytes.length - 200, bytes.length - 8),
    'can not be read as Parquet',
  ),
  parquet(
    'a footer longer than the file',
    (bytes) => {
      bytes.writeUInt32LE(1 << 30, bytes.length - 8);
      return bytes;
    },
    'can not be read as Parquet',
  ),
  parquet('pages that are damaged', (bytes) => bytes.fill(255, 4, 200), /rows 0 to 3.*can not be read as Parquet/),
  {
    name: 'a.parquet: a text that is null',
    code: 'INVALID_DATA',
    says: ['nulls.parquet: row 1', 'column "text" is null', 'string'],
    run: () => readExamples(path.join(PARQUET, 'nulls.parquet')),
  },
  {
    name: 'a.parquet: a column that is mistyped',
    code: 'INVALID_DATA',
    says: ['reviews-zstd.parquet', 'no column "sentnece"', 'was "sentence" meant'],
    run: () => readExamples(path.join(PARQUET, 'reviews-zstd.parquet'), { textColumn: 'sentnece' }),
  },
  ...(['struct', 'map'] as const).map((labelColumn) => ({
    name: `a.parquet: a label that is a ${labelColumn} with a 64-bit number`,
    code: 'INVALID_DATA' as const,
    says: ['nested.parquet: row 0', `column "${labelColumn}" is `, 'a label is a string, a number or a list'],
    run: () => readExamples(path.join(PARQUET, 'nested.parquet'), { labelColumn }),
  })),
  {
    name: 'a.parquet: texts where words should be',
    code: 'INVALID_DATA',
    says: ['row 0', 'column "sentence"', 'must be a list'],
    run: () =>
      readTokenExamples(path.join(PARQUET, 'reviews-none.parquet'), { textColumn: 'sentence', labelColumn: 'label' }),
  },

  // Places.
  place('a folder without files', (dir) => path.join(dir, 'empty'), 'INVALID_DATA', 'without data files', 'nothing'),
  place(
    'a folder without data files',
    (dir) => path.join(dir, 'other'),
    'INVALID_DATA',
    'without data files',
    'notes.md',
  ),
  place('a folder of several formats', (dir) => path.join(dir, 'mixed'), 'INVALID_DATA', 'csv, jsonl', 'glob'),
  place(
    'a glob that matches nothing',
    (dir) => path.join(dir, '*.csv'),
    'FILE_NOT_FOUND',
    'matches no file',
    'pattern',
  ),
  place('a file that is missing', (dir) => path.join(dir, 'none.parquet'), 'FILE_NOT_FOUND', 'none.parquet', 'ENOENT'),
  place('a list of nothing', () => [], 'INVALID_ARGUMENT', 'list of data files is empty'),
  place('another kind of file', (dir) => path.join(dir, 'a.xlsx'), 'INVALID_ARGUMENT', '.xlsx', '.csv'),
  place('an address that is none', () => 'hf://datasets/x', 'INVALID_ARGUMENT', 'hf://datasets/OWNER/NAME'),

  // What a run makes of rows.
  trained('an empty text', () => [...SENTENCES, { text: ' ', label: 'good' }], [
    'example 4',
    'text is empty',
    'leave the row out',
  ]),
  trained('a label that is a BigInt', () => [{ text: 'x', label: 5n as never }, ...SENTENCES], [
    'example 0',
    'the label is 5n; a label is a name (a string) or a number',
  ]),
  trained('a target that is a BigInt', () => [{ text: 'x', label: 5n as never }], ['example 0', 'finite number'], {
    task: 'regression',
  }),
  trained('labels in two spellings', () => [...SENTENCES, { text: 'x', label: 'Good' }], [
    '"good" (example 0 and 1 more)',
    '"Good" (example 4)',
    'upper and lower case',
    '--labels',
  ]),
  trained(
    'numbers with fractions as labels of classes',
    () => SENTENCES.map(({ text }, i) => ({ text, label: i / 4 })),
    ['fractions (0.25, 0.5, 0.75)', '--task regression', '--labels'],
    { task: 'sequence-classification' },
  ),
  trained('an empty label', () => [...SENTENCES, { text: 'x', label: '' }], ['example 4', 'has no label']),
  trained('a second text that is a number', () => [{ ...SENTENCES[0], textPair: 5 } as never, ...SENTENCES], [
    'example 0',
    'second text is number',
  ]),
  {
    ...trained('one class in a file', (dir) => path.join(dir, 'one.csv'), ['the one label "good"', 'at least two']),
    prepare: (dir) => {
      goodModel(dir);
      fs.writeFileSync(path.join(dir, 'one.csv'), `${CSV_HEAD}a,good\nb,good\n`);
    },
  },
  trained('an iterable that throws', () => throwing(), ['failed after example 3', 'the database went away']),
  trained('an iterable of texts', () => new Set(['a', 'b']) as never, ['example 0', 'string', 'text']),
  trained('a function that gives nothing', () => (() => undefined) as never, ['train is undefined', 'iterable'], {
    code: 'INVALID_ARGUMENT',
  }),
  trained('a stream that throws', () => throwing, ['failed after example 3'], { stream: true }),
  trained('a number as data', () => 5 as never, ['train is number', 'list of examples'], { code: 'INVALID_ARGUMENT' }),
  trained('a dev set that is missing', () => SENTENCES, ['dev.csv', 'ENOENT'], {
    dev: 'dev.csv',
    code: 'FILE_NOT_FOUND',
  }),
  trained('a dev set with another label', () => SENTENCES, ['example 0', 'unknown label "goood"', 'was "good" meant'], {
    dev: [{ text: 'a', label: 'goood' }],
  }),
  trained('a share for dev that leaves nothing', () => SENTENCES, ['devSplit is 0.01', 'leaves none'], {
    devSplit: 0.01,
    code: 'INVALID_ARGUMENT',
  }),
  trained('a share for dev of 1', () => SENTENCES, ['devSplit is 1', 'below 1'], {
    devSplit: 1,
    code: 'INVALID_ARGUMENT',
  }),
  trained('a window of half an example', () => SENTENCES, ['shuffleWindow is 0.5'], {
    stream: true,
    shuffleWindow: 0.5,
    code: 'INVALID_ARGUMENT',
  }),
  trained('an option that is mistyped', () => SENTENCES, ['no option "labelNmaes"', 'Did you mean labelNames'], {
    labelNmaes: ['a'],
    code: 'INVALID_ARGUMENT',
  } as never),
  {
    ...trained('a pickle as model', () => SENTENCES, []),
    says: ['pytorch_model.bin', 'a pickle can run code', 'from_pretrained'],
    code: 'INVALID_CHECKPOINT',
    prepare: (dir) => {
      fs.mkdirSync(path.join(dir, 'model'));
      fs.writeFileSync(path.join(dir, 'model', 'config.json'), '{}');
      fs.writeFileSync(path.join(dir, 'model', 'pytorch_model.bin'), 'x');
    },
    run: (dir) => openTextModel(path.join(dir, 'model', 'pytorch_model.bin')),
  },
];
