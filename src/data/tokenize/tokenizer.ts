/**
 * Text to token ids, as transformers gives them. The work is done by `@huggingface/tokenizers`; this adds what it lacks:
 * truncation, pairs with an empty second text, Unicode's white space, SentencePiece's normalization, and folders without tokenizer.json.
 */
import { FusedLoraError } from '../../base/errors';
import { PrecompiledCharsmap } from './precompiled_charsmap';
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer_files';

/** What is used of the package, which ships CommonJS but types for ECMAScript modules alone. */
interface HuggingFaceTokenizer {
  normalizer: unknown;
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

/** A text as token ids. */
export interface Encoded {
  /** [n] token ids, special tokens included. */
  inputIds: Int32Array;
  /** [n] 0 for the first text, 1 for the second where the model tells them apart. */
  tokenTypeIds: Int32Array;
}

/** Of {@link Tokenizer.encode}. */
export interface EncodeTextOptions {
  /** Second text of a pair; an empty one is a pair too. */
  pair?: string | undefined;
  /**
   * Most tokens, special ones counted. One text loses its end; of a pair the longer text loses first (transformers'
   * `longest_first`). Default: unlimited.
   */
  maxLength?: number | undefined;
}

/** A sentence in words as token ids. */
export interface EncodedWords extends Encoded {
  /** [n] which word each token is a piece of; -1 for special tokens. */
  wordIds: Int32Array;
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

/** Texts to token ids, as transformers makes them; {@link loadTokenizer} reads one from a folder. */
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
  private readonly byteLevels: ByteLevel[];
  private readonly single: Template;
  private readonly double: Template;

