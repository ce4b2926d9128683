/**
 * Word lists without tokenizer.json, made into one as transformers does it: vocab.json with
 * merges.txt (RoBERTa), vocab.txt (BERT). tokenizer_files.ts reads the files and says which one is
 * wrong.
 */
import type { FusedLoraError } from '../../base/errors';
import { withoutTrailing } from './normalizers';

type Fields = Record<string, unknown>;

/** The name of a special token in tokenizer_config.json, or the usual one. */
function nameOf(config: Fields, key: string, usual: string): string {
  const token = config[key];
  const content = typeof token === 'object' ? (token as { content?: unknown } | null)?.content : token;
  return typeof content === 'string' ? content : usual;
}

/** Special tokens that the vocabulary has. */
function specialsIn(vocabulary: Readonly<Record<string, unknown>>, contents: string[], lstrip: string): object[] {
  return [...new Set(contents)]
    .filter((content) => Object.hasOwn(vocabulary, content))
    .map((content) => ({
      id: vocabulary[content],
      content,
      single_word: false,
      lstrip: content === lstrip,
      rstrip: false,
      normalized: false,
      special: true,
    }));
}

/** Lines of merges.txt. */
export function mergesIn(text: string, invalid: (problem: string) => FusedLoraError): string[] {
  const merges = text
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line, i, { length }) => !(line === '' && i === length - 1) && !line.startsWith('#version'));
  const wrong = merges.findIndex((line) => line.split(' ').length !== 2);
  if (wrong >= 0) throw invalid(`merge ${wrong + 1} is "${merges[wrong]}", expected two symbols`);
  return merges;
}

/** RoBERTa's tokenizer. */
export function byteLevelBpe(
  vocab: Fields,
  merges: string[],
  config: Fields,
  invalid: (problem: string) => FusedLoraError,
): Fields {
  const [cls, sep] = [nameOf(config, 'cls_token', '<s>'), nameOf(config, 'sep_token', '</s>')].map((token) => {
    if (!Object.hasOwn(vocab, token)) throw invalid(`has no "${token}", which RoBERTa puts around every text`);
    return [token, vocab[token]] as const;
  });
  const addPrefixSpace = config['add_prefix_space'] === true;
  const mask = nameOf(config, 'mask_token', '<mask>');
  return {
    version: '1.0',
    added_tokens: specialsIn(vocab, ['<s>', '<pad>', '</s>', '<unk>', '<mask>', mask], mask),
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

/** BERT's tokenizer; cased or not as tokenizer_config.json says (`do_lower_case`, default true). */
export function wordPiece(text: string, config: Fields, invalid: (problem: string) => FusedLoraError): Fields {
  const lines = text.replace(/\n$/, '').split('\n');
  // Of a line that stands twice the later one counts, and white space at its end does not.
  const vocab: Record<string, number> = Object.create(null);
  lines.forEach((line, id) => {
    vocab[withoutTrailing(line)] = id;
  });
  const unknown = nameOf(config, 'unk_token', '[UNK]');
  const [cls, sep] = [nameOf(config, 'cls_token', '[CLS]'), nameOf(config, 'sep_token', '[SEP]'), unknown].map(
    (token) => {
      if (vocab[token] === undefined) throw invalid(`has no line "${token}", which BERT needs`);
      return token;
    },
  ) as [string, string];
  const piece = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  const single = [piece(cls, 0), sequence('A', 0), piece(sep, 0)];
  const usual = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  return {
    version: '1.0',
    added_tokens: specialsIn(vocab, [...usual, unknown, cls, sep], ''),
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
      single,
      pair: [...single, sequence('B', 1), piece(sep, 1)],
      special_tokens: {
        [cls]: { id: cls, ids: [vocab[cls]], tokens: [cls] },
        [sep]: { id: sep, ids: [vocab[sep]], tokens: [sep] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknown,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}
