/**
 * A tokenizer: texts, pairs and sentences in words to token ids, as Python's transformers gives
 * them, and ids back to text. Its parts are built from tokenizer.json here; what a folder holds is
 * read by tokenizer_files.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames } from '../../base/near';
import { AddedTokens, type GivenToken, readAddedToken } from './added_tokens';
import { type Decoder, decoderOf } from './decoders';
import { modelOf } from './model';
import { type Normalizer, normalizerOf } from './normalizers';
import { preTokenizersOf } from './pre_tokenizers';
import { type Component, componentAt, Refused, short } from './refused';
import { addedBy, type TemplatePiece, type Templates, templatesOf } from './special_template';
import { checkFirst, type Limit, TextPipeline } from './text_pipeline';
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer_files';
import { type TruncationSide, truncated } from './truncate';
import { type TokenModel, UnknownWord } from './vocabulary';

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
   * Most tokens, special ones counted. Of a pair the longer text loses first (transformers'
   * `longest_first`). Default: unlimited.
   */
  maxLength?: number | undefined;
  /** Where texts that are too long lose tokens. Default: {@link Tokenizer.truncationSide}. */
  truncationSide?: TruncationSide | undefined;
}

/** A sentence in words as token ids. */
export interface EncodedWords extends Encoded {
  /** [n] which word each token is a piece of; -1 for special tokens. */
  wordIds: Int32Array;
}

/** Larger ones mean that there is none: transformers writes 10^30. */
const NO_MAX_LENGTH = 1e20;

/**
 * Texts to token ids, as transformers makes them; {@link loadTokenizer} reads one from a folder.
 */
export class Tokenizer {
  /** Ids of special tokens, where the tokenizer has them. */
  readonly padId: number | undefined;
  readonly clsId: number | undefined;
  readonly sepId: number | undefined;
  readonly maskId: number | undefined;
  readonly unkId: number | undefined;
  /**
   * Rows that an embedding needs for it: one more than the largest id, added tokens counted.
   * Special tokens that the files name without an id, and that are in no vocabulary, come after it.
   */
  readonly vocabSize: number;
  /** Ids that stand for no text. */
  readonly specialIds: ReadonlySet<number>;
  /**
   * Where texts that are too long lose tokens: `truncation_side` of tokenizer_config.json, else
   * tokenizer.json's. Default: right.
   */
  readonly truncationSide: TruncationSide;
  /**
   * Most tokens of a text by tokenizer_config.json's `model_max_length`; undefined where it says
   * none.
   */
  readonly modelMaxLength: number | undefined;
  private readonly model: TokenModel;
  private readonly added: AddedTokens;
  private readonly templates: Templates;
  private readonly texts: TextPipeline;
  /** Of words, which read as after a blank. */
  private readonly words: TextPipeline;
  private readonly decoder: Decoder | undefined;
  private tokens: Map<number, string> | undefined;
  /** Tokens by id that the model has no row for: see {@link checkRows}. */
  private rowless: ReadonlyMap<number, string> = new Map();

  /**
   * @internal
   * @param files the content of tokenizer.json and of what stands beside it.
   */
  constructor(private readonly files: TokenizerFiles) {
    const { tokenizer, config } = files;
    try {
      const version = tokenizer['version'] ?? '1.0';
      if (version !== '1.0') throw new Refused(`its version is ${short(version)}; "1.0" is known`);
      this.model = modelOf(tokenizer['model']);
      const normalizer = componentAt(tokenizer['normalizer'], 'normalizer');
      const preTokenizer = componentAt(tokenizer['pre_tokenizer'], 'pre_tokenizer');
      const decoder = componentAt(tokenizer['decoder'], 'decoder');
      checkFirst(normalizer, preTokenizer);
      const normalize = normalizer && normalizerOf(normalizer, 'normalizer');
      const lists = [tokensIn(tokenizer['added_tokens']), ...(files.addedTokens ?? [])];
      this.added = new AddedTokens(lists, this.model, normalize, config['split_special_tokens'] === true);
      this.templates = templatesOf(componentAt(tokenizer['post_processor'], 'post_processor'));
      this.texts = this.pipeline(normalize, preTokenizer, false);
      this.words = this.pipeline(normalize, preTokenizer, true);
      this.decoder = decoder && decoderOf(decoder, 'decoder');
      this.truncationSide = sideOf(config['truncation_side'], tokenizer['truncation']);
      this.modelMaxLength = maxLengthOf(config['model_max_length'] ?? config['max_len']);
      const given = lists.flat().filter(({ id }) => id !== undefined);
      const ids = [...this.model.vocabulary.values(), ...given.map(({ content }) => this.idOf(content) as number)];
      this.vocabSize = 1 + ids.reduce((most, id) => Math.max(most, id), -1);
      if (this.vocabSize === 0) throw new Refused('its vocabulary is empty');
    } catch (cause) {
      throw this.invalid(cause);
    }
    const named = (name: string, ...usual: string[]) => {
      const token = config[name];
      const content = typeof token === 'object' ? (token as { content?: unknown } | null)?.content : token;
      for (const each of [content, ...usual]) {
        const id = typeof each === 'string' ? this.idOf(each) : undefined;
        if (id !== undefined) return id;
      }
      return undefined;
    };
    this.padId = named('pad_token', '<pad>', '[PAD]');
    this.clsId = named('cls_token', '<s>', '[CLS]');
    this.sepId = named('sep_token', '</s>', '[SEP]');
    this.maskId = named('mask_token', '<mask>', '[MASK]');
    this.unkId = named('unk_token', '<unk>', '[UNK]');
    const special = [...this.added.byId].filter(([, token]) => token.special).map(([id]) => id);
    const ofNames = [this.padId, this.clsId, this.sepId, this.maskId, this.unkId].filter((id) => id !== undefined);
    this.specialIds = new Set([...special, ...ofNames]);
  }

