/**
 * Regular expressions of tokenizer.json, which are Oniguruma's, as JavaScript's: each construct
 * means the same there, or is refused by name. Everything that compiles a pattern of a file goes
 * through here; character classes are in pattern_class.ts.
 */
import { patternTime, TimeIsUp, withinTime } from '../../base/time_limit';
import { asLiteral, classSource, outside } from './pattern_class';
import { isLinear } from './pattern_cost';
import { Refused, short } from './refused';
import { asOlderUnicode } from './unicode_classes';

/** A pattern of a file, to be found in texts. */
export interface Pattern {
  /**
   * Places of matches, [start, end) in UTF-16 units, in order, as Oniguruma's `find_iter` gives
   * them.
   */
  find(text: string): [number, number][];
}

/** Of {@link compilePattern}. */
export interface PatternOptions {
  /**
   * Milliseconds for a text of so many characters, where the pattern may take any time. Default:
   * patternTime.
   */
  time?: (characters: number) => number;
}

/** Characters of a pattern, and groups in groups: more than any tokenizer has. */
const MOST_CHARACTERS = 20_000;
const MOST_DEPTH = 100;

/** `{"Regex": …}` or `{"String": …}` of Split and Replace. */
export function compilePattern(pattern: unknown, where: string, options: PatternOptions = {}): Pattern {
  const { Regex: regex, String: literal } = (pattern ?? {}) as { Regex?: unknown; String?: unknown };
  if (typeof literal === 'string') {
    if (literal === '') throw new Refused(`${where}: its pattern is empty`);
    return { find: (text) => findAll(new RegExp(asLiteral(literal), 'gv'), text) };
  }
  if (typeof regex !== 'string') {
    throw new Refused(`${where}: its pattern is ${short(pattern)}; expected {"Regex": "…"} or {"String": "…"}`);
  }
  if (regex.length > MOST_CHARACTERS) {
    throw new Refused(`${where}: its pattern has ${regex.length} characters; ${MOST_CHARACTERS} is the limit`);
  }
  const compiled = compileRegex(regex, where);
  const find = isLinear(regex) ? findAll : limited(regex, where, options.time ?? patternTime);
  // In an empty text Python looks for nothing, not even for its start.
  return { find: (text) => (text === '' ? [] : find(compiled, asOlderUnicode(text))) };
}

/** {@link findAll} for patterns that may try more ways than there is time for. */
function limited(source: string, where: string, time: (characters: number) => number): typeof findAll {
  return (regex, text) => {
    try {
      return withinTime(() => findAll(regex, text), time(text.length));
    } catch (cause) {
      const problem =
        cause instanceof TimeIsUp
          ? `takes longer than ${Math.round(time(text.length))} ms for a text of ${text.length} characters, which begins ${short(text.slice(0, 40))}`
          : `can not be used (${(cause as Error).message})`;
      throw new Refused(`${where}: its pattern ${JSON.stringify(source)} ${problem}`);
    }
  };
}

function compileRegex(source: string, where: string): RegExp {
  const translated = new Translator(source, where).translate();
  try {
    return new RegExp(translated, 'gv');
  } catch (cause) {
    throw new Refused(
      `${where}: its pattern ${JSON.stringify(source)} is no regular expression (${(cause as Error).message})`,
    );
  }
}

/** As the crate onig walks: an empty match right after another is passed over. */
function findAll(regex: RegExp, text: string): [number, number][] {
  const found: [number, number][] = [];
  let lastEnd = -1;
  for (let at = 0; at <= text.length; ) {
    regex.lastIndex = at;
    const match = regex.exec(text);
    if (!match) break;
    const [start, end] = [match.index, match.index + match[0].length];
    if (start === end && end === lastEnd) {
      at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      continue;
    }
    found.push([start, end]);
    at = end;
    lastEnd = end;
  }
  return found;
}

/** `(?i:…)`: what folds to these letters beside their capitals. */
const FOLDED: Record<string, string> = { s: '\u017f', k: '\u212a' };
/** Pairs of letters that one character folds to (ß, ﬁ, ﬆ), which JavaScript does not match. */
const FOLDED_PAIRS = /ss|st|ff|fi|fl/;

const ASSERTIONS: Record<string, string> = {
  A: '(?<![\\s\\S])',
  z: '(?![\\s\\S])',
  Z: '(?=\\n?(?![\\s\\S]))',
  b: `(?:(?<=${outside.w})(?!${outside.w})|(?<!${outside.w})(?=${outside.w}))`,
  B: `(?:(?<=${outside.w})(?=${outside.w})|(?<!${outside.w})(?!${outside.w}))`,
};

class Translator {
  private at = 0;
  private atomicGroups = 0;
  private lookbehinds = 0;
  private depth = 0;
  private ignoreCase = false;
  /** Letters just before, for {@link FOLDED_PAIRS}. */
  private run = '';

  constructor(
    private readonly source: string,
    private readonly where: string,
  ) {}

  translate(): string {
    const out = this.alternatives();
    if (this.at < this.source.length) throw this.refused('an unmatched )');
    return out;
  }

  private refused(what: string): Refused {
    return new Refused(
      `${this.where}: its pattern ${JSON.stringify(this.source)} has ${what} at ${this.at}, which has no equal in JavaScript's regular expressions`,
    );
  }

