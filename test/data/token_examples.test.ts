/**
 * Files of sentences in words, and words as pieces with
 * labels: ids against transformers' is_split_into_words.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { readTokenExamples } from '../../src/data/read/read_token_examples';
import { encodeTokenExamples } from '../../src/data/tokenize/encode_words';
import { loadTokenizer } from '../../src/data/tokenize/tokenizer';
import { errorMessage, sharedData, temporaryFolder } from '../io/temporary';

const ROOT = path.join(__dirname, '..', '..');
const dir = temporaryFolder();
const write = (name: string, content: string) => {
  const file = path.join(dir, name);
  fs.writeFileSync(file, content);
  return file;
};

interface Sentence {
  words: string[];
  maxLength: number | null;
  ids: number[];
  wordIds: number[];
  roberta: string;
}
const fixture = path.join(ROOT, 'test', 'fixtures', 'tokenizer', 'words.json.gz');
const { sentences } = JSON.parse(zlib.gunzipSync(fs.readFileSync(fixture)).toString()) as { sentences: Sentence[] };
const tiny = loadTokenizer(path.join(ROOT, 'assets', 'tiny-roberta'));

describe('pieces of words', () => {
  it('are those of transformers, and come from the same words', () => {
    expect(sentences.length).toBeGreaterThan(250);
    for (const { words, maxLength, ids, wordIds } of sentences) {
      const got = tiny.encodeWords(words, maxLength ?? undefined);
      expect({ words, ids: [...got.inputIds], wordIds: [...got.wordIds] }).toEqual({ words, ids, wordIds });
      expect(got.tokenTypeIds).toEqual(new Int32Array(ids.length));
    }
  });

  const folder = sharedData('roberta-tokenizer');
  (folder ? it : it.skip)("with roberta-base's tokenizer too", () => {
    const tokenizer = loadTokenizer(folder as string);
    const digest = (values: number[]) => createHash('sha256').update(values.join(',')).digest('hex').slice(0, 16);
    const got = sentences.map(({ words, maxLength }) => {
      const { inputIds, wordIds } = tokenizer.encodeWords(words, maxLength ?? undefined);
      return digest([...inputIds, ...wordIds]);
    });
    expect(got).toEqual(sentences.map(({ roberta }) => roberta));
  });

  it('leave the encoding of texts as it is', () => {
    const before = tiny.encode('good film').inputIds;
    tiny.encodeWords(['good', 'film']);
    expect(tiny.encode('good film').inputIds).toEqual(before);
  });

  it('need room for the special tokens', () => {
    expect(errorMessage('INVALID_ARGUMENT', () => tiny.encodeWords(['a'], 1))).toMatch(/at least 2/);
  });
});

describe('labels', () => {
  const label = (name: string | number, place: string) => {
    if (typeof name === 'number') return name;
    throw new Error(`${place}: ${name}`);
  };

  it('stand on the first piece of each word; words that were cut have none', async () => {
    const tokens = ['counterproductive', 'film', '', 'misunderstanding'];
    const { wordIds } = tiny.encodeWords(tokens);
    const [whole] = await encodeTokenExamples([{ tokens, labels: [1, 2, 3, 4] }], tiny, { maxLength: 99, label });
    const expected = [...wordIds].map((word, t) => (word < 0 || wordIds[t - 1] === word ? -100 : word + 1));
    expect([...whole!.tokenLabels!]).toEqual(expected);
    expect(whole!.firstPieces[2]).toBe(-1);
    const [cut] = await encodeTokenExamples([{ tokens, labels: [1, 2, 3, 4] }], tiny, { maxLength: 4, label });
    expect(cut!.inputIds).toHaveLength(4);
    expect([...cut!.tokenLabels!].filter((id) => id !== -100)).toEqual([1]);
    expect([...cut!.firstPieces]).toEqual([1, -1, -1, -1]);
  });

  it('are not needed where none are asked for', async () => {
    const [encoded] = await encodeTokenExamples([{ tokens: ['a'] }], tiny, { maxLength: 8 });
    expect(encoded!.tokenLabels).toBeUndefined();
  });

  it.each([
    ['no list', { tokens: 'a b' as unknown as string[] }, /example 0: its tokens are "a b"/],
    ['a word that is a number', { tokens: [5 as unknown as string] }, /word 0 is number/],
    ['too few labels', { tokens: ['a', 'b'], labels: [1] }, /has 2 words and 1 labels/],
    ['no labels', { tokens: ['a'], place: 'x:3' }, /x:3: has no labels/],
    ['an unknown one', { tokens: ['a', 'b'], labels: [1, 'X'] }, /example 0, word 1 \("b"\): X/],
  ])('%s', async (_, example, message) => {
    await expect(encodeTokenExamples([example], tiny, { maxLength: 8, label })).rejects.toThrow(message);
  });
});

describe('JSONL', () => {
  it('has lists of words and labels, of names or class ids', async () => {
    const names = write('a.jsonl', '{"tokens":["Anna","sat"],"labels":["B-PER","O"]}\n');
    const ids = write('b.jsonl', '\n{"words":["a"],"ner_tags":[0]}\n');
    expect(await readTokenExamples([names, ids])).toEqual([
      { tokens: ['Anna', 'sat'], labels: ['B-PER', 'O'], place: `${names}:1` },
      { tokens: ['a'], labels: [0], place: `${ids}:2` },
    ]);
    const mixed = write('c.jsonl', '{"words":["a"],"ner_tags":[0]}\n{"words":["a"],"pos_tags":[0]}\n');
    await expect(readTokenExamples(mixed)).rejects.toThrow(/c\.jsonl:2: has no field "ner_tags"/);
  });

  it('takes other fields, and needs no labels for prediction', async () => {
    const file = write('a.ndjson', '{"w":["a"],"pos":["DET"],"tokens":[]}\n');
    expect((await readTokenExamples(file, { textColumn: 'w', labelColumn: 'pos' }))[0]).toMatchObject({
      labels: ['DET'],
    });
    expect(await readTokenExamples(file, { textColumn: 'w' }, false)).toEqual([{ tokens: ['a'], place: `${file}:1` }]);
  });

  it.each([
    ['{"text":"a"}', /:1: has no field "tokens" or "words"; it has text/],
    ['{"tokens":["a"]}', /has no field "labels" or "ner_tags"/],
    ['{"tokens":"a","labels":[1]}', /field "tokens" is "a"; it must be a list/],
    ['{"tokens":["a"],"labels":["O","O"]}', /has 1 words in "tokens" and 2 in "labels"/],
    ['{"tokens":[1],"labels":["O"]}', /"tokens" has 1 at 0/],
    ['{"tokens":["a"],"labels":[null]}', /"labels" has null at 0/],
    ['["a"]', /is not a JSON object/],
    ['\n', /has no sentences/],
  ])('%s', async (line, message) => {
    const file = write('bad.jsonl', `${line}\n`);
    await expect(readTokenExamples(file)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(message),
    });
  });
});

describe('CoNLL', () => {
  const text = '-DOCSTART- -X- O\n\nAnna NNP B-PER\nsat VBD O\n\n\nOslo\tNNP\tB-LOC\n';

  it('has a word a line, its label last, and an empty line after each sentence', async () => {
    const file = write('a.conll', text);
    expect(await readTokenExamples(file)).toEqual([
      { tokens: ['Anna', 'sat'], labels: ['B-PER', 'O'], place: `${file}:3` },
      { tokens: ['Oslo'], labels: ['B-LOC'], place: `${file}:7` },
    ]);
    expect((await readTokenExamples(file, { labelColumn: '1' }))[0]).toMatchObject({ labels: ['NNP', 'VBD'] });
    expect((await readTokenExamples(file, {}, false))[1]).toEqual({ tokens: ['Oslo'], place: `${file}:7` });
  });

  it.each([
    ['a column that is not there', text, { labelColumn: '3' }, /a.conll:3: has no column 3; it has 3, from 0/],
    ['a column by name', text, { textColumn: 'word' }, /go by number \(textColumn\)/],
    ['a word without a label', 'Anna B-PER\nsat\n', {}, /a.conll:2: has "sat" alone/],
    ['no words', '\n\n', {}, /has no sentences/],
  ])('%s', async (_, content, options, message) => {
    const file = write('a.conll', content);
    await expect(readTokenExamples(file, options)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(message),
    });
  });
});
