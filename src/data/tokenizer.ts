/**
 * Text to token ids, as transformers gives them. The work is done by `@huggingface/tokenizers`; this adds what it lacks:
 * truncation, pairs with an empty second text, Unicode's white space, and folders without tokenizer.json.
 */
import { FusedLoraError } from '../errors';
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer_files';

/** What is used of the package, which ships CommonJS but types for ECMAScript modules alone. */
interface HuggingFaceTokenizer {
  pre_tokenizer: unknown;
  encode(
    text: string,
    options: { text_pair?: string; add_special_tokens?: boolean; return_token_type_ids?: boolean },
  ): { ids: number[]; token_type_ids?: number[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  get_vocab(withAddedTokens: boolean): Map<string, number>;
  get_added_tokens_decoder(): Map<number, { special: boolean }>;
}
const { Tokenizer: HuggingFaceTokenizer } = require('@huggingface/tokenizers') as {
  Tokenizer: new (tokenizer: object, config: object) => HuggingFaceTokenizer;
};

export interface Encoded {
  /** [n] token ids, special tokens included. */
  inputIds: Int32Array;
  /** [n] 0 for the first text, 1 for the second where the model tells them apart. */
  tokenTypeIds: Int32Array;
}

export interface EncodeTextOptions {
  /** Second text of a pair; an empty one is a pair too. */
  pair?: string | undefined;
  /**
   * Most tokens, special ones counted. One text loses its end; of a pair the longer text loses first (transformers'
   * `longest_first`). Default: unlimited.
   */
  maxLength?: number | undefined;
}

/** Special tokens around one text or a pair: [before] A [between] B [after], with the token types of each piece. */
interface Template {
  pieces: { ids: number[]; types: number[] }[];
  textTypes: number[];
  added: number;
}

/** `\s` of the tokenizers' own regex engine is Unicode's White_Space; JavaScript's has U+FEFF and lacks U+0085. */
const BYTE_LEVEL_PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

export class Tokenizer {
  /** Ids of special tokens, where the tokenizer has them. */
  readonly padId: number | undefined;
  readonly clsId: number | undefined;
  readonly sepId: number | undefined;
  readonly maskId: number | undefined;
  readonly unkId: number | undefined;
  /** Entries of the vocabulary: one more than the largest id. */
  readonly vocabSize: number;
  /** Ids that stand for no text. */
  readonly specialIds: ReadonlySet<number>;
  private readonly inner: HuggingFaceTokenizer;
  private readonly single: Template;
  private readonly double: Template;

  /** @param files the content of tokenizer.json and tokenizer_config.json. */
  constructor(private readonly files: TokenizerFiles) {
    const { tokenizer, config } = files;
    try {
      this.inner = new HuggingFaceTokenizer({ ...tokenizer, truncation: null, padding: null }, config);
      useUnicodeWhiteSpace(this.inner.pre_tokenizer);
    } catch (cause) {
      throw this.invalid(`it can not be used (${(cause as Error).message})`, cause);
    }
    const vocabulary = this.inner.get_vocab(true);
    this.vocabSize = 1 + [...vocabulary.values()].reduce((most, id) => Math.max(most, id), -1);
    if (this.vocabSize === 0) throw this.invalid('its vocabulary is empty');
    const idOf = (name: string, ...usual: string[]) => {
      const given = config[name];
      const content = typeof given === 'string' ? given : (given as { content?: unknown } | null | undefined)?.content;
      for (const token of [content, ...usual])
        if (typeof token === 'string' && vocabulary.has(token)) return vocabulary.get(token);
      return undefined;
    };
    this.padId = idOf('pad_token', '<pad>', '[PAD]');
    this.clsId = idOf('cls_token', '<s>', '[CLS]');
    this.sepId = idOf('sep_token', '</s>', '[SEP]');
    this.maskId = idOf('mask_token', '<mask>', '[MASK]');
    this.unkId = idOf('unk_token', '<unk>', '[UNK]');
    const special = [...this.inner.get_added_tokens_decoder()].filter(([, token]) => token.special).map(([id]) => id);
    const named = [this.padId, this.clsId, this.sepId, this.maskId, this.unkId].filter((id) => id !== undefined);
    this.specialIds = new Set([...special, ...named]);
    this.single = this.templateOf(undefined);
    this.double = this.templateOf('b');
  }

  /**
   * Token ids of a text, or of a pair of texts, with special tokens, equal to transformers'.
   *
   * @throws FusedLoraError INVALID_ARGUMENT for a maxLength that the special tokens alone exceed.
   */
  encode(text: string, options: EncodeTextOptions = {}): Encoded {
    const { pair, maxLength } = options;
    const template = pair === undefined ? this.single : this.double;
    const texts = [this.textIds(text), ...(pair === undefined ? [] : [this.textIds(pair)])];
    if (maxLength !== undefined) {
      const room = maxLength - template.added;
      if (!Number.isInteger(maxLength) || room < 0) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `maxLength is ${maxLength}; it must be a whole number of at least ${template.added}, the special tokens of ${pair === undefined ? 'a text' : 'a pair'}`,
        );
      }
      truncate(texts, room);
    }
    const ids: number[] = [];
    const types: number[] = [];
    const add = (piece: { ids: number[]; types: number[] } | undefined) => {
      for (const id of piece?.ids ?? []) ids.push(id);
      for (const type of piece?.types ?? []) types.push(type);
    };
    texts.forEach((textIds, i) => {
      add(template.pieces[i]);
      add({ ids: textIds, types: new Array<number>(textIds.length).fill(template.textTypes[i] ?? 0) });
    });
    add(template.pieces[texts.length]);
    return { inputIds: Int32Array.from(ids), tokenTypeIds: Int32Array.from(types) };
  }

