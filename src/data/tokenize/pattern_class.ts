/**
 * Character classes and escapes of Oniguruma's regular expressions, as JavaScript's with the flag
 * `v`. The rest of a pattern is translated in pattern.ts, which says what is refused and where.
 */
import type { Refused } from './refused';

type Refuse = (what: string, at: number) => Refused;

/** Characters as themselves, in a class too. */
export function asLiteral(text: string): string {
  return text.replace(/[^\p{L}\p{N}]/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
const HEX = '0-9A-Fa-f';
/** Inside of a class for each escape of one. `\w` has ², ³, ¹, ¼, ½, ¾ outside of classes alone. */
const SETS: Record<string, string> = {
  w: `[${WORD}]`,
  W: `[^${WORD}]`,
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  s: '\\p{White_Space}',
  S: '\\P{White_Space}',
  h: `[${HEX}]`,
  H: `[^${HEX}]`,
};
const SCALARS: Record<string, string> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v', a: '\x07', e: '\x1b' };
const POSIX: Record<string, string> = {
  alpha: '\\p{Alphabetic}',
  alnum: '\\p{Alphabetic}\\p{Nd}',
  cntrl: '\\p{Cc}',
  digit: '\\p{Nd}',
  lower: '\\p{Lowercase}\\u0295',
  punct: '\\p{P}\\p{S}',
  space: '\\p{White_Space}',
  upper: '\\p{Uppercase}',
  word: WORD,
  xdigit: HEX,
};
/**
 * Names of `\p{…}` that mean the same in both: checked character by character
 * (test/data/tokenizer_parity.test.ts).
 */
const CATEGORIES = new Set(
  'L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co Letter Mark Number Punctuation Symbol Separator Alphabetic Uppercase Lowercase White_Space'.split(
    ' ',
  ),
);
const SCRIPTS = new Set(
  'Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul Hebrew Hiragana Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Oriya Sinhala Tamil Telugu Thai Tibetan'.split(
    ' ',
  ),
);

/** ʕ was a small letter up to Unicode 16, and is of the other letters since 17. */
const PINNED: Record<string, string> = {
  Ll: '[\\p{Ll}\\u0295]',
  Lo: '[\\p{Lo}--\\u0295]',
  Lowercase: '[\\p{Lowercase}\\u0295]',
};

function propertySource(name: string, negative: boolean): string | undefined {
  const negated = negative !== name.startsWith('^');
  const bare = name.replace(/^\^/, '');
  const p = negated ? 'P' : 'p';
  const pinned = PINNED[bare];
  if (pinned !== undefined) return negated ? `[^${pinned}]` : pinned;
  if (CATEGORIES.has(bare)) return `\\${p}{${bare}}`;
  return SCRIPTS.has(bare) ? `\\${p}{Script=${bare}}` : undefined;
}

/** What `\…` stands for, in a class or outside: one character (`scalar`) or a set of them. */
function escapeSource(source: string, at: number, refuse: Refuse): { text: string; end: number; scalar?: string } {
  const property = /^\\([pP])\{([^}]*)\}/.exec(source.slice(at));
  if (property) {
    const text = propertySource(property[2] as string, property[1] === 'P');
    if (text === undefined) throw refuse(`the property ${property[0]}`, at);
    return { text, end: at + property[0].length };
  }
  const code = /^\\(?:x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4}))/.exec(source.slice(at));
  if (code) {
    const point = Number.parseInt((code[1] ?? code[2] ?? code[3]) as string, 16);
    // A byte of UTF-8, or half of a pair.
    if ((code[1] && point > 0x7f) || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
      throw refuse(`the code ${code[0]}`, at);
    return scalarOf(String.fromCodePoint(point), at + code[0].length);
  }
  const point = source.codePointAt(at + 1);
  if (point === undefined) throw refuse('a \\ with nothing after it', at);
  const next = String.fromCodePoint(point);
  const end = at + 1 + next.length;
  const set = SETS[next];
  if (set !== undefined) return { text: set, end };
  const scalar = SCALARS[next];
  if (scalar !== undefined) return scalarOf(scalar, end);
  if (/[A-Za-z0-9]/.test(next)) throw refuse(`\\${next}`, at);
  return scalarOf(next, end);
}

