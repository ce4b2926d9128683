/**
 * A SentencePiece tokenizer in XLM-R's form against the ids that Python's tokenizers gives
 * (test/fixtures/tokenizer/xlm-roberta), and a model with it.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { classify, createModel, fineTune, openTextModel, saveModel, Tokenizer } from '../../src';
import { PrecompiledCharsmap } from '../../src/data/tokenize/precompiled_charsmap';
import { describeWithAddon } from '../graph/fixtures';
import { temporaryFolder } from '../io/temporary';

jest.setTimeout(180_000);

const FIXTURES = path.join(__dirname, '..', 'fixtures', 'tokenizer');
const unzip = <T>(name: string): T =>
  JSON.parse(zlib.gunzipSync(fs.readFileSync(path.join(FIXTURES, name))).toString()) as T;

interface TokenizerJson extends Record<string, unknown> {
  normalizer: { precompiled_charsmap: string };
  model: { vocab: [string, number][] };
}
const split = unzip<TokenizerJson>('xlm-roberta/tokenizer.json.gz');
/** What transformers' converter writes in place of it. */
const converted = {
  ...split,
  normalizer: {
    type: 'Sequence',
    normalizers: [split.normalizer, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }],
  },
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
};
const { hashes, known, knownPair } = unzip<{
  hashes: Record<'split' | 'converted', { cases: string[]; sentences: string[] }>;
  known: Record<string, number[]>;
  knownPair: number[];
}>('xlm-roberta/ids.json.gz');
const { cases } = unzip<{ cases: { text: string; pair: string | null; maxLength: number | null }[] }>('cases.json.gz');
const { sentences } = unzip<{ sentences: { words: string[]; maxLength: number | null }[] }>('words.json.gz');

const hash = (...values: Int32Array[]) =>
  createHash('sha256')
    .update(values.flatMap((ids) => [...ids]).join())
    .digest('hex')
    .slice(0, 16);
const open = (tokenizer: Record<string, unknown>) => new Tokenizer({ tokenizer, config: {}, source: 'tokenizer.json' });

describe.each([
  ['split', split],
  ['converted', converted],
] as const)('the form %s', (form, json) => {
  const tokenizer = open(json);

  it('gives the ids of Python for every text and pair', () => {
    expect(cases).toHaveLength(hashes[form].cases.length);
    const wrong = cases.filter(({ text, pair, maxLength }, i) => {
      const { inputIds, tokenTypeIds } = tokenizer.encode(text, {
        pair: pair ?? undefined,
        maxLength: maxLength ?? undefined,
      });
      return hash(inputIds, tokenTypeIds) !== hashes[form].cases[i];
    });
    expect(wrong).toEqual([]);
  });

  it('and for sentences in words', () => {
    const wrong = sentences.filter(({ words, maxLength }, i) => {
      const { inputIds, wordIds } = tokenizer.encodeWords(words, maxLength ?? undefined);
      return hash(inputIds, wordIds) !== hashes[form].sentences[i];
    });
    expect(wrong).toEqual([]);
  });
});

describe('the tokenizer', () => {
  const tokenizer = open(split);

  it('knows its special tokens and the form of pairs', () => {
    const { clsId, padId, sepId, unkId, maskId, vocabSize } = tokenizer;
    const last = split.model.vocab.length - 1;
    expect({ clsId, padId, sepId, unkId, maskId, vocabSize }).toEqual({
      clsId: 0,
      padId: 1,
      sepId: 2,
      unkId: 3,
      maskId: last,
      vocabSize: last + 1,
    });
    for (const [text, ids] of Object.entries(known)) expect([...tokenizer.encode(text).inputIds]).toEqual(ids);
    const pair = tokenizer.encode('good', { pair: 'bad' });
    expect([...pair.inputIds]).toEqual(knownPair);
    expect(new Set(pair.tokenTypeIds)).toEqual(new Set([0]));
  });

  it('takes time in proportion to a text, and cuts graphemes at no window', () => {
    const letter = 'e\u0301';
    const long = tokenizer.encode(`${letter} `.repeat(20_000)).inputIds;
    expect(long).toHaveLength(tokenizer.encode(`${letter} `.repeat(10)).inputIds.length * 2000 - 2 * 1999);
    // Wherever a window ends, and in a letter that is longer than one.
    const map = new PrecompiledCharsmap(split.normalizer.precompiled_charsmap);
    const parts = [letter, '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}', '\u304b\u3099', '\ufb01', '\r\n', letter];
    const normalized = parts.map((part) => map.normalize(part)).join('');
    for (let before = 100; before < 140; before++) {
      expect(map.normalize('a'.repeat(before) + parts.join(''))).toBe('a'.repeat(before) + normalized);
    }
    const marks = '\u0316'.repeat(1000);
    expect(map.normalize(`x${marks} ${letter}`)).toBe(`x${marks} \u00e9`);
  });

  it('reads back what it wrote', () => {
    expect(tokenizer.decode(tokenizer.encode('a good film').inputIds).trim()).toBe('a good film');
  });

  it.each(['AAAA', '', Buffer.from([255, 255, 255, 255, 0]).toString('base64')])('refuses the charsmap %p', (map) => {
    expect(() => new PrecompiledCharsmap(map)).toThrow(/precompiled_charsmap is damaged/);
    expect(() => open({ ...split, normalizer: { type: 'Precompiled', precompiled_charsmap: map } })).toThrow(
      map === '' ? /./ : /tokenizer\.json: it can not be used/,
    );
  });
});

describeWithAddon('a model of type xlm-roberta', () => {
  const dir = temporaryFolder();

  it('trains, is saved under its own names, and is read again', async () => {
    const folder = path.join(dir, 'model');
    const config = {
      architectures: ['XLMRobertaForMaskedLM'],
      model_type: 'xlm-roberta',
      vocab_size: split.model.vocab.length,
      hidden_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      intermediate_size: 24,
      max_position_embeddings: 34,
      type_vocab_size: 1,
      pad_token_id: 1,
      bos_token_id: 0,
      eos_token_id: 2,
    };
    saveModel(createModel(config, { task: 'masked-lm' }), folder);
    fs.writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(split));
    const { textModel, output } = await fineTune({
      model: folder,
      train: [
        { text: 'ein guter Film', textPair: 'ja', label: 'gut' },
        { text: 'langweilig', textPair: 'nein', label: 'schlecht' },
      ],
      method: 'full',
      maxSteps: 2,
      maxLength: 32,
      outputDir: path.join(dir, 'out'),
      device: 'cpu',
    });
    const saved = JSON.parse(fs.readFileSync(path.join(output.folder, 'config.json'), 'utf8'));
    expect(saved).toMatchObject({
      model_type: 'xlm-roberta',
      architectures: ['XLMRobertaForSequenceClassification'],
      pad_token_id: 1,
    });
    const again = await openTextModel(output.folder);
    expect(again.tokenizer.vocabSize).toBe(split.model.vocab.length);
    const texts = [{ text: 'ein Film', textPair: 'ja' }];
    expect(await classify(again, texts, { device: 'cpu' })).toEqual(
      await classify(textModel, texts, { device: 'cpu' }),
    );
    textModel.model.dispose();
    again.model.dispose();
  });
});