  /** Token ids of a text alone, without special tokens around it: for pretraining text. */
  textIds(text: string): number[] {
    return text === '' ? [] : this.inner.encode(text, { add_special_tokens: false }).ids;
  }

  /** Text of token ids, special tokens left out. */
  decode(ids: ArrayLike<number>): string {
    const text = Array.from(ids).filter((id) => !this.specialIds.has(id));
    return text.length === 0 ? '' : this.inner.decode(text, { clean_up_tokenization_spaces: false });
  }

  /** What the tokenizer puts around texts, read off a probe. */
  private templateOf(pair: string | undefined): Template {
    const probe = this.inner.encode('a', {
      ...(pair === undefined ? {} : { text_pair: pair }),
      return_token_type_ids: true,
    });
    const types = probe.token_type_ids ?? new Array<number>(probe.ids.length).fill(0);
    const pieces: Template['pieces'] = [];
    const textTypes: number[] = [];
    let from = 0;
    for (const text of pair === undefined ? ['a'] : ['a', pair]) {
      const inside = this.textIds(text);
      const at = probe.ids.findIndex((_, i) => i >= from && inside.every((id, k) => probe.ids[i + k] === id));
      if (at < 0 || inside.length === 0) throw this.invalid(`it gives no ids for the text "${text}"`);
      pieces.push({ ids: probe.ids.slice(from, at), types: types.slice(from, at) });
      textTypes.push(types[at] ?? 0);
      from = at + inside.length;
    }
    pieces.push({ ids: probe.ids.slice(from), types: types.slice(from) });
    return { pieces, textTypes, added: pieces.reduce((sum, piece) => sum + piece.ids.length, 0) };
  }

  private invalid(problem: string, cause?: unknown): FusedLoraError {
    return new FusedLoraError(
      'INVALID_TOKENIZER',
      `${this.files.source}: ${problem}. Use the tokenizer files that belong to the model.`,
      { cause },
    );
  }
}

/**
 * The tokenizer of a model folder: tokenizer.json, or vocab.json with merges.txt (byte-level BPE: RoBERTa), or vocab.txt
 * (WordPiece: BERT).
 *
 * @throws FusedLoraError INVALID_TOKENIZER naming the folder or file and what is wrong with it.
 */
export function loadTokenizer(dir: string): Tokenizer {
  return new Tokenizer(readTokenizerFiles(dir));
}

/** transformers' `longest_first` (and `only_first` for one text), in place. */
function truncate(texts: number[][], room: number): void {
  const [first, second] = texts as [number[], number[] | undefined];
  if (!second) {
    first.length = Math.min(first.length, room);
    return;
  }
  if (first.length + second.length <= room) return;
  const [shorter, longer] = first.length <= second.length ? [first, second] : [second, first];
  let [few, many] = [shorter.length, Math.max(shorter.length, room - shorter.length)];
  if (few + many > room) {
    few = Math.floor(room / 2);
    many = few + (room % 2);
  }
  shorter.length = Math.min(shorter.length, few);
  longer.length = Math.min(longer.length, many);
}

/** Byte-level pre-tokenizers, alone or in a sequence, hold their pattern in a property. */
function useUnicodeWhiteSpace(preTokenizer: unknown): void {
  if (typeof preTokenizer !== 'object' && typeof preTokenizer !== 'function') return;
  const holder = preTokenizer as { pattern?: RegExp; byte_encoder?: unknown; tokenizers?: unknown[] } | null;
  if (holder?.byte_encoder && holder.pattern) holder.pattern = BYTE_LEVEL_PATTERN;
  for (const inner of holder?.tokenizers ?? []) useUnicodeWhiteSpace(inner);
}
