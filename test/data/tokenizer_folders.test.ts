/**
 * Tokenizer folders in the forms that people have, against what transformers' AutoTokenizer makes
 * of them (test/fixtures/tokenizer/folders.json.gz): ids, pairs, cut texts, sides and sizes; and
 * folders that are refused.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { loadTokenizer, Tokenizer } from '../../src/data/tokenize/tokenizer';
import { temporaryFolder } from '../io/temporary';

const FILE = path.join(__dirname, '..', 'fixtures', 'tokenizer', 'folders.json.gz');
interface Folder {
  name: string;
  files: Record<string, unknown>;
  truncationSide: string;
  modelMaxLength: number | null;
  size: number;
  ids: number[][];
  pairs: { ids: number[]; types: number[] }[];
  cut: (number[] | null)[];
}
const { texts, pairs, cut, folders } = JSON.parse(zlib.gunzipSync(fs.readFileSync(FILE)).toString()) as {
  texts: string[];
  pairs: [string, string][];
  cut: [string, string | null, number][];
  folders: Folder[];
};
const dir = temporaryFolder();
let count = 0;

function write(files: Record<string, unknown>): string {
  const folder = path.join(dir, String(count++));
  fs.mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    fs.writeFileSync(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

it.each(folders.map((folder) => [folder.name, folder] as const))('%s', (_, folder) => {
  const tokenizer = loadTokenizer(write(folder.files));
  expect({
    truncationSide: tokenizer.truncationSide,
    modelMaxLength: tokenizer.modelMaxLength ?? null,
    ids: texts.map((text) => [...tokenizer.encode(text).inputIds]),
    pairs: pairs.map(([text, pair]) => {
      const { inputIds, tokenTypeIds } = tokenizer.encode(text, { pair });
      return { ids: [...inputIds], types: [...tokenTypeIds] };
    }),
    cut: cut.map(([text, pair, maxLength], i) =>
      folder.cut[i] === null ? null : [...tokenizer.encode(text, { pair: pair ?? undefined, maxLength }).inputIds],
    ),
  }).toEqual({
    truncationSide: folder.truncationSide,
    modelMaxLength: folder.modelMaxLength,
    ids: folder.ids,
    pairs: folder.pairs,
    cut: folder.cut,
  });
});

const LINES = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'good', 'bad'];
const VOCAB = { 'vocab.txt': `${LINES.join('\n')}\n` };
const model = { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100 };
const whole = (more: object = {}) => ({ model: { ...model, vocab: { '[UNK]': 0, good: 1, bad: 2 } }, ...more });
const bpe = (more: object) =>
  whole({ model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']], ...more } });
const file = (content: object) => ({ 'tokenizer.json': content });
const added = (content: string, id: unknown, more: object = {}) => ({
  id,
  content,
  special: true,
  normalized: false,
  ...more,
});
const first = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: true };

it.each([
  [
    'an unknown model',
    file(whole({ model: { type: 'Magic', vocab: {} } })),
    /tokenizer\.json: .*model \(Magic\) is not known/,
  ],
  ['a model of no type', file(whole({ model: { vocab: {} } })), /tokenizer\.json: .*model has no type/],
  ['another version', file(whole({ version: '2.0' })), /tokenizer\.json: .*version is "2\.0"/],
  ['an id below 0', file(whole({ model: { ...model, vocab: { a: -1 } } })), /tokenizer\.json: .*id of "a" is -1/],
  [
    'an id of 10^7',
    file(whole({ model: { ...model, vocab: { a: 1e7 } } })),
    /tokenizer\.json: .*id of "a" is 10000000/,
  ],
  [
    'an id that is no number',
    file(whole({ model: { ...model, vocab: { a: '1' } } })),
    /tokenizer\.json: .*id of "a" is "1"/,
  ],
  [
    'an added id of 10^9',
    file(whole({ added_tokens: [added('<e>', 1e9)] })),
    /tokenizer\.json: .*added_tokens\[0\]: the id of "<e>" is 1000000000/,
  ],
  ['a merge of three', file(bpe({ merges: ['a b ab'] })), /tokenizer\.json: .*merge 1 is "a b ab"/],
  ['merges of both forms', file(bpe({ merges: [['a', 'b'], 'a b'] })), /merge 2 is "a b"/],
  ['a merge of numbers', file(bpe({ merges: [[1, 2]] })), /merge 1 is \[1,2\]/],
  ['a merge out of the vocabulary', file(bpe({ merges: [['b', 'a']] })), /merge 1, "b a", needs "ba"/],
  ['dropout', file(bpe({ dropout: 0.1 })), /its dropout is 0\.1, which draws at random/],
  [
    'scripts',
    file(whole({ pre_tokenizer: { type: 'UnicodeScripts' } })),
    /pre_tokenizer \(UnicodeScripts\) is not known/,
  ],
  [
    'a step of a sequence',
    file(whole({ pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Odd' }] } })),
    /pre_tokenizer\.pretokenizers\[0\] \(Odd\)/,
  ],
  [
    'a behavior',
    file(whole({ pre_tokenizer: { type: 'Punctuation', behavior: 'Odd' } })),
    /its behavior is "Odd"; expected one of Removed/,
  ],
  [
    'an option that is left out',
    file(whole({ normalizer: { type: 'Strip', strip_left: true } })),
    /normalizer \(Strip\): its strip_right is missing/,
  ],
  [
    'an empty pattern',
    file(whole({ normalizer: { type: 'Replace', pattern: { String: '' }, content: 'x' } })),
    /its pattern is empty/,
  ],
  [
    'first after a normalizer',
    file(whole({ normalizer: { type: 'Nmt' }, pre_tokenizer: first })),
    /"first", and normalizer \(Nmt\) may change where a text starts/,
  ],
  [
    'first after another',
    file(
      whole({
        pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'ByteLevel', add_prefix_space: false }, first] },
      }),
    ),
    /"first", after pre_tokenizer/,
  ],
  [
    'two templates',
    file(
      whole({
        post_processor: {
          type: 'Sequence',
          processors: [
            { type: 'BertProcessing', sep: ['b', 2], cls: ['a', 1] },
            { type: 'BertProcessing', sep: ['b', 2], cls: ['a', 1] },
          ],
        },
      }),
    ),
    /a second step that adds tokens/,
  ],
  [
    'a template of an unknown token',
    file(
      whole({
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: 'x', type_id: 0 } }],
          pair: [],
          special_tokens: {},
        },
      }),
    ),
    /its special_tokens lack "x"/,
  ],
  [
    'an added id that Python does not give',
    file(whole({ added_tokens: [added('<e>', 7)] })),
    /"<e>" has the id 7, and Python's tokenizers gives it 3/,
  ],
  [
    'two added tokens that are one',
    file(
      whole({
        normalizer: { type: 'Lowercase' },
        added_tokens: [added('<E>', 3, { normalized: true }), added('<e>', 4, { normalized: true })],
      }),
    ),
    /are both "<e>" once normalized/,
  ],
  [
    'ids of added_tokens.json',
    { ...VOCAB, 'added_tokens.json': { '<e>': 9 } },
    /added_tokens\.json: .*"<e>" has the id 9/,
  ],
  [
    'ids of added_tokens.json below 0',
    { ...VOCAB, 'added_tokens.json': { '<e>': -9 } },
    /added_tokens\.json: .*id of "<e>" is -9/,
  ],
  [
    'added_tokens_decoder',
    { ...VOCAB, 'tokenizer_config.json': { added_tokens_decoder: { x: { content: '<e>' } } } },
    /tokenizer_config\.json: .*id of "<e>" is "x"/,
  ],
  [
    'do_lower_case',
    {
      ...file(
        whole({
          normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: false },
        }),
      ),
      'tokenizer_config.json': { tokenizer_class: 'BertTokenizer' },
    },
    /tokenizer_config\.json: names the class BertTokenizer without do_lower_case/,
  ],
  [
    'do_lower_case of a text',
    { ...VOCAB, 'tokenizer_config.json': { do_lower_case: 'no' } },
    /tokenizer_config\.json: its do_lower_case is "no"/,
  ],
  ['a side', { ...VOCAB, 'tokenizer_config.json': { truncation_side: 'middle' } }, /truncation_side is "middle"/],
  ['a length', { ...VOCAB, 'tokenizer_config.json': { model_max_length: 0 } }, /model_max_length is 0/],
  [
    'sentencepiece alone',
    { 'sentencepiece.bpe.model': 'x' },
    /has its tokenizer only as sentencepiece\.bpe\.model.*save_pretrained/,
  ],
  ['another name of sentencepiece', { 'spiece.model': 'x' }, /only as spiece\.model/],
])('refuses %s, naming file and place', (_, files, message) => {
  const load = () => loadTokenizer(write(files));
  expect(load).toThrow(expect.objectContaining({ code: 'INVALID_TOKENIZER' }));
  expect(load).toThrow(message);
});

it('refuses a word that no token stands for, as Python does', () => {
  const level = { type: 'WordLevel', vocab: { good: 0 }, unk_token: '[UNK]' };
  const tokenizer = loadTokenizer(write(file(whole({ model: level, pre_tokenizer: { type: 'Whitespace' } }))));
  expect([...tokenizer.encode('good good').inputIds]).toEqual([0, 0]);
  expect(() => tokenizer.encode('good odd')).toThrow(
    /no token stands for "odd": its unk_token "\[UNK\]" is not in its vocabulary/,
  );
});

it('wants a row of the embedding for every id, but those of tokens that are only named', () => {
  const tokenizer = loadTokenizer(write({ ...VOCAB, 'special_tokens_map.json': { mask_token: '[MASK]' } }));
  expect(tokenizer.vocabSize).toBe(6);
  expect(tokenizer.maskId).toBe(6);
  expect(tokenizer.encode('good [MASK]').inputIds).toContain(6);
  expect(tokenizer.checkRows(7, 'model')).toBeUndefined();
  expect(tokenizer.checkRows(6, 'model')).toMatch(
    /vocab\.txt: "\[MASK\]" \(6\) is a special token in no vocabulary.* has 6 rows/,
  );
  expect(tokenizer.encode('good bad').inputIds).toHaveLength(4);
  const message = /a text has the special token "\[MASK\]", whose id 6 has no row/;
  expect(() => tokenizer.encode('good [MASK]')).toThrow(message);
  expect(() => tokenizer.encodeWords(['good', '[MASK]'])).toThrow(message);
  expect(() => tokenizer.checkRows(5, 'model')).toThrow(
    /vocab\.txt: has 6 ids, and the token embedding of model has 5 rows, none for "bad" \(5\)/,
  );
  // Tokens around a text need rows too.
  const around = new Tokenizer({
    ...{ source: 'tokenizer.json', config: {} },
    tokenizer: {
      model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' },
      post_processor: { type: 'BertProcessing', cls: ['a', 0], sep: ['b', 9_000_000] },
    },
  });
  expect(() => around.checkRows(1, 'model')).toThrow(/none for "of post_processor" \(9000000\)/);
  const more = loadTokenizer(write({ ...VOCAB, 'added_tokens.json': { '<e>': 6 } }));
  expect(more.vocabSize).toBe(7);
  expect(() => more.checkRows(6, 'model')).toThrow(/none for "<e>" \(6\)/);
});

it('cuts sentences in words from the side that the tokenizer has', () => {
  const tokenizer = loadTokenizer(write({ ...VOCAB, 'tokenizer_config.json': { truncation_side: 'left' } }));
  const { inputIds, wordIds } = tokenizer.encodeWords(['good', 'bad', 'good', 'bad', 'bad'], 4);
  expect([[...inputIds], [...wordIds]]).toEqual([
    [2, 5, 5, 3],
    [-1, 3, 4, -1],
  ]);
  expect([...tokenizer.encodeWords(['good', 'bad'], 3, 'right').inputIds]).toEqual([2, 4, 3]);
  expect([...tokenizer.encode('good bad', { maxLength: 3, truncationSide: 'right' }).inputIds]).toEqual([2, 4, 3]);
});
