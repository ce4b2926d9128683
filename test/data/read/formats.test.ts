/**
 * Data files of every format, alone, gzipped, in shards and
 * by globs; a thing that is damaged is in test/bad_input.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  type DataFiles,
  type FusedLoraError,
  type ReadOptions,
  readExamples,
  readTokenExamples,
  streamExamples,
} from '../../../src';
import { RANDOM_SITE, RandomStream } from '../../../src/base/philox';
import { sharedData, temporaryFolder } from '../../io/temporary';

const PARQUET = path.join(__dirname, '..', '..', 'fixtures', 'parquet');
const dir = temporaryFolder();
let count = 0;
/** A file of its own folder. */
const write = (name: string, content: string | Buffer) => {
  const folder = path.join(dir, String(count++));
  fs.mkdirSync(folder);
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  return file;
};
const rows = async (files: DataFiles, options: ReadOptions = {}) =>
  (await readExamples(files, options)).map(({ text, textPair, label }) =>
    textPair === undefined ? [text, label] : [text, textPair, label],
  );

describe('CSV', () => {
  it('has quotes around commas, quotes and line ends; a place is the line that a row begins on', async () => {
    const file = write('a.csv', 'label,text\r\n1,"good, or\nso they say"\r\n\r\n0,"a ""fine"" film"\r\n1, x \r\n');
    expect(await readExamples(file)).toEqual([
      { text: 'good, or\nso they say', label: '1', place: `${file}:2` },
      { text: 'a "fine" film', label: '0', place: `${file}:5` },
      { text: ' x ', label: '1', place: `${file}:6` },
    ]);
  });

  it('may begin with a byte order mark, and end without a line end', async () => {
    expect(await rows(write('a.csv', '\uFEFFtext,label\na,1'))).toEqual([['a', '1']]);
  });

  it('may have semicolons, or what is said', async () => {
    expect(await rows(write('a.csv', 'text;label\na, b;1\n'))).toEqual([['a, b', '1']]);
    expect(await rows(write('a.csv', 'text|label\na, b|1\n'), { delimiter: '|' })).toEqual([['a, b', '1']]);
  });

  it('takes columns by name, by number, and pairs', async () => {
    const file = write('a.csv', 'id,q1,q2,same\n7,a,b,yes\n');
    const pair = { textColumn: 'q1', textPairColumn: 'q2', labelColumn: 'same' };
    expect(await rows(file, pair)).toEqual([['a', 'b', 'yes']]);
    expect(await rows(file, { textColumn: 1, textPairColumn: 2, labelColumn: 3 })).toEqual([['a', 'b', 'yes']]);
    expect(await rows(file, { textColumn: '1', labelColumn: '0', header: false })).toEqual([
      ['q1', 'id'],
      ['a', '7'],
    ]);
  });

  it('may have a row of a megabyte', async () => {
    const long = 'a b '.repeat(300_000);
    const [one, two] = await readExamples(write('a.csv', `text,label\n"${long}",1\nx,0\n`));
    expect(one?.text).toBe(long);
    expect(two?.place).toMatch(/:3$/);
  });
});

describe('Parquet', () => {
  const sentences = [
    'a gripping film',
    'dull, and far too long',
    'a "fine" idea',
    'naïve 😀',
    'waste of time',
    'so good',
  ];
  const labels = [1, 0, 1, 1, 0, 1];

  it.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4'])(
    'with %s, its row groups one after the other',
    async (codec) => {
      const file = path.join(PARQUET, `reviews-${codec}.parquet`);
      expect(await rows(file)).toEqual(sentences.map((text, i) => [text, labels[i]]));
      expect((await readExamples(file)).map(({ place }) => place).at(-1)).toBe(`${file}: row 5`);
    },
  );

  it('class ids become names where the file tells them', async () => {
    const file = path.join(PARQUET, 'named.parquet');
    expect((await readExamples(file)).map(({ label }) => label)).toEqual(labels.map((id) => ['worse', 'better'][id]));
    const unlabelled = await readExamples(path.join(PARQUET, 'unlabelled.parquet'));
    expect(unlabelled.map(({ label }) => label)).toEqual([undefined, undefined]);
  });

  it('takes columns by name, by number, and pairs', async () => {
    const file = path.join(PARQUET, 'pairs.parquet');
    const expected = [
      ['a', 'c', 0.5],
      ['b', 'd', 4.25],
    ];
    expect(await rows(file, { textColumn: 'premise', textPairColumn: 'hypothesis', labelColumn: 'score' })).toEqual(
      expected,
    );
    expect(await rows(file, { textColumn: 0, textPairColumn: 1, labelColumn: 2 })).toEqual(expected);
  });

  it('holds sentences in words', async () => {
    const file = path.join(PARQUET, 'words.parquet');
    expect(await readTokenExamples(file)).toEqual([
      { tokens: ['Anna', 'sat'], labels: ['B-PER', 'O'], place: `${file}: row 0` },
      { tokens: ['Oslo'], labels: ['B-LOC'], place: `${file}: row 1` },
    ]);
  });

  it('with any bytes changed is read or refused, and never ends or holds up the process', async () => {
    const random = new RandomStream(7, RANDOM_SITE.synthetic);
    const outcomes = new Set<string>();
    for (const codec of ['snappy', 'zstd', 'brotli']) {
      const good = fs.readFileSync(path.join(PARQUET, `reviews-${codec}.parquet`));
      for (let i = 0; i < 60; i++) {
        const bytes = Buffer.from(good);
        for (let k = 0; k <= random.below(4); k++) bytes[4 + random.below(bytes.length - 12)] = random.below(256);
        const outcome = await rows(write('a.parquet', bytes)).then(
          () => 'read',
          (error: FusedLoraError) => error.code ?? error.message,
        );
        outcomes.add(outcome);
      }
    }
    expect(outcomes).toEqual(new Set(['read', 'INVALID_DATA']));
  });

  it('may be gzipped as a whole', async () => {
    const file = write('a.parquet.gz', gzipSync(fs.readFileSync(path.join(PARQUET, 'reviews-snappy.parquet'))));
    expect(await rows(file)).toHaveLength(6);
  });
});