  private pipeline(
    normalize: Normalizer | undefined,
    component: Component | undefined,
    prefixSpace: boolean,
  ): TextPipeline {
    const steps = component ? preTokenizersOf(component, 'pre_tokenizer', { prefixSpace }) : [];
    return new TextPipeline(this.added, normalize, steps, this.model);
  }

  private idOf(token: string): number | undefined {
    return this.added.ids.get(token) ?? this.model.vocabulary.get(token);
  }

  /**
   * Token ids of a text, or of a pair of texts, with special tokens, equal to transformers'.
   *
   * @throws FusedLoraError INVALID_ARGUMENT for a maxLength that the special tokens alone exceed;
   * INVALID_TOKENIZER for a word that the vocabulary has no token for.
   */
  encode(text: string, options: EncodeTextOptions = {}): Encoded {
    const { pair, maxLength, truncationSide: side = this.truncationSide } = options;
    const template = pair === undefined ? this.templates.single : this.templates.pair;
    const room =
      maxLength === undefined ? undefined : roomFor(template, maxLength, pair === undefined ? 'a text' : 'a pair');
    // Of one text no more is needed; which text of a pair is the longer is known at its end.
    const limit = room === undefined || pair !== undefined ? undefined : { tokens: room, side };
    const texts = [this.idsOf(text, limit), ...(pair === undefined ? [] : [this.idsOf(pair, undefined)])];
    return this.assembled(template, room === undefined ? texts : truncated(texts, room, side));
  }

  /**
   * Token ids of a text that is cut into words already, with special tokens, equal to transformers'
   * with `is_split_into_words` (and `add_prefix_space` for byte-level tokenizers: a word reads as
   * it does after a blank, the first one too).
   *
   * @param maxLength most tokens, special ones counted. Default: unlimited.
   * @param side where pieces are left out then. Default: {@link truncationSide}.
   * @throws FusedLoraError INVALID_ARGUMENT for a maxLength that the special tokens alone exceed.
   */
  encodeWords(words: readonly string[], maxLength?: number, side: TruncationSide = this.truncationSide): EncodedWords {
    const { single } = this.templates;
    const room = maxLength === undefined ? Number.POSITIVE_INFINITY : roomFor(single, maxLength, 'a text');
    const ids = words.map((word) => this.guarded(() => this.withRows(this.words.ids(word))));
    const all = ids.flatMap((pieces, word) => pieces.map((id) => ({ id, word })));
    const left = side === 'left' ? Math.max(0, all.length - room) : 0;
    const kept = all.slice(left, left + room);
    const encoded = this.assembled(single, [kept.map(({ id }) => id)]);
    const wordIds = single.flatMap((piece) =>
      'ids' in piece ? piece.ids.map(() => -1) : kept.map(({ word }) => word),
    );
    return { ...encoded, wordIds: Int32Array.from(wordIds) };
  }

  /**
   * Sees to it that a model has a row for every id, before a text needs one. Special tokens that
   * files only name may have none: from then on a text that has one is an error, told by `encode`.
   *
   * @param rows of the model's token embedding.
   * @param model its folder, for messages.
   * @returns a line about special tokens that have no row; undefined where all have.
   * @throws FusedLoraError INVALID_TOKENIZER naming the first token that has none.
   */
  checkRows(rows: number, model: string): string | undefined {
    const tokens = [...this.model.vocabulary, ...this.added.ids].filter(([, id]) => id >= rows);
    const around = [...this.templates.single, ...this.templates.pair].flatMap((piece) =>
      'ids' in piece ? piece.ids : [],
    );
    // The ids of a template are those that it says, whatever the vocabulary has.
    for (const id of around) {
      if (id >= rows && !tokens.some(([, known]) => known === id)) tokens.push(['of post_processor', id]);
    }
    this.rowless = new Map(tokens.map(([token, id]) => [id, token]));
    if (tokens.length === 0) return undefined;
    const embedding = `the token embedding of ${model} has ${rows} rows`;
    if (this.vocabSize <= rows && !around.some((id) => this.rowless.has(id))) {
      const names = listNames([...this.rowless].map(([id, token]) => `${JSON.stringify(token)} (${id})`));
      return (
        `${this.files.source}: ${names} ${this.rowless.size === 1 ? 'is a special token' : 'are special tokens'} in no vocabulary, and ${embedding}, ` +
        'none for it: a text that has it is an error'
      );
    }
    const [token, id] = tokens.reduce((least, each) => (each[1] < least[1] ? each : least));
    throw new FusedLoraError(
      'INVALID_TOKENIZER',
      `${this.files.source}: has ${Math.max(this.vocabSize, id + 1)} ids, and ${embedding}, none for ${JSON.stringify(token)} (${id}). ` +
        'Give the tokenizer that belongs to the model; where tokens were added, the embedding has to be resized to them',
    );
  }

