/**
 * Pre-tokenizers of tokenizer.json: how a text is cut into the words that a model takes apart.
 * The cutting itself is in split_text.ts; which are known to equal Python's is in components.ts.
 */
import { requireKnown } from './components';
import { byteLevel } from './normalizers';
import { compilePattern, type Pattern } from './pattern';
import { type Component, componentsIn, field, oneOf, Refused } from './refused';
import { BEHAVIORS, type Behavior, characters, cut, type Part, partsOf } from './split_text';
import { asOlderUnicode, PUNCTUATION, WHITE_SPACE, WORD } from './unicode_classes';

/** A part of a text on its way to the model. */
export interface Piece {
  text: string;
  /** Whether it starts where the whole text starts, for Metaspace's `first`. */
  first: boolean;
  /** Of an added token, which is taken apart no further. */
  id?: number;
}

/** Pieces of one piece; empty ones are left out by who calls. */
export type PreTokenizer = (piece: Piece) => Piece[];

export interface PreTokenizerOptions {
  /**
   * Whether byte-level words read as after a blank, whatever the file says: for sentences that are
   * cut into words already.
   */
  prefixSpace?: boolean;
}

const regexPattern = (source: string): Pattern => {
  const regex = new RegExp(source, 'gv');
  return {
    find: (text) =>
      Array.from(asOlderUnicode(text).matchAll(regex), ({ index, 0: { length } }) => [index, index + length]),
  };
};
const SPACES = characters(WHITE_SPACE);
const PUNCTUATIONS = characters(PUNCTUATION);
/** Rust's `char::is_numeric`: digits, Roman numerals, fractions. */
const NUMERIC = characters('\\p{N}');
const WORDS = regexPattern(`[${WORD}]+|[^${WORD}${WHITE_SPACE}]+`);
/** GPT-2's. */
const BYTE_LEVEL_WORDS = regexPattern(
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+",
);

/** The steps of a component, in order. */
export function preTokenizersOf(
  component: Component,
  place: string,
  options: PreTokenizerOptions = {},
): PreTokenizer[] {
  requireKnown('pre_tokenizer', component);
  const { type } = component;
  switch (type) {
    case 'Sequence':
      return componentsIn(component, 'pretokenizers', place).flatMap((step, i) =>
        preTokenizersOf(step, `${place}.pretokenizers[${i}]`, options),
      );
    case 'BertPreTokenizer':
      return [splitter(SPACES, 'Removed'), splitter(PUNCTUATIONS, 'Isolated')];
    case 'ByteLevel':
      return [byteLevels(component, options)];
    case 'CharDelimiterSplit': {
      const delimiter = field(component, 'delimiter', 'string');
      if ([...delimiter].length !== 1)
        throw new Refused(`${component.where}: its delimiter is "${delimiter}"; expected one character`);
      return [splitter(compilePattern({ String: delimiter }, component.where), 'Removed')];
    }
    case 'Digits': {
      const alone = field(component, 'individual_digits', 'boolean');
      return [splitter(NUMERIC, alone ? 'Isolated' : 'Contiguous')];
    }
    case 'FixedLength':
      return [fixedLength(component)];
    case 'Metaspace':
      return [metaspace(component)];
    case 'Punctuation':
      return [splitter(PUNCTUATIONS, oneOf(component, 'behavior', BEHAVIORS, 'Isolated'))];
    case 'Split': {
      const pattern = compilePattern(component.fields['pattern'], component.where);
      return [splitter(pattern, oneOf(component, 'behavior', BEHAVIORS), field(component, 'invert', 'boolean'))];
    }
    case 'Whitespace':
      return [splitter(WORDS, 'Removed', true)];
    default:
      return [splitter(SPACES, 'Removed')];
  }
}

/** Cuts at a pattern; inverted, at what is between its matches. */
function splitter(pattern: Pattern, behavior: Behavior, invert = false): PreTokenizer {
  return (piece) => {
    const parts = partsOf(piece.text, pattern);
    const turned = invert ? parts.map(([start, end, delimiter]): Part => [start, end, !delimiter]) : parts;
    return slices(piece, cut(turned, behavior));
  };
}

function slices({ text, first }: Piece, ranges: [number, number][]): Piece[] {
  return ranges.map(([start, end]) => ({ text: text.slice(start, end), first: first && start === 0 }));
}

function byteLevels(component: Component, { prefixSpace }: PreTokenizerOptions): PreTokenizer {
  const prefix = field(component, 'add_prefix_space', 'boolean') || prefixSpace === true;
  const words = field(component, 'use_regex', 'boolean', true);
  return (piece) => {
    const text = prefix && !piece.text.startsWith(' ') ? ` ${piece.text}` : piece.text;
    const pieces = words
      ? slices({ ...piece, text }, cut(partsOf(text, BYTE_LEVEL_WORDS), 'Isolated'))
      : [{ ...piece, text }];
    return pieces.map((word) => ({ ...word, text: byteLevel(word.text) }));
  };
}

function fixedLength(component: Component): PreTokenizer {
  const length = field(component, 'length', 'count', 5);
  if (length === 0) throw new Refused(`${component.where}: its length is 0`);
  return (piece) => {
    const points = [...piece.text];
    const ranges: [number, number][] = [];
    for (let i = 0, at = 0; i < points.length; i += length) {
      const end = at + points.slice(i, i + length).join('').length;
      ranges.push([at, end]);
      at = end;
    }
    return slices(piece, ranges);
  };
}

function metaspace(component: Component): PreTokenizer {
  const { where, fields } = component;
  const replacement = field(component, 'replacement', 'string', '▁');
  if ([...replacement].length !== 1)
    throw new Refused(`${where}: its replacement is "${replacement}"; expected one character`);
  const scheme = oneOf(component, 'prepend_scheme', ['always', 'first', 'never'], 'always');
  if (fields['add_prefix_space'] === false && scheme !== 'never') {
    throw new Refused(`${where}: its add_prefix_space is false and its prepend_scheme "${scheme}"`);
  }
  const split = field(component, 'split', 'boolean', true);
  const delimiter = compilePattern({ String: replacement }, where);
  return (piece) => {
    let text = piece.text.replaceAll(' ', () => replacement);
    const wanted = scheme === 'always' || (scheme === 'first' && piece.first);
    if (wanted && !text.startsWith(replacement)) text = replacement + text;
    const whole = { ...piece, text };
    return split ? slices(whole, cut(partsOf(text, delimiter), 'MergedWithNext')) : [whole];
  };
}
