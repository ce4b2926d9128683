/**
 * Normalizers of tokenizer.json: what a text becomes before it is cut into words.
 * Each is Python's step by step, where JavaScript's own string functions differ; which are known is
 * in components.ts.
 */
import { requireKnown } from './components';
import { compilePattern } from './pattern';
import { PrecompiledCharsmap } from './precompiled_charsmap';
import { type Component, componentsIn, field, Refused } from './refused';
import * as classes from './unicode_classes';

export type Normalizer = (text: string) => string;

const anyOf = (inside: string) => new RegExp(`[${inside}]`, 'gv');
const CONTROL = anyOf(`${classes.CONTROL}\\uFFFD`);
const NONSPACING = anyOf(classes.NONSPACING);
const COMBINING = anyOf(classes.COMBINING);
const WHITE_SPACE = anyOf(classes.WHITE_SPACE);
/** Python's blocks, of which two end where extensions of them begin. */
const CHINESE = anyOf(
  '\\u{4E00}-\\u{9FFF}\\u{3400}-\\u{4DBF}\\u{20000}-\\u{2A6DF}\\u{2A700}-\\u{2B73F}\\u{2B740}-\\u{2B81F}\\u{2B920}-\\u{2CEAF}\\u{F900}-\\u{FAFF}\\u{2F800}-\\u{2FA1F}',
);
const NMT_REMOVED = anyOf('\\x01-\\x08\\x0B\\x0E-\\x1F\\x7F\\x8F\\x9F');
const NMT_BLANK = anyOf('\\t\\n\\f\\r\\u1680\\u200B-\\u200F\\u2028\\u2029\\u2581\\uFEFF\\uFFFD');

/** The normalizer of a component. */
export function normalizerOf(component: Component, place: string): Normalizer {
  requireKnown('normalizer', component);
  const { type, where } = component;
  switch (type) {
    case 'Sequence': {
      const steps = componentsIn(component, 'normalizers', place).map((step, i) =>
        normalizerOf(step, `${place}.normalizers[${i}]`),
      );
      return (text) => steps.reduce((step, normalizer) => withinSize(normalizer(step), text, where), text);
    }
    case 'BertNormalizer':
      return bert(component);
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => inForm(text, type);
    case 'Lowercase':
      return lowercase;
    case 'StripAccents':
      return (text) => text.replace(COMBINING, '');
    case 'Strip': {
      const left = field(component, 'strip_left', 'boolean') ? /^\p{White_Space}+/u : /^/;
      const right = field(component, 'strip_right', 'boolean');
      return (text) => (right ? withoutTrailing(text.replace(left, '')) : text.replace(left, ''));
    }
    case 'Nmt':
      return (text) => text.replace(NMT_REMOVED, '').replace(NMT_BLANK, ' ');
    case 'Prepend': {
      const prepend = field(component, 'prepend', 'string');
      return (text) => (text === '' ? '' : prepend + text);
    }
    case 'Replace':
      return replace(component);
    case 'Precompiled': {
      const charsmap = charsmapOf(field(component, 'precompiled_charsmap', 'string'), where);
      return (text) => charsmap.normalize(text);
    }
    default:
      return byteLevel;
  }
}

function bert(component: Component): Normalizer {
  const clean = field(component, 'clean_text', 'boolean');
  const chinese = field(component, 'handle_chinese_chars', 'boolean');
  const lower = field(component, 'lowercase', 'boolean');
  const strip = field(component, 'strip_accents', 'boolean', lower);
  return (text) => {
    let out = text;
    if (clean) out = out.replace(CONTROL, '').replace(WHITE_SPACE, ' ');
    if (chinese) out = out.replace(CHINESE, ' $& ');
    // In this order: İ is I and a dot, which goes, before it is small.
    if (strip) out = inForm(out, 'NFD').replace(NONSPACING, '');
    return lower ? lowercase(out) : out;
  };
}

/** Character by character: JavaScript's own knows of a sigma at the end of a word. */
function lowercase(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  let out = '';
  for (const character of text) out += character.toLowerCase();
  return out;
}

/**
 * A mark, or a character that has another form, which this engine knows and Python's tables
 * (Unicode 9) do not.
 */
const NEWER_FORMS = new RegExp(
  `[[\\p{M}--[${classes.COMBINING}]]\\u{32FF}\\u{A7F1}-\\u{A7F4}\\u{AB69}\\u{105C9}\\u{105E4}\\u{10781}-\\u{107BA}\\u{11383}-\\u{113C8}\\u{11938}\\u{16121}-\\u{16D6A}\\u{1CCD6}-\\u{1CCF9}\\u{1E030}-\\u{1E06D}\\u{1F16C}\\u{1FBF0}-\\u{1FBF9}]`,
  'v',
);
const AROUND_NEWER_FORMS = new RegExp(`(${NEWER_FORMS.source})`, 'v');

function inForm(text: string, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  if (!NEWER_FORMS.test(text)) return text.normalize(form);
  // To Python they are letters like any other, which change nothing around them.
  return text
    .split(AROUND_NEWER_FORMS)
    .map((part, i) => (i % 2 === 0 ? part.normalize(form) : part))
    .join('');
}

/** By steps from the end: a regular expression would begin anew at every blank. */
export function withoutTrailing(text: string): string {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** A text on its way, of a size that it may get: steps that double it would fill the memory. */
function withinSize(out: string, text: string, where: string): string {
  if (out.length <= 1_000_000 + 100 * text.length) return out;
  throw new Refused(`${where}: makes ${out.length} characters of a text of ${text.length}, which is beyond the limit`);
}

function replace(component: Component): Normalizer {
  const pattern = compilePattern(component.fields['pattern'], component.where);
  const content = field(component, 'content', 'string');
  return (text) => {
    let out = '';
    let last = 0;
    for (const [start, end] of pattern.find(text)) {
      // After an insertion there Python's next step fails: there is nothing to be equal to.
      if (end === 0) throw new Refused(`${component.where}: its pattern matches nothing at the start of a text`);
      out += text.slice(last, start) + content;
      last = end;
      withinSize(out, text, component.where);
    }
    return out + text.slice(last);
  };
}

function charsmapOf(base64: string, where: string): PrecompiledCharsmap {
  try {
    return new PrecompiledCharsmap(base64);
  } catch (cause) {
    throw new Refused(`${where}: ${(cause as Error).message}`);
  }
}

/**
 * GPT-2's characters for the 256 bytes: those that print stand for themselves, the others follow
 * from U+0100.
 */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  const prints = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(prints(byte) ? byte : next++));
})();

const utf8 = new TextEncoder();

export function byteLevel(text: string): string {
  let out = '';
  for (const byte of utf8.encode(text)) out += BYTE_CHARACTERS[byte];
  return out;
}