  /** Token ids of a text alone, without special tokens around it: for pretraining text. */
  textIds(text: string): number[] {
    return this.idsOf(text, undefined);
  }

  private idsOf(text: string, limit: Limit | undefined): number[] {
    return this.guarded(() => this.withRows(this.texts.ids(text, limit)));
  }

  /** @throws Refused for a token that the model has no row for. */
  private withRows(ids: number[]): number[] {
    const without = this.rowless.size === 0 ? undefined : ids.find((id) => this.rowless.has(id));
    if (without === undefined) return ids;
    throw new Refused(
      `a text has the special token ${JSON.stringify(this.rowless.get(without))}, whose id ${without} has no row in the model's token embedding`,
    );
  }

  /** Text of token ids, special tokens left out. */
  decode(ids: ArrayLike<number>): string {
    this.tokens ??= new Map([...this.model.vocabulary].map(([token, id]) => [id, token]));
    const tokens = Array.from(ids)
      .filter((id) => !this.specialIds.has(id))
      .map((id) => this.added.byId.get(id)?.content ?? this.tokens?.get(id))
      .filter((token) => token !== undefined);
    if (tokens.length === 0) return '';
    return this.decoder ? this.decoder(tokens).join('') : tokens.join(' ');
  }

  private assembled(template: readonly TemplatePiece[], texts: number[][]): Encoded {
    const ids: number[] = [];
    const types: number[] = [];
    for (const piece of template) {
      const pieceIds = 'ids' in piece ? piece.ids : (texts[piece.text] as number[]);
      const type = this.files.tokenTypes === false ? 0 : piece.type;
      for (const id of pieceIds) {
        ids.push(id);
        types.push(type);
      }
    }
    return { inputIds: Int32Array.from(ids), tokenTypeIds: Int32Array.from(types) };
  }

  private guarded<T>(encode: () => T): T {
    try {
      return encode();
    } catch (cause) {
      if (cause instanceof UnknownWord || cause instanceof Refused) throw this.invalid(cause);
      throw cause;
    }
  }

  private invalid(cause: unknown): FusedLoraError {
    return new FusedLoraError(
      'INVALID_TOKENIZER',
      `${this.files.source}: it can not be used (${(cause as Error).message}). Use the tokenizer files that belong to the model.`,
      { cause },
    );
  }
}

/**
 * The tokenizer of a model folder: tokenizer.json, or vocab.json with merges.txt (byte-level BPE:
 * RoBERTa), or vocab.txt (WordPiece: BERT), with what tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json add to it.
 *
 * @throws FusedLoraError INVALID_TOKENIZER naming the folder or file and what is wrong with it.
 */
export function loadTokenizer(dir: string): Tokenizer {
  return new Tokenizer(readTokenizerFiles(dir));
}

function tokensIn(value: unknown): GivenToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Refused(`added_tokens is ${short(value)}; expected a list`);
  return value.map((token, i) => readAddedToken(token, `added_tokens[${i}]`));
}

function sideOf(configured: unknown, truncation: unknown): TruncationSide {
  const direction = (truncation as { direction?: unknown } | null | undefined)?.direction;
  const side = configured ?? (typeof direction === 'string' ? direction.toLowerCase() : 'right');
  if (side === 'left' || side === 'right') return side;
  throw new Refused(`its truncation_side is ${short(side)}; expected left or right`);
}

function maxLengthOf(configured: unknown): number | undefined {
  if (configured === undefined || configured === null) return undefined;
  if (typeof configured !== 'number' || !(configured > 0)) {
    throw new Refused(`its model_max_length is ${short(configured)}; expected a whole number`);
  }
  return configured > NO_MAX_LENGTH ? undefined : Math.floor(configured);
}

/** Tokens that texts may have beside the special ones. */
function roomFor(template: readonly TemplatePiece[], maxLength: number, what: string): number {
  const added = addedBy(template);
  const room = maxLength - added;
  if (Number.isInteger(maxLength) && room >= 0) return room;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `maxLength is ${maxLength}; it must be a whole number of at least ${added}, the special tokens of ${what}`,
  );
}
