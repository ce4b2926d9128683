/**
 * Ids against transformers' on generated texts (test/fixtures/tokenizer)
 * and on SST-2, and files that can not be used.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { loadTokenizer, type Tokenizer } from '../../src/data/tokenize/tokenizer';

const ROOT = path.join(__dirname, '..', '..');
const DATA = process.env['FUSED_LORA_DATA'] ?? path.join(ROOT, '..', 'shared', 'data');
const FIXTURES = path.join(ROOT, 'test', 'fixtures', 'tokenizer');
const unzip = <T>(name: string): T =>
  JSON.parse(zlib.gunzipSync(fs.readFileSync(path.join(FIXTURES, name))).toString()) as T;

interface Case {
  kind: string;
  text: string;
  pair: string | null;
  maxLength: number | null;
  ids: Record<'roberta' | 'tiny-roberta', number[]>;
}
const { cases } = unzip<{ cases: Case[] }>('cases.json.gz');
const hashes = unzip<{ rows: [number, number]; hashes: Record<string, string[]> }>('sst2-hashes.json.gz');

const hash = (ids: Int32Array) => createHash('sha256').update(ids.join(',')).digest('hex').slice(0, 16);
const tiny = loadTokenizer(path.join(ROOT, 'assets', 'tiny-roberta'));

function wrongCases(tokenizer: Tokenizer, name: 'roberta' | 'tiny-roberta') {
  return cases.filter(({ text, pair, maxLength, ids }) => {
    const got = tokenizer.encode(text, { pair: pair ?? undefined, maxLength: maxLength ?? undefined }).inputIds;
    return got.join() !== ids[name].join();
  });
}

const haveData = fs.existsSync(path.join(DATA, 'roberta-tokenizer', 'tokenizer.json'));
if (!haveData) console.warn(`skipped: RoBERTa's tokenizer is not at ${DATA}/roberta-tokenizer (set FUSED_LORA_DATA)`);
const withData = haveData ? describe : describe.skip;

describe('tiny RoBERTa', () => {
  it('gives the ids of transformers for every text', () => {
    expect(cases.length).toBeGreaterThanOrEqual(2000);
    expect(wrongCases(tiny, 'tiny-roberta')).toEqual([]);
  });

  it('knows its special tokens', () => {
    const { padId, clsId, sepId, maskId, unkId, vocabSize } = tiny;
    expect({ padId, clsId, sepId, maskId, unkId, vocabSize }).toEqual({
      clsId: 0,
      padId: 1,
      sepId: 2,
      unkId: 3,
      maskId: 6143,
      vocabSize: 6144,
    });
  });

  it('has one token type for both texts of a pair, as transformers has it', () => {
    expect([...tiny.encode('a fine film', { pair: 'or not' }).tokenTypeIds].every((type) => type === 0)).toBe(true);
  });

  it('reads back what it wrote', () => {
    expect(tiny.decode(tiny.encode('a fine film, naïve 😀').inputIds).trim()).toBe('a fine film, naïve 😀');
    expect(tiny.decode([0, 2])).toBe('');
  });

  it('encodes a long word in reasonable time', () => {
    const started = performance.now();
    tiny.encode('ab'.repeat(50_000));
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it.each([1, 0, -1, 2.5])('refuses maxLength %p', (maxLength) => {
    expect(() => tiny.encode('a', { maxLength })).toThrow(/maxLength is .* at least 2/);
  });
});

withData('roberta-base', () => {
  const folder = path.join(DATA, 'roberta-tokenizer');
  it('known answers', () => {
    const roberta = loadTokenizer(folder);
    expect([...roberta.encode('Hello world').inputIds]).toEqual([0, 31414, 232, 2]);
    expect([...roberta.encode(' Hello world').inputIds]).toEqual([0, 20920, 232, 2]);
  });

  it('gives the ids of transformers for every text, from tokenizer.json and from vocab.json with merges.txt', () => {
    expect(wrongCases(loadTokenizer(folder), 'roberta')).toEqual([]);
    const plain = fs.mkdtempSync(path.join(os.tmpdir(), 'tokenizer-'));
    for (const name of ['vocab.json', 'merges.txt']) fs.copyFileSync(path.join(folder, name), path.join(plain, name));
    expect(wrongCases(loadTokenizer(plain), 'roberta')).toEqual([]);
    fs.rmSync(plain, { recursive: true });
  });

  it.each(['roberta', 'tiny-roberta'] as const)('SST-2: %s', (name) => {
    const tokenizer = name === 'roberta' ? loadTokenizer(folder) : tiny;
    const [from, to] = hashes.rows;
    const lines = fs
      .readFileSync(path.join(DATA, 'sst2', 'train.tsv'), 'utf8')
      .split('\n')
      .slice(from, to + 1);
    const got = lines.map((line) => hash(tokenizer.encode(line.split('\t')[0]!.trim()).inputIds));
    expect(got).toEqual(hashes.hashes[name]);
  });
});

describe('WordPiece from vocab.txt', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tokenizer-'));
  afterAll(() => fs.rmSync(dir, { recursive: true }));
  const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'good', 'movie', '##s', 'a', 'b', ',', 'Good'];

  it('lower-cases unless told otherwise; pairs have types 0 and 1', () => {
    fs.writeFileSync(path.join(dir, 'vocab.txt'), `${words.join('\n')}\n`);
    const { inputIds, tokenTypeIds } = loadTokenizer(dir).encode('Good movies', { pair: 'a, xyz' });
    expect([...inputIds]).toEqual([2, 5, 6, 7, 3, 8, 10, 1, 3]);
    expect([...tokenTypeIds]).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1]);
    fs.writeFileSync(path.join(dir, 'tokenizer_config.json'), JSON.stringify({ do_lower_case: false }));
    expect([...loadTokenizer(dir).encode('Good').inputIds]).toEqual([2, 11, 3]);
  });
});

describe('files that can not be used', () => {
  let dir: string;
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tokenizer-'));
  });
  afterEach(() => fs.rmSync(dir, { recursive: true }));
  const good = JSON.parse(
    fs.readFileSync(path.join(ROOT, 'assets', 'tiny-roberta', 'tokenizer.json'), 'utf8'),
  ) as object;
  const small = { ...good, model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, added_tokens: [] };

  it.each([
    ['an empty folder', {}, /has no tokenizer.json/],
    ['no JSON', { 'tokenizer.json': '{' }, /tokenizer.json: is not JSON/],
    ['a list', { 'tokenizer.json': '[]' }, /no JSON object/],
    ['no model', { 'tokenizer.json': '{}' }, /tokenizer.json: it can not be used/],
    [
      'an unknown normalizer',
      { 'tokenizer.json': JSON.stringify({ ...small, normalizer: { type: 'Magic' } }) },
      /Magic/,
    ],
    [
      'an unknown model',
      { 'tokenizer.json': JSON.stringify({ ...small, model: { type: 'Magic', vocab: {} } }) },
      /tokenizer.json/,
    ],
    [
      'a broken config',
      { 'tokenizer.json': JSON.stringify(small), 'tokenizer_config.json': 'x' },
      /tokenizer_config.json: is not JSON/,
    ],
    ['vocab.json without merges.txt', { 'vocab.json': '{}' }, /has no tokenizer.json/],
    ['ids that are no numbers', { 'vocab.json': '{"a": "b"}', 'merges.txt': '' }, /vocab.json: the id of "a" is "b"/],
    ['a merge of three', { 'vocab.json': '{"<s>": 0, "</s>": 2}', 'merges.txt': 'a b c\n' }, /merge 1 is "a b c"/],
    ['no <s>', { 'vocab.json': '{"a": 0}', 'merges.txt': '' }, /has no "<s>"/],
    ['no [CLS]', { 'vocab.txt': 'a\nb\n' }, /has no line "\[CLS\]"/],
  ])('%s', (_, files, message) => {
    for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), content);
    const load = () => loadTokenizer(dir);
    expect(load).toThrow(expect.objectContaining({ code: 'INVALID_TOKENIZER' }));
    expect(load).toThrow(message);
  });

  it('no folder', () => {
    expect(() => loadTokenizer(path.join(dir, 'nothing'))).toThrow(
      expect.objectContaining({ code: 'INVALID_TOKENIZER' }),
    );
  });
});
