/**
 * Every component that tokenizer.json can hold, against ids of Python's tokenizers
 * (test/fixtures/tokenizer/components.json.gz), and what is refused by name because its ids would
 * be others.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { COMPONENTS } from '../../src/data/tokenize/components';
import { Tokenizer } from '../../src/data/tokenize/tokenizer';

const FIXTURES = path.join(__dirname, '..', 'fixtures', 'tokenizer');
const unzip = <T>(name: string): T =>
  JSON.parse(zlib.gunzipSync(fs.readFileSync(path.join(FIXTURES, name))).toString()) as T;

type Json = Record<string, unknown>;
interface Case {
  covers: string[];
  tokenizer: Json;
  texts: string[] | null;
  ids: number[][];
  pairs?: { texts: [string, string]; ids: number[]; types: number[] }[];
  words?: { words: string[]; ids: number[]; wordIds: number[] }[];
  decoded?: string[];
}
const { texts: given, cases } = unzip<{ texts: string[]; cases: Case[] }>('components.json.gz');
const charsmap = unzip<{ normalizer: { precompiled_charsmap: string } }>('xlm-roberta/tokenizer.json.gz').normalizer;
const open = (tokenizer: Json) => new Tokenizer({ tokenizer, config: {}, source: 'tokenizer.json' });

function tokenizerOf({ tokenizer }: Case): Tokenizer {
  const { precompiled_charsmap: map } = (tokenizer['normalizer'] ?? {}) as { precompiled_charsmap?: string | null };
  return open(map === null ? { ...tokenizer, normalizer: charsmap } : tokenizer);
}

/** What differs, as a line each: the first of many is enough. */
function differences(one: Case): string[] {
  const tokenizer = tokenizerOf(one);
  const wrong: string[] = [];
  const compare = (what: string, got: ArrayLike<number>, expected: number[]) => {
    if (Array.from(got).join() !== expected.join()) wrong.push(`${what}: ${Array.from(got)} and not ${expected}`);
  };
  (one.texts ?? given).forEach((text, i) => {
    compare(JSON.stringify(text), tokenizer.encode(text).inputIds, one.ids[i]!);
    if (one.decoded) expect(tokenizer.decode(one.ids[i]!)).toBe(one.decoded[i]);
  });
  for (const { texts, ids, types } of one.pairs ?? []) {
    const encoded = tokenizer.encode(texts[0], { pair: texts[1] });
    compare(`pair ${texts}`, encoded.inputIds, ids);
    compare(`types of ${texts}`, encoded.tokenTypeIds, types);
  }
  for (const { words, ids, wordIds } of one.words ?? []) {
    const encoded = tokenizer.encodeWords(words);
    compare(`words ${words}`, encoded.inputIds, ids);
    compare(`word ids of ${words}`, encoded.wordIds, wordIds);
  }
  return wrong;
}

const nameOf = ({ covers, tokenizer }: Case) => {
  const { normalizer, pre_tokenizer: pre, post_processor: post, decoder, added_tokens: added, model } = tokenizer;
  const { vocab, merges, ...options } = model as Json;
  const parts = [
    normalizer,
    pre,
    post,
    decoder,
    covers[0] === 'added_tokens' ? added : null,
    covers[0]?.startsWith('model') ? options : null,
  ];
  return `${covers.join(', ')}: ${parts
    .filter((part) => part !== null)
    .map((part) => JSON.stringify(part).slice(0, 150))
    .join(' ')}`;
};

describe('ids of Python', () => {
  it.each(cases.map((one) => [nameOf(one), one] as const))('%s', (_, one) => {
    expect(differences(one)).toEqual([]);
  });

  it('for every component that counts as equal', () => {
    const covered = new Set(cases.flatMap(({ covers }) => covers));
    const equal = Object.entries(COMPONENTS).flatMap(([kind, types]) =>
      Object.keys(types)
        .filter((type) => types[type] === 'equal')
        .map((type) => `${kind}.${type}`),
    );
    expect(equal.filter((name) => !covered.has(name))).toEqual([]);
  });
});
