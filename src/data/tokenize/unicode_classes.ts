/**
 * Which characters are punctuation, marks, white space or letters to Python's tokenizers, as
 * sources of regular expressions. The ranges are in unicode_tables.ts; what JavaScript has by the
 * same definition is spelt out here.
 */
import * as tables from './unicode_tables';

/** Ranges as the inside of a character class of the flag `u` or `v`: `\u{61}-\u{7a}`. */
function unpack(table: string): string {
  const bytes = Buffer.from(table, 'base64');
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const hex = (point: number) => `\\u{${point.toString(16)}}`;
  let ranges = '';
  for (let end = 0; at < bytes.length; ) {
    const first = end + next();
    end = first + next();
    ranges += first === end ? hex(first) : `${hex(first)}-${hex(end)}`;
  }
  return ranges;
}

/**
 * Of BertNormalizer's clean_text: what is removed. U+0000, which the table can not hold, is too.
 */
export const CONTROL = `\\0${unpack(tables.CONTROL)}`;
/** Of BertNormalizer's strip_accents. */
export const NONSPACING = unpack(tables.NONSPACING);
/** Of StripAccents; the marks too that Unicode's normal forms put in order. */
export const COMBINING = unpack(tables.COMBINING);
/**
 * Of Punctuation and BertPreTokenizer: Unicode's, and all of ASCII that is no letter, digit or
 * control.
 */
export const PUNCTUATION = unpack(tables.PUNCTUATION);

/**
 * Rust's `char::is_whitespace` and `\s` of both regular expression engines. JavaScript's `\s` has
 * U+FEFF, and lacks U+0085.
 */
export const WHITE_SPACE = '\\p{White_Space}';
/** `\w` of Rust's regex, by Unicode's definition. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';

/**
 * A character that this engine knows and Python's regular expressions do not: newer than their
 * Unicode.
 */
const NEWER = new RegExp(`[\\P{Cn}&&[${unpack(tables.UNASSIGNED)}]]`, 'gv');

/**
 * The text as Python's regular expressions see it: a character that is too new for them becomes an
 * unassigned one of the same length, so that places in both texts are the same.
 */
export function asOlderUnicode(text: string): string {
  // Below U+0530 there is no character that is newer than Unicode 7.
  if (!/[\u0530-\uffff]/.test(text)) return text;
  return text.replace(NEWER, (character) => (character.length === 1 ? '\u0378' : '\u{effff}'));
}
