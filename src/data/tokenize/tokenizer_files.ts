/** The files that tokenizers come in, as the content of one tokenizer.json. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';

export interface TokenizerFiles {
  tokenizer: Record<string, unknown>;
  config: Record<string, unknown>;
  /** For errors: the file that `tokenizer` came from. */
  source: string;
}

function invalid(source: string, problem: string, cause?: unknown): FusedLoraError {
  return new FusedLoraError('INVALID_TOKENIZER', `${source}: ${problem}`, { cause });
}

/** Reads what is in a folder: tokenizer.json, else vocab.json and merges.txt, else vocab.txt. */
export function readTokenizerFiles(dir: string): TokenizerFiles {
  const at = (name: string) => path.join(dir, name);
  const has = (name: string) => fs.existsSync(at(name));
  if (!has('')) throw invalid(dir, 'there is no such folder; give the folder of a model or of its tokenizer');
  const config = has('tokenizer_config.json') ? readObject(at('tokenizer_config.json')) : {};
  if (has('tokenizer.json')) {
    return { tokenizer: readObject(at('tokenizer.json')), config, source: at('tokenizer.json') };
  }
  if (has('vocab.json') && has('merges.txt')) {
    return { tokenizer: byteLevelBpe(at('vocab.json'), at('merges.txt'), config), config, source: at('vocab.json') };
  }
  if (has('vocab.txt')) return { tokenizer: wordPiece(at('vocab.txt'), config), config, source: at('vocab.txt') };
  const sentencePiece = fs.readdirSync(dir).find((name) => /^(sentencepiece|spiece).*\.model$/.test(name));
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

function readText(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(file));
  } catch (cause) {
    throw invalid(file, `can not be read (${(cause as Error).message}); copy it again from the model`, cause);
  }
}

function readObject(file: string): Record<string, unknown> {
  const text = readText(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(file, `is not JSON (${(cause as Error).message}); copy it again from the model`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(file, 'is not a JSON object; copy it again from the model');
  }
  return value as Record<string, unknown>;
}

function added(vocabulary: Record<string, number>, contents: string[], lstrip: string): object[] {
  return contents.flatMap((content) =>
    vocabulary[content] === undefined
      ? []
      : [
          {
            id: vocabulary[content],
            content,
            single_word: false,
            lstrip: content === lstrip,
            rstrip: false,
            normalized: false,
            special: true,
          },
        ],
  );
}

/** RoBERTa's tokenizer, as transformers builds it from its two files. */
function byteLevelBpe(vocabFile: string, mergesFile: string, config: Record<string, unknown>): Record<string, unknown> {
  const vocab = readObject(vocabFile) as Record<string, number>;
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || id < 0)
      throw invalid(vocabFile, `the id of "${token}" is ${String(id)}, expected a whole number`);
  }
  const merges = readText(mergesFile)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#version'));
  const wrong = merges.findIndex((line) => line.split(' ').length !== 2);
  if (wrong >= 0) throw invalid(mergesFile, `merge ${wrong + 1} is "${merges[wrong]}", expected two symbols`);
  const [cls, sep] = ['<s>', '</s>'].map((token) => {
    if (vocab[token] === undefined) throw invalid(vocabFile, `has no "${token}", which RoBERTa puts around every text`);
    return [token, vocab[token]] as const;
  });
  const addPrefixSpace = config['add_prefix_space'] === true;
  return {
    version: '1.0',
    added_tokens: added(vocab, ['<s>', '<pad>', '</s>', '<unk>', '<mask>'], '<mask>'),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true },
    post_processor: { type: 'RobertaProcessing', sep, cls, trim_offsets: true, add_prefix_space: addPrefixSpace },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      vocab,
      merges,
    },
  };
}

/** BERT's tokenizer from its word list; cased or not as tokenizer_config.json says (`do_lower_case`, default true). */
function wordPiece(vocabFile: string, config: Record<string, unknown>): Record<string, unknown> {
  const lines = readText(vocabFile).replace(/\n$/, '').split('\n');
  const vocab = Object.fromEntries(lines.map((line, id) => [line.replace(/\r$/, ''), id]));
  const ids = ['[CLS]', '[SEP]', '[UNK]'].map((token) => {
    const id = vocab[token];
    if (id === undefined) throw invalid(vocabFile, `has no line "${token}", which BERT needs`);
    return id;
  });
  const [cls, sep] = ids;
  const piece = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
  const text = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    version: '1.0',
    added_tokens: added(vocab, ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'], ''),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config['tokenize_chinese_chars'] !== false,
      strip_accents: config['strip_accents'] ?? null,
      lowercase: config['do_lower_case'] !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece('[CLS]', 0), text('A', 0), piece('[SEP]', 0)],
      pair: [piece('[CLS]', 0), text('A', 0), piece('[SEP]', 0), text('B', 1), piece('[SEP]', 1)],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [cls], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [sep], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}