  /**
   * @internal
   * @param files the content of tokenizer.json and tokenizer_config.json.
   */
  constructor(private readonly files: TokenizerFiles) {
    const { tokenizer, config } = files;
    try {
      this.inner = new HuggingFaceTokenizer({ ...tokenizer, truncation: null, padding: null }, config);
      this.byteLevels = byteLevelsOf(this.inner.pre_tokenizer);
      for (const step of precompiledOf(this.inner.normalizer)) {
        const charsmap = new PrecompiledCharsmap(step.charsmap);
        step.normalize = (text) => charsmap.normalize(text);
      }
      for (const step of whitespaceSplitsOf(tokenizer['pre_tokenizer'], this.inner.pre_tokenizer)) {
        step.pre_tokenize_text = (text) => text.match(/\P{White_Space}+/gu) ?? [];
      }
    } catch (cause) {
      throw this.invalid(`it can not be used (${(cause as Error).message})`, cause);
    }
    for (const step of this.byteLevels) step.pattern = BYTE_LEVEL_PATTERN;
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
      truncate(texts, roomFor(template, maxLength, pair === undefined ? 'a text' : 'a pair'));
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

  /**
   * Token ids of a text that is cut into words already, with special tokens, equal to transformers' with `is_split_into_words` (and
   * `add_prefix_space` for byte-level tokenizers: a word reads as it does after a blank, the first one too).
   *
   * @param maxLength most tokens, special ones counted: pieces of the last words are left out. Default: unlimited.
   * @throws FusedLoraError INVALID_ARGUMENT for a maxLength that the special tokens alone exceed.
   */
  encodeWords(words: readonly string[], maxLength?: number): EncodedWords {
    const { pieces, textTypes } = this.single;
    const [before, after] = pieces as [Template['pieces'][0], Template['pieces'][0]];
    const room = maxLength === undefined ? Number.POSITIVE_INFINITY : roomFor(this.single, maxLength, 'a text');
    const ids: number[] = [];
    const wordIds: number[] = [];
    for (let word = 0; word < words.length && ids.length < room; word++) {
      for (const id of this.wordPieces(words[word] as string)) {
        if (ids.length === room) break;
        ids.push(id);
        wordIds.push(word);
      }
    }
    const types = new Array<number>(ids.length).fill(textTypes[0] ?? 0);
    const none = (piece: Template['pieces'][0]) => new Array<number>(piece.ids.length).fill(-1);
    return {
      inputIds: Int32Array.from([...before.ids, ...ids, ...after.ids]),
      tokenTypeIds: Int32Array.from([...before.types, ...types, ...after.types]),
      wordIds: Int32Array.from([...none(before), ...wordIds, ...none(after)]),
    };
  }

  /** Token ids of one word as it is after a blank. */
  private wordPieces(word: string): number[] {
    const prefixed = this.byteLevels.map((step) => step.add_prefix_space);
    for (const step of this.byteLevels) step.add_prefix_space = true;
    try {
      return this.textIds(word);
    } finally {
      this.byteLevels.forEach((step, i) => {
        step.add_prefix_space = prefixed[i] as boolean;
      });
    }
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
    // RoBERTa has one token type; the package gives the second text another all the same.
    const types =
      (!isRoberta(this.files.tokenizer['post_processor']) && probe.token_type_ids) ||
      new Array<number>(probe.ids.length).fill(0);
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

/** Tokens that texts may have beside the special ones. */
function roomFor(template: Template, maxLength: number, what: string): number {
  const room = maxLength - template.added;
  if (Number.isInteger(maxLength) && room >= 0) return room;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `maxLength is ${maxLength}; it must be a whole number of at least ${template.added}, the special tokens of ${what}`,
  );
}

/** Whether special tokens are put as RoBERTa has them, alone or in a sequence of processors. */
function isRoberta(processor: unknown): boolean {
  const { type, processors = [] } = (processor ?? {}) as { type?: string; processors?: unknown[] };
  return type === 'RobertaProcessing' || (type === 'Sequence' && processors.some(isRoberta));
}

/** What the package's byte-level pre-tokenizer lets others set. */
interface ByteLevel {
  pattern: RegExp;
  add_prefix_space: boolean;
}

/** Byte-level pre-tokenizers, alone or in a sequence. */
function byteLevelsOf(preTokenizer: unknown): ByteLevel[] {
  if (typeof preTokenizer !== 'object' && typeof preTokenizer !== 'function') return [];
  const step = preTokenizer as (ByteLevel & { byte_encoder?: unknown; tokenizers?: unknown[] }) | null;
  const inner = (step?.tokenizers ?? []).flatMap(byteLevelsOf);
  return step?.byte_encoder && step.pattern ? [step, ...inner] : inner;
}

/** What the package's normalizer of SentencePiece lets others set. */
interface Precompiled {
  charsmap: string;
  normalize: (text: string) => string;
}

/** SentencePiece's normalizers, alone or in a sequence; one without a map changes nothing. */
function precompiledOf(normalizer: unknown): Precompiled[] {
  if (typeof normalizer !== 'object' && typeof normalizer !== 'function') return [];
  const step = normalizer as (Precompiled & { normalizers?: unknown[] }) | null;
  const inner = (step?.normalizers ?? []).flatMap(precompiledOf);
  return typeof step?.charsmap === 'string' ? [step, ...inner] : inner;
}

interface WhitespaceSplit {
  pre_tokenize_text: (text: string) => string[];
}

/** Steps that split at white space, alone or in a sequence, which the file tells by name and the package does not. */
function whitespaceSplitsOf(config: unknown, preTokenizer: unknown): WhitespaceSplit[] {
  const { type, pretokenizers = [] } = (config ?? {}) as { type?: string; pretokenizers?: unknown[] };
  if (type === 'WhitespaceSplit') return [preTokenizer as WhitespaceSplit];
  const { tokenizers = [] } = (preTokenizer ?? {}) as { tokenizers?: unknown[] };
  return type === 'Sequence' ? pretokenizers.flatMap((step, i) => whitespaceSplitsOf(step, tokenizers[i])) : [];
}