function scalarOf(scalar: string, end: number): { text: string; end: number; scalar: string } {
  return { text: asLiteral(scalar), end, scalar };
}

/** Escapes as they are outside of a class. */
export const outside = {
  w: `[${WORD}\\xB2\\xB3\\xB9\\xBC-\\xBE]`,
  escape(source: string, at: number, refuse: Refuse): { text: string; end: number; scalar?: string } {
    if (source[at + 1] === 'w') return { text: outside.w, end: at + 2 };
    if (source[at + 1] === 'W') return { text: outside.w.replace('[', '[^'), end: at + 2 };
    return escapeSource(source, at, refuse);
  },
};

/**
 * The class that opens at `start`, and where it ends. Classes stand in classes, and `&&`
 * intersects.
 */
export function classSource(source: string, start: number, refuse: Refuse): { text: string; end: number } {
  const negated = source[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  const operands = [''];
  /** What the last item was: only a character alone can open a range. */
  let last = 'none' as 'none' | 'scalar' | 'range' | 'set';
  const add = (text: string, kind: typeof last) => {
    operands.push((operands.pop() as string) + text);
    last = kind;
  };
  let at = first;
  for (;;) {
    if (at >= source.length) throw refuse('an unmatched [', start);
    if (source[at] === ']' && at > first) break;
    if (source.startsWith('&&', at)) {
      if (last === 'none') throw refuse('an empty operand of &&', at);
      operands.push('');
      last = 'none';
      at += 2;
      continue;
    }
    const posix = /^\[:(\^?)(\w*):\]/.exec(source.slice(at));
    if (posix) {
      const inside = POSIX[posix[2] as string];
      if (inside === undefined) throw refuse(`the class ${posix[0]}`, at);
      add(`[${posix[1]}${inside}]`, 'set');
      at += posix[0].length;
      continue;
    }
    if (source[at] === '[') {
      const nested = classSource(source, at, refuse);
      add(nested.text, 'set');
      at = nested.end;
      continue;
    }
    const closes = (next: number) => source[next] === ']' || source.startsWith('&&', next);
    if (source[at] === '-' && last === 'scalar' && !closes(at + 1)) {
      const { scalar, end } = scalarAt(source, at + 1, refuse);
      if (scalar === undefined) throw refuse('a range that ends in a set', at);
      add(`-${asLiteral(scalar)}`, 'range');
      at = end;
      continue;
    }
    if (source[at] === '-' && last === 'set' && !closes(at + 1)) throw refuse('a range that starts with a set', at);
    const item = scalarAt(source, at, refuse);
    add(item.text, item.scalar === undefined ? 'set' : 'scalar');
    at = item.end;
  }
  if (last === 'none') throw refuse('an empty operand of &&', at);
  if (operands.length > 1 && negated) throw refuse('a negated class with &&', start);
  const inside = operands.length === 1 ? operands[0] : operands.map((operand) => `[${operand}]`).join('&&');
  return { text: `[${negated ? '^' : ''}${inside}]`, end: at + 1 };
}

/** A character or an escape that stands in a class. */
function scalarAt(source: string, at: number, refuse: Refuse): { text: string; end: number; scalar?: string } {
  if (source[at] === '\\') {
    return source[at + 1] === 'b' ? scalarOf('\b', at + 2) : escapeSource(source, at, refuse);
  }
  const point = source.codePointAt(at);
  if (point === undefined || source[at] === '[') throw refuse('a range that does not end', at);
  const character = String.fromCodePoint(point);
  return scalarOf(character, at + character.length);
}
