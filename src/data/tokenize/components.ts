/**
 * Every component that tokenizer.json can hold, and what is known of it: `equal` are those that
 * test/data/tokenizer_parity.test.ts holds against ids of Python's tokenizers 0.23.3
 * (test/fixtures/tokenizer/components.json.gz, by these names); others are refused with the reason.
 */
import { type Component, Refused } from './refused';

type Kind = 'normalizer' | 'pre_tokenizer' | 'model' | 'post_processor' | 'decoder';

/** Why a component is refused, or `equal`. */
export const COMPONENTS: Record<Kind, Readonly<Record<string, 'equal' | { refused: string }>>> = {
  normalizer: {
    BertNormalizer: 'equal',
    ByteLevel: 'equal',
    Lowercase: 'equal',
    NFC: 'equal',
    NFD: 'equal',
    NFKC: 'equal',
    NFKD: 'equal',
    Nmt: 'equal',
    Precompiled: 'equal',
    Prepend: 'equal',
    // But a pattern that pattern.ts can not translate, and a match of nothing at the start of a
    // text.
    Replace: 'equal',
    Sequence: 'equal',
    Strip: 'equal',
    StripAccents: 'equal',
  },
  pre_tokenizer: {
    BertPreTokenizer: 'equal',
    ByteLevel: 'equal',
    CharDelimiterSplit: 'equal',
    Digits: 'equal',
    FixedLength: 'equal',
    // But prepend_scheme "first" with a normalizer or after ByteLevel: see checkFirst in
    // text_pipeline.ts.
    Metaspace: 'equal',
    Punctuation: 'equal',
    Sequence: 'equal',
    // But a pattern that pattern.ts can not translate.
    Split: 'equal',
    UnicodeScripts: { refused: 'it needs a table of scripts of its own' },
    Whitespace: 'equal',
    WhitespaceSplit: 'equal',
  },
  model: {
    // But with dropout, which draws at random.
    BPE: 'equal',
    Unigram: 'equal',
    WordLevel: 'equal',
    WordPiece: 'equal',
  },
  post_processor: {
    BertProcessing: 'equal',
    ByteLevel: 'equal',
    RobertaProcessing: 'equal',
    // But two steps that both add tokens.
    Sequence: 'equal',
    TemplateProcessing: 'equal',
  },
  decoder: {
    BPEDecoder: 'equal',
    ByteFallback: 'equal',
    ByteLevel: 'equal',
    CTC: 'equal',
    Fuse: 'equal',
    Metaspace: 'equal',
    Replace: 'equal',
    Sequence: 'equal',
    Strip: 'equal',
    WordPiece: 'equal',
  },
};

/**
 * Passes components that are known to equal Python's.
 *
 * @throws Refused that names the component.
 */
export function requireKnown(kind: Kind, { type, where }: Component): void {
  const known = Object.hasOwn(COMPONENTS[kind], type) ? COMPONENTS[kind][type] : undefined;
  if (known === 'equal') return;
  const why = known ? known.refused : `known are ${Object.keys(COMPONENTS[kind]).join(', ')}`;
  throw new Refused(`${where} is not known to give what Python's tokenizers gives; ${why}`);
}
