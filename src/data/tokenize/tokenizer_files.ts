/**
 * The files that tokenizers come in, as one tokenizer.json with the options and tokens that stand
 * beside it. Word lists are made into one by vocabulary_files.ts; added tokens of the other files
 * are read by folder_tokens.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';
import { parseJsonObject } from '../../io/json';
import { readWhole } from '../../io/open';
import type { GivenToken } from './added_tokens';
import { folderTokens } from './folder_tokens';
import { short } from './refused';
import { checkedId } from './vocabulary';
import { byteLevelBpe, mergesIn, wordPiece } from './vocabulary_files';

export interface TokenizerFiles {
  /** tokenizer.json. */
  tokenizer: Record<string, unknown>;
  /** tokenizer_config.json. */
  config: Record<string, unknown>;
  /** For errors: the file that `tokenizer` came from. */
  source: string;
  /** What other files add to the `added_tokens` of `tokenizer`, in order. Default: nothing. */
  addedTokens?: GivenToken[][];
  /** Whether the model is given token types; else all are 0. Default: true. */
  tokenTypes?: boolean;
}

/** Of tokenizer_config.json: options of the class that its tokenizer.json does not depend on. */
const GENERIC_CLASS = /^(PreTrainedTokenizer(Fast)?|TokenizersBackend)$/;

function invalid(source: string, problem: string, cause?: unknown): FusedLoraError {
  return new FusedLoraError('INVALID_TOKENIZER', `${source}: ${problem}`, { cause });
}

/** Beside the files that hold the vocabulary. */
const OPTION_FILES = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'];

/** The files of a folder that a tokenizer is read from. */
export function filesOfTokenizer(dir: string): string[] {
  const has = (name: string) => fs.existsSync(path.join(dir, name));
  const vocabularies = [['tokenizer.json'], ['vocab.json', 'merges.txt'], ['vocab.txt']];
  return [...(vocabularies.find((files) => files.every(has)) ?? []), ...OPTION_FILES.filter(has)];
}

/** Reads what is in a folder: tokenizer.json, else vocab.json and merges.txt, else vocab.txt. */
export function readTokenizerFiles(dir: string): TokenizerFiles {
  const at = (name: string) => path.join(dir, name);
  const has = (name: string) => fs.existsSync(at(name));
  if (!has('')) throw invalid(dir, 'there is no such folder; give the folder of a model or of its tokenizer');
  const optional = (name: string) => (has(name) ? readObject(at(name)) : undefined);
  const config = optional('tokenizer_config.json') ?? {};
  const special = optional('special_tokens_map.json');
  // Newer transformers has all of them in tokenizer_config.json, and passes over the older files.
  const named = config['added_tokens_decoder'] === undefined ? { ...config, ...special } : config;
  const [source, tokenizer] = mainFile(dir, named);
  const whole = { tokenizer: withOptions(tokenizer, config, dir, source), config: named, source };
  const addedTokens = folderTokens(named, optional('added_tokens.json'), (file, problem) => invalid(at(file), problem));
  return { ...whole, addedTokens, tokenTypes: hasTokenTypes(config) };
}

function mainFile(dir: string, config: Record<string, unknown>): [source: string, tokenizer: Record<string, unknown>] {
  const at = (name: string) => path.join(dir, name);
  const has = (name: string) => fs.existsSync(at(name));
  if (has('tokenizer.json')) return [at('tokenizer.json'), readObject(at('tokenizer.json'))];
  if (has('vocab.json') && has('merges.txt')) {
    const file = at('vocab.json');
    const vocab = readObject(file);
    for (const [token, id] of Object.entries(vocab)) checkedId(id, token, (problem) => invalid(file, problem));
    const lines = mergesIn(readText(at('merges.txt')), (problem) => invalid(at('merges.txt'), problem));
    return [file, byteLevelBpe(vocab, lines, config, (problem) => invalid(file, problem))];
  }
  if (has('vocab.txt')) {
    const vocab = at('vocab.txt');
    return [vocab, wordPiece(readText(vocab), config, (problem) => invalid(vocab, problem))];
  }
  const sentencePiece = fs
    .readdirSync(dir)
    .find((name) => /^(sentencepiece|spiece|spm|tokenizer).*\.model$/.test(name));
  if (sentencePiece !== undefined) {
    throw invalid(
      dir,
      `has its tokenizer only as ${sentencePiece}. Write tokenizer.json once, where Python has transformers: ` +
        `AutoTokenizer.from_pretrained("${dir}").save_pretrained("${dir}")`,
    );
  }
  throw invalid(
    dir,
    'has no tokenizer.json, no vocab.json with merges.txt and no vocab.txt; copy the tokenizer files of the model there',
  );
}

