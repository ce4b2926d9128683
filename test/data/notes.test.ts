/**
 * What reading passes over is told, once: columns that nobody asked for, and blank lines.
 * Comments and document marks of CoNLL files are in conll.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { loadExamples, openStream } from '../../src/data/read/load';
import { type ReadOptions, readExamples } from '../../src/data/read/read_examples';
import { readTokenExamples } from '../../src/data/read/read_token_examples';
import { temporaryFolder } from '../io/temporary';

const PARQUET = path.join(__dirname, '..', 'fixtures', 'parquet');
const dir = temporaryFolder();

/** Notices of one reading, and how many rows it gave. */
async function noticesOf(name: string, content: string | undefined, options: ReadOptions = {}, labelled = true) {
  const file = content === undefined ? path.join(PARQUET, name) : path.join(dir, name);
  if (content !== undefined) fs.writeFileSync(file, content);
  const notices: string[] = [];
  const onNotice = (line: string) => void notices.push(line.replace(`${file}: `, ''));
  const read = options.textColumn === 'tokens' ? readTokenExamples : readExamples;
  const rows = await read(file, { ...options, onNotice }, labelled);
  return { rows: rows.length, notices };
}
const PAIR_HINT = '; a second text is named by textPairColumn (--text-pair-column)';

it.each<[string, string | undefined, ReadOptions, string[]]>([
  [
    'a.tsv',
    'idx\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n',
    { textColumn: 'sentence1' },
    [`columns that are not read: "idx", "sentence2"${PAIR_HINT}`],
  ],
  [
    'a.tsv',
    'idx\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n',
    { textColumn: 'sentence1', textPairColumn: 'sentence2' },
    ['columns that are not read: "idx"'],
  ],
  ['a.csv', '7,a,1\n', { header: false, textColumn: 1, labelColumn: 2 }, ['columns that are not read: "0"']],
  ['a.csv', 'text,label\na,1\n', {}, []],
  [
    'a.jsonl',
    '{"text":"a","label":1,"id":3}\n{"text":"a","label":1,"title":"b"}\n',
    {},
    [`columns that are not read: "id", "title"${PAIR_HINT}`],
  ],
  ['a.jsonl', '{"text":"a","label":1}\n', {}, []],
  [
    'a.jsonl',
    '{"tokens":["a"],"labels":["O"],"id":1}\n',
    { textColumn: 'tokens' },
    ['columns that are not read: "id"'],
  ],
  ['reviews-none.parquet', undefined, {}, ['columns that are not read: "idx"']],
])('columns of %s', async (name, content, options, notices) => {
  expect((await noticesOf(name, content, options)).notices).toEqual(notices);
});

it('a prediction does not miss the label', async () => {
  expect((await noticesOf('a.csv', 'text,label\na,1\n', {}, false)).notices).toEqual([]);
  const named = await noticesOf('a.csv', 'text,gold,id\na,1,2\n', { labelColumn: 'gold' }, false);
  expect(named.notices).toEqual(['columns that are not read: "id"']);
});

it.each([
  ['a.csv', 'text,label\n\n\n"a\nb",1\n\nb,0\n\n', '3 blank lines left out (the first: line 2)'],
  ['a.tsv', 'text\tlabel\na\t1\n\n \nb\t0\n\n', '2 blank lines left out (the first: line 3)'],
  ['a.jsonl', '{"text":"a","label":1}\n\n{"text":"a","label":1}\n\n', '1 blank line left out (the first: line 2)'],
])('blank lines of %s, but those at the end', async (name, content, notice) => {
  expect(await noticesOf(name, content)).toEqual({ rows: 2, notices: [notice] });
});

it.each<[string, boolean]>([
  ['"a ""fine"" film"\t1\nb\t0', true],
  ['"a"\t"1"\n"b"\t"0"', true],
  ['"a"\t1\nb\t0', false],
  ['"a" and "b"\t1\n"c"d"\t0', false],
])('quotes of TSV, %j, are a part of the text', async (rows, told) => {
  const { notices } = await noticesOf('q.tsv', `text\tlabel\n${rows}\n`);
  const line = `${path.join(dir, 'q.tsv')}:2: quotes are kept as a part of what stands in them`;
  expect(notices.map((notice) => notice.startsWith(line))).toEqual(told ? [true] : []);
});

it('an empty line of a file with one column is an empty text', async () => {
  expect(await noticesOf('a.tsv', 'text\na\n\nb\n', {}, false)).toEqual({ rows: 3, notices: [] });
});

it('is told once for many shards and epochs', async () => {
  const shards = path.join(dir, 'shards');
  fs.mkdirSync(shards);
  for (const name of ['a.csv', 'b.csv']) fs.writeFileSync(path.join(shards, name), 'text,label,id\na,1,2\n\nb,0,3\n');
  const request = { task: 'sequence-classification', data: shards } as const;
  const notices: string[] = [];
  const onNotice = (line: string) => void notices.push(line.slice(line.indexOf(': ') + 2));
  const expected = [
    'columns that are not read: "id"',
    '1 blank line left out (the first: line 3)',
    '1 blank line left out (the first: line 3)',
  ];
  expect((await loadExamples({ ...request, options: { onNotice } })).examples).toHaveLength(4);
  expect(notices).toEqual(expected);
  notices.length = 0;
  const stream = await openStream({ ...request, options: { onNotice } });
  for (let epoch = 0; epoch < 3; epoch++)
    for (const shard of stream.shards) for await (const piece of shard()) expect(piece).toHaveLength(2);
  expect(notices).toEqual(expected);
});