describe('gzip', () => {
  it.each([
    ['a.csv.gz', 'text,label\na,1\nb,0\n'],
    ['a.tsv.gz', 'text\tlabel\na\t1\nb\t0\n'],
    ['a.jsonl.gz', '{"text": "a", "label": "1"}\n{"text": "b", "label": "0"}\n'],
    ['not-said.csv', 'text,label\na,1\nb,0\n'],
  ])('%s', async (name, content) => {
    expect(await rows(write(name, gzipSync(content)))).toEqual([
      ['a', '1'],
      ['b', '0'],
    ]);
  });

  it('of several members, as from cat', async () => {
    const file = write('a.csv.gz', Buffer.concat([gzipSync('text,label\na,1\n'), gzipSync('b,0\n')]));
    expect(await rows(file)).toHaveLength(2);
  });

  it('of CoNLL', async () => {
    expect(await readTokenExamples(write('a.conll.gz', gzipSync('Anna B-PER\nsat O\n\n')))).toMatchObject([
      { tokens: ['Anna', 'sat'], labels: ['B-PER', 'O'] },
    ]);
  });
});

describe('several files', () => {
  const folder = path.join(dir, 'shards');
  beforeAll(() => {
    fs.mkdirSync(path.join(folder, 'more'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'part-2.csv'), 'text,label\nc,1\n');
    fs.writeFileSync(path.join(folder, 'part-1.csv.gz'), gzipSync('label,text\n0,a\n1,b\n'));
    for (const name of ['_SUCCESS', '.part-3.csv.crc', 'README.md']) fs.writeFileSync(path.join(folder, name), 'x');
    fs.writeFileSync(path.join(folder, 'more', 'part-9.csv'), 'text,label\nd,0\n');
  });
  const texts = async (files: DataFiles) => (await readExamples(files)).map(({ text }) => text).join('');

  it('a folder: its data files by name', async () => {
    expect(await texts(folder)).toBe('abc');
  });

  it('a glob, and a list in its order', async () => {
    expect(await texts(`${folder}/**/part-*.csv`)).toBe('dc');
    expect(await texts(path.join(folder, 'part-{1,2}.csv*'))).toBe('abc');
    expect(await texts([path.join(folder, 'part-2.csv'), path.join(folder, 'part-1.csv.gz')])).toBe('cab');
  });

  it('a name with the signs of a glob is a file where there is one', async () => {
    expect(await texts(write('a[1].csv', 'text,label\nx,1\n'))).toBe('x');
  });
});

describe('a stream', () => {
  it('reads no further than it is asked', async () => {
    const file = write('a.csv', `text,label\n${'a,1\n'.repeat(200_000)}"never closed`);
    let seen = 0;
    for await (const { text } of streamExamples(file)) {
      expect(text).toBe('a');
      if (++seen === 1000) break;
    }
    expect(seen).toBe(1000);
    await expect(readExamples(file)).rejects.toThrow(/:200002: has a quote that is not closed/);
  });

  it('says what a mistyped option was meant to be', async () => {
    const options = { textColum: 'x' } as ReadOptions;
    await expect(readExamples('a.csv', options)).rejects.toThrow(/no option "textColum". Did you mean textColumn\?/);
  });
});

const sst2 = sharedData('sst2', 'train.tsv');
(sst2 === undefined ? describe.skip : describe)('SST-2 as CSV', () => {
  it('gives the rows of the TSV file, in seconds', async () => {
    const tsv = await readExamples(sst2 as string);
    const quote = (text: string) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const file = write(
      'train.csv',
      `sentence,label\n${tsv.map(({ text, label }) => `${quote(text)},${label}\n`).join('')}`,
    );
    const started = process.cpuUsage();
    const csv = await readExamples(file);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(10);
    expect(csv).toHaveLength(67_349);
    expect(csv.map(({ text, label }) => [text, label])).toEqual(tsv.map(({ text, label }) => [text, label]));
  });
});