/** Bytes of a tokenizer's file: the largest of the hub have 35 MB. */
const MOST_BYTES = 256 << 20;

/** @throws FusedLoraError INVALID_TOKENIZER for what is no file of its folder. */
export function readTokenizerFile(file: string): Buffer {
  return readWhole(file, { inFolder: true, code: 'INVALID_TOKENIZER', maxBytes: MOST_BYTES, remedy: REMEDY });
}

function readText(file: string): string {
  const bytes = readTokenizerFile(file);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalid(file, `can not be read (${(cause as Error).message}); copy it again from the model`, cause);
  }
}

/** At the end of errors about a tokenizer's file. */
const REMEDY = 'Is it damaged? Then copy it again from the model.';

const readObject = (file: string) => parseJsonObject(readText(file), file, 'INVALID_TOKENIZER', REMEDY);

/** transformers passes token types to models whose tokenizer class has them; RoBERTa's has not. */
function hasTokenTypes(config: Record<string, unknown>): boolean {
  const names = config['model_input_names'];
  if (Array.isArray(names)) return names.includes('token_type_ids');
  return !/Roberta/.test(String(config['tokenizer_class'] ?? ''));
}

type Fields = Record<string, unknown>;

/** Options of a class → fields of BERT's normalizer. */
const NORMALIZER_OPTIONS = {
  do_lower_case: 'lowercase',
  strip_accents: 'strip_accents',
  tokenize_chinese_chars: 'handle_chinese_chars',
};

/**
 * tokenizer.json with the options that classes of transformers put over it: of BERT's normalizer,
 * and the blank before byte-level words. A class that has no options of its own takes the file as
 * it stands.
 */
function withOptions(tokenizer: Fields, config: Fields, dir: string, source: string): Fields {
  const name = String(config['tokenizer_class'] ?? '');
  if (GENERIC_CLASS.test(name)) return tokenizer;
  const file = path.join(dir, 'tokenizer_config.json');
  /**
   * A class puts its default over the file where the option is left out, which the file's author
   * may not have meant.
   */
  const undecided = (classes: RegExp, option: string, says: boolean) => {
    if (!classes.test(name) || config[option] !== undefined) return;
    throw invalid(
      file,
      `names the class ${name} without ${option}, which it takes for ${String(!says)}, and ${source} says ${String(says)}. ` +
        `Say which is meant: "${option}": true or false`,
    );
  };
  for (const option of ['do_lower_case', 'tokenize_chinese_chars', 'add_prefix_space']) {
    const value = config[option];
    if (value === undefined || typeof value === 'boolean') continue;
    throw invalid(file, `its ${option} is ${short(value)}; expected true or false`);
  }
  const out = { ...tokenizer };
  const normalizer = tokenizer['normalizer'] as Fields | null | undefined;
  if (normalizer?.['type'] === 'BertNormalizer') {
    if (normalizer['lowercase'] === false)
      undecided(/^(Bert|DistilBert|Electra)Tokenizer(Fast)?$/, 'do_lower_case', false);
    const given = Object.entries(NORMALIZER_OPTIONS).filter(([option]) => config[option] !== undefined);
    out['normalizer'] = { ...normalizer, ...Object.fromEntries(given.map(([option, key]) => [key, config[option]])) };
  }
  const step = (value: unknown): unknown => {
    const fields = value as Fields | null;
    if (fields?.['type'] === 'ByteLevel') {
      if (fields['add_prefix_space'] === true) undecided(/^RobertaTokenizer(Fast)?$/, 'add_prefix_space', true);
      return { ...fields, add_prefix_space: config['add_prefix_space'] ?? fields['add_prefix_space'] };
    }
    const inner = fields?.['type'] === 'Sequence' ? fields['pretokenizers'] : undefined;
    return Array.isArray(inner) ? { ...fields, pretokenizers: inner.map(step) } : value;
  };
  if (tokenizer['pre_tokenizer']) out['pre_tokenizer'] = step(tokenizer['pre_tokenizer']);
  return out;
}