  /** Takes `text` if it stands next. */
  private take(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private match(regex: RegExp): string | undefined {
    regex.lastIndex = this.at;
    return regex.exec(this.source)?.[0];
  }

  private alternatives(): string {
    let out = this.sequence();
    while (this.take('|')) out += `|${this.sequence()}`;
    return out;
  }

  private sequence(): string {
    let out = '';
    this.run = '';
    while (this.at < this.source.length && !'|)'.includes(this.source[this.at] as string)) out += this.quantified();
    return out;
  }

  private quantified(): string {
    const { text, assertion } = this.atom();
    const quantifier = this.match(/[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\}/y);
    if (quantifier === undefined) return text;
    if (assertion) throw this.refused('a repeated assertion');
    this.at += quantifier.length;
    this.run = '';
    const interval = quantifier.startsWith('{');
    const [least, most] = quantifier.slice(1, -1).split(',');
    if (interval && most && Number(least || 0) > Number(most)) throw this.refused('an interval that runs down');
    const repeated = text + (interval && least === '' ? `{0,${most}}` : quantifier);
    if (!interval && this.take('+')) return this.atomic(repeated);
    const lazy = this.match(/\?/y) !== undefined;
    if (lazy && interval && most === undefined) throw this.refused('a lazy fixed interval');
    if (lazy) this.at++;
    if (this.match(/[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\}/y) !== undefined) throw this.refused('a repeated quantifier');
    return repeated + (lazy ? '?' : '');
  }

  /** A look-ahead gives up nothing that it matched. */
  private atomic(text: string): string {
    if (this.lookbehinds > 0) throw this.refused('an atomic group in a look-behind');
    const name = `atomic${this.atomicGroups++}`;
    return `(?:(?=(?<${name}>${text}))\\k<${name}>)`;
  }

  private atom(): { text: string; assertion?: boolean } {
    const character = String.fromCodePoint(this.source.codePointAt(this.at) as number);
    if (character === '(') return this.group();
    if (character === '\\') return this.escaped();
    if (character === '[') {
      if (this.ignoreCase) throw this.refused('a class in (?i:…)');
      const { text, end } = classSource(this.source, this.at, (what, at) => {
        this.at = at;
        return this.refused(what);
      });
      this.at = end;
      return { text };
    }
    if ('*+?'.includes(character) || this.match(/\{(?:\d+(?:,\d*)?|,\d+)\}/y) !== undefined) {
      throw this.refused('a quantifier of nothing');
    }
    this.at += character.length;
    if (character === '.') return { text: '[^\\n]' };
    if (character === '^') return { text: '(?:(?<![\\s\\S])|(?<=\\n)(?=[\\s\\S]))', assertion: true };
    if (character === '$') return { text: '(?![^\\n])', assertion: true };
    return { text: this.literal(character) };
  }

  private literal(character: string): string {
    if (!this.ignoreCase) return asLiteral(character);
    this.run += character.toLowerCase();
    if (character > '\x7f') throw this.refused(`the letter ${character} in (?i:…)`);
    if (FOLDED_PAIRS.test(this.run)) throw this.refused('letters in (?i:…) that a ligature folds to');
    if (!/[A-Za-z]/.test(character)) return asLiteral(character);
    const small = character.toLowerCase();
    return `[${small}${small.toUpperCase()}${FOLDED[small] ?? ''}]`;
  }

  private group(): { text: string; assertion?: boolean } {
    const prefix = this.match(/\((?:\?(?:<?[=!]|[:>]|i:|<[A-Za-z_]\w*>))?/y) as string;
    if (prefix === '(' && this.source[this.at + 1] === '?')
      throw this.refused(`the group ${this.source.slice(this.at, this.at + 4)}`);
    this.at += prefix.length;
    if (++this.depth > MOST_DEPTH) throw this.refused(`groups in groups, more than ${MOST_DEPTH}`);
    const outer = this.ignoreCase;
    const lookbehind = prefix === '(?<=' || prefix === '(?<!';
    if (prefix === '(?i:') this.ignoreCase = true;
    if (lookbehind) this.lookbehinds++;
    const inside = this.alternatives();
    if (!this.take(')')) throw this.refused('an unmatched (');
    this.depth--;
    if (lookbehind) this.lookbehinds--;
    this.ignoreCase = outer;
    this.run = '';
    if (prefix === '(?>') return { text: this.atomic(inside) };
    const assertion = lookbehind || prefix === '(?=' || prefix === '(?!';
    return { text: `${assertion ? prefix : '(?:'}${inside})`, assertion };
  }

  private escaped(): { text: string; assertion?: boolean } {
    const next = this.source[this.at + 1];
    const assertion = ASSERTIONS[next ?? ''];
    if (assertion !== undefined) {
      this.at += 2;
      return { text: assertion, assertion: true };
    }
    const { text, end, scalar } = outside.escape(this.source, this.at, (what) => this.refused(what));
    if (this.ignoreCase && scalar === undefined) throw this.refused('a class in (?i:…)');
    this.at = end;
    return { text: scalar === undefined ? text : this.literal(scalar) };
  }
}
