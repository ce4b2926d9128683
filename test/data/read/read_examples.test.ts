import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { readExamples } from '../../../src/data/read/read_examples';

const DATA = process.env['FUSED_LORA_DATA'] ?? path.join(__dirname, '..', '..', '..', '..', 'shared', 'data');
const haveData = fs.existsSync(path.join(DATA, 'sst2', 'train.tsv'));
if (!haveData) console.warn(`skipped: GLUE files are not at ${DATA} (set FUSED_LORA_DATA)`);

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'data-'));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));
const write = (name: string, content: string | Buffer) => {
  const file = path.join(dir, name);
  fs.writeFileSync(file, content);
  return file;
};

describe('TSV', () => {
  it('finds the columns of a header; one trailing space, CRLF and a BOM are dropped', async () => {
    const file = write('a.tsv', '\uFEFFlabel\tsentence\r\n1\ta fine film \r\n0\t"quoted" stays\r\n');
    expect(await readExamples(file)).toEqual([
      { text: 'a fine film', label: '1', place: `${file}:2` },
      { text: '"quoted" stays', label: '0', place: `${file}:3` },
    ]);
  });

  it('takes columns by number without a header, and pairs', async () => {
    const file = write('a.tsv', 'gj04\t1\t\tOur friends.\tYes.\n');
    const options = { header: false, textColumn: '3', labelColumn: '1', textPairColumn: '4' };
    expect(await readExamples(file, options)).toEqual([
      { text: 'Our friends.', textPair: 'Yes.', label: '1', place: `${file}:1` },
    ]);
  });

  it('needs no label for prediction', async () => {
    expect((await readExamples(write('a.tsv', 'index\tsentence\n0\tgood\n'), {}, false))[0]).toMatchObject({
      text: 'good',
    });
  });
});

describe('JSONL', () => {
  it('reads strings, numbers and lists as labels and passes over empty lines', async () => {
    const file = write(
      'a.jsonl',
      '{"text": "a", "label": "good"}\n\n{"text": "b", "label": 1}\n{"text": "c", "label": [0.5]}',
    );
    expect((await readExamples(file)).map(({ text, label, place }) => [text, label, place])).toEqual([
      ['a', 'good', `${file}:1`],
      ['b', 1, `${file}:3`],
      ['c', [0.5], `${file}:4`],
    ]);
  });

  it('takes other fields', async () => {
    const file = write('a.ndjson', '{"premise": "a", "hypothesis": "b", "gold": 2}');
    const options = { textColumn: 'premise', textPairColumn: 'hypothesis', labelColumn: 'gold' };
    expect(await readExamples(file, options)).toEqual([{ text: 'a', textPair: 'b', label: 2, place: `${file}:1` }]);
  });
});

describe('bad input', () => {
  it.each([
    ['an empty file', 'a.tsv', '', /a.tsv: is empty/],
    ['a header alone', 'a.tsv', 'sentence\tlabel\n', /no rows/],
    [
      'no text column',
      'a.tsv',
      'review\tlabel\nx\t1\n',
      /a.tsv:1: has no column for the text; the header names "review", "label": name it with textColumn, or say/,
    ],
    ['no label column', 'a.tsv', 'sentence\tclass\nx\t1\n', /no column for the label.*"sentence", "class"/],
    ['a short row', 'a.tsv', 'sentence\tlabel\nx\t1\nonly text\n', /a.tsv:3: has 1 of at least 2 columns/],
    ['a tab in a text', 'a.tsv', 'sentence\tlabel\nx\t1\ny\tz\t1\n', /a.tsv:3: has 3 columns, the first line 2/],
    ['commas', 'a.tsv', 'sentence,label\nx,1\n', /names "sentence,label"/],
    ['CR alone', 'a.tsv', 'sentence\tlabel\rx\t1\r', /a.tsv:1: its lines end in CR alone/],
    ['CR alone', 'a.csv', 'sentence,label\rx,1\r', /a.csv:1: its lines end in CR alone/],
    ['a NUL byte', 'a.tsv', 'sentence\tlabel\nx\0\t1\n', /a.tsv:2: has a NUL byte/],
    [
      'no UTF-8',
      'a.tsv',
      Buffer.from([...Buffer.from('sentence\tlabel\nok\t1\ncaf'), 0xe9, 9, 49, 10]),
      /a.tsv:3: is not valid UTF-8/,
    ],
    ['no JSON', 'a.jsonl', '{"text": "a", "label": 1}\n{"text": \n', /a.jsonl:2: is not JSON/],
    ['a JSON list', 'a.jsonl', '["a", 1]\n', /a.jsonl:1: is not a JSON object/],
    [
      'no text field',
      'a.jsonl',
      '{"review": "a", "label": 1}\n',
      /a.jsonl:1: has no field "sentence" or "text"; it has review, label/,
    ],
    ['no label field', 'a.jsonl', '{"text": "a"}\n', /a.jsonl:1: has no field "label" or "labels"/],
    [
      'labels in fields of two names',
      'a.jsonl',
      '{"text": "a", "label": 1}\n{"text": "b", "labels": 0}\n',
      /a.jsonl:2: has no field "label"; was "labels" meant\?/,
    ],
    ['text that is a number', 'a.jsonl', '{"text": 5, "label": 1}\n', /field "text" is 5/],
    ['a label that is an object', 'a.jsonl', '{"text": "a", "label": {}}\n', /field "label" is \{\}/],
    ['blank lines alone', 'a.jsonl', '\n\n', /no rows/],
  ])('%s', async (_, name, content, message) => {
    const file = write(name, content);
    await expect(readExamples(file)).rejects.toMatchObject({ code: 'INVALID_DATA' });
    await expect(readExamples(file)).rejects.toThrow(message);
  });

  it('a missing file, and another kind of file', async () => {
    await expect(readExamples(path.join(dir, 'none.tsv'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readExamples(write('a.docx', 'x'))).rejects.toThrow(/files ending in ".docx" can not be read/);
  });

  it('a column number out of range', async () => {
    const file = write('a.tsv', 'x\t1\n');
    await expect(readExamples(file, { header: false, textColumn: '2' })).rejects.toThrow(/there are 2 columns, from 0/);
  });
});

(haveData ? describe : describe.skip)('GLUE files', () => {
  it('SST-2', async () => {
    const train = await readExamples(path.join(DATA, 'sst2', 'train.tsv'));
    expect(train).toHaveLength(67_349);
    expect(train.filter(({ label }) => label === '1')).toHaveLength(37_569);
    expect(await readExamples(path.join(DATA, 'sst2', 'dev.tsv'))).toHaveLength(872);
    expect(await readExamples(path.join(DATA, 'sst2', 'test.tsv'), {}, false)).toHaveLength(1821);
    expect(train.some(({ text }) => text.endsWith(' '))).toBe(false);
  });

  it('CoLA', async () => {
    const options = { header: false, textColumn: '3', labelColumn: '1' };
    const train = await readExamples(path.join(DATA, 'glue', 'cola', 'train.tsv'), options);
    expect(train).toHaveLength(8551);
    expect(train.filter(({ label }) => label === '1')).toHaveLength(6023);
    expect(await readExamples(path.join(DATA, 'glue', 'cola', 'dev.tsv'), options)).toHaveLength(1043);
  });
});
