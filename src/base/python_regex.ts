/**
 * Python's regular expressions (module re, 3.11 to 3.14) read into a tree, by the grammar of
 * Lib/re/_parser.py. What the tree becomes here, and what asks for it: patterns.ts.
 */

/** Code points, as ranges from and to, both included; `negated` takes all others. */
export interface CharacterSet {
  kind: 'set';
  ranges: [number, number][];
  negated: boolean;
}

/** One node of a pattern. */
export type RegexNode =
  | CharacterSet
  | { kind: 'sequence'; items: RegexNode[] }
  | { kind: 'choice'; items: RegexNode[] }
  | { kind: 'repeat'; item: RegexNode; min: number; max: number; lazy: boolean; possessive: boolean }
  | { kind: 'group'; number: number; name: string | undefined; item: RegexNode }
  | { kind: 'atomic'; item: RegexNode }
  | { kind: 'look'; behind: boolean; negative: boolean; item: RegexNode }
  | { kind: 'anchor'; at: 'start' | 'end' | 'boundary' | 'inside' }
  | { kind: 'reference'; number: number };

/** Why a pattern can not be read; the message says what and where. */
export class PatternProblem extends Error {}

const LAST = 0x10ffff;
const DIGIT: [number, number][] = [[48, 57]];
const WORD: [number, number][] = [...DIGIT, [65, 90], [95, 95], [97, 122]];
const SPACE: [number, number][] = [
  [9, 13],
  [28, 32],
];
const CLASSES: Readonly<Record<string, [number, number][]>> = { d: DIGIT, w: WORD, s: SPACE };
const CONTROLS: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };
const ANCHORS = { A: 'start', Z: 'end', z: 'end', b: 'boundary', B: 'inside' } as const;

const without = (ranges: [number, number][]): [number, number][] => {
  const holes: [number, number][] = [];
  let next = 0;
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (from > next) holes.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  return next <= LAST ? [...holes, [next, LAST]] : holes;
};

/** Adds the other case of ASCII letters: all that a module's path holds. */
function bothCases(ranges: [number, number][]): [number, number][] {
  const more: [number, number][] = [];
  for (const [from, to] of ranges) {
    for (const [first, last, shift] of [
      [65, 90, 32],
      [97, 122, -32],
    ] as const) {
      const [low, high] = [Math.max(from, first), Math.min(to, last)];
      if (low <= high) more.push([low + shift, high + shift]);
    }
  }
  return [...ranges, ...more];
}

/** Flags that are in force; those of ASCII, Unicode and lines change nothing on a path. */
interface Flags {
  ignoreCase: boolean;
  verbose: boolean;
}

/** Raised where global flags are met, to read all again under them. */
class GlobalFlags extends Error {
  constructor(readonly flags: Flags) {
    super();
  }
}

class Parser {
  private at = 0;
  private readonly source: string[];
  private readonly names = new Map<string, number>();
  private readonly open = new Set<number>();
  private groups = 0;
  private behind = 0;

  constructor(
    source: string,
    private flags: Flags,
  ) {
    this.source = [...source];
  }

  fail(problem: string, at = this.at): PatternProblem {
    return new PatternProblem(`${problem} at position ${at}`);
  }

  whole(): RegexNode {
    const node = this.choice();
    if (this.at < this.source.length) throw this.fail('an unmatched ")"');
    return node;
  }

  private peek(length = 1): string {
    return this.source.slice(this.at, this.at + length).join('');
  }

  private take(text: string): boolean {
    if (this.peek([...text].length) !== text) return false;
    this.at += [...text].length;
    return true;
  }

  private until(end: string, what: string): string {
    const start = this.at;
    while (this.at < this.source.length && this.peek() !== end) this.at++;
    if (this.at === this.source.length) throw this.fail(`${what} without "${end}"`, start);
    return this.source.slice(start, this.at++).join('');
  }

  private choice(): RegexNode {
    const items = [this.sequence()];
    while (this.take('|')) items.push(this.sequence());
    return items.length === 1 ? (items[0] as RegexNode) : { kind: 'choice', items };
  }

  private sequence(): RegexNode {
    const items: RegexNode[] = [];
    while (this.at < this.source.length && this.peek() !== '|' && this.peek() !== ')') {
      if (this.flags.verbose && /^[ \t\n\r\f\v]$/.test(this.peek())) this.at++;
      else if (this.flags.verbose && this.take('#')) {
        while (this.at < this.source.length && !this.take('\n')) this.at++;
      } else this.piece(items);
    }
    return { kind: 'sequence', items };
  }

  /** One atom, or a quantifier of the atom before it. */
  private piece(items: RegexNode[]): void {
    const start = this.at;
    const times = this.quantifier();
    if (!times) {
      const atom = this.atom();
      if (atom) items.push(atom);
      return;
    }
    const item = items.pop();
    if (!item || item.kind === 'anchor') throw this.fail('nothing to repeat', start);
    if (item.kind === 'repeat') throw this.fail('a repeat of a repeat', start);
    const [min, max] = times;
    if (max < min) throw this.fail(`a repeat of at least ${min} and at most ${max}`, start);
    const lazy = this.take('?');
    items.push({ kind: 'repeat', item, min, max, lazy, possessive: !lazy && this.take('+') });
  }

  /** `*`, `+`, `?`, `{n}`, `{n,}`, `{,n}`, `{n,m}`; another `{` is itself. */
  private quantifier(): [number, number] | undefined {
    if (this.take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.take('?')) return [0, 1];
    const text = this.peek() === '{' ? this.source.slice(this.at, this.at + 32).join('') : '';
    const braces = /^\{(\d*)(,?)(\d*)\}/.exec(text);
    if (!braces || braces[0] === '{}') return undefined;
    this.at += braces[0].length;
    const [, low, comma, high] = braces as unknown as [string, string, string, string];
    const min = low === '' ? 0 : Number(low);
    return [min, comma === '' ? min : high === '' ? Number.POSITIVE_INFINITY : Number(high)];
  }

  private character(code: number): CharacterSet {
    return this.set([[code, code]]);
  }

  private set(ranges: [number, number][], negated = false): CharacterSet {
    return { kind: 'set', ranges: this.flags.ignoreCase ? bothCases(ranges) : ranges, negated };
  }

  private atom(): RegexNode | undefined {
    const c = this.source[this.at++] as string;
    switch (c) {
      case '(':
        return this.group();
      case '[':
        return this.bracket();
      case '.':
        return this.set([[10, 10]], true);
      case '^':
        return { kind: 'anchor', at: 'start' };
      case '$':
        return { kind: 'anchor', at: 'end' };
      case '\\':
        return this.escape();
      default:
        return this.character(c.codePointAt(0) as number);
    }
  }

  /** An escape outside of brackets. */
  private escape(): RegexNode {
    const start = this.at - 1;
    const c = this.source[this.at++];
    if (c === undefined) throw this.fail('a lone backslash', start);
    if (Object.hasOwn(ANCHORS, c)) return { kind: 'anchor', at: ANCHORS[c as keyof typeof ANCHORS] };
    if (c === 'k' && this.take('<')) return this.reference(this.until('>', 'a group name'), start);
    if (/[1-9]/.test(c)) {
      const octal = /^[0-3][0-7][0-7]$/.exec(c + this.peek(2));
      if (octal) {
        this.at += 2;
        return this.character(Number.parseInt(octal[0], 8));
      }
      return this.reference(/\d/.test(this.peek()) ? c + this.source[this.at++] : c, start);
    }
    const { ranges, negated } = this.escaped(c, start);
    return this.set(ranges, negated);
  }

  /** What an escape means in brackets and outside: a class or a character. */
  private escaped(c: string, start: number): { ranges: [number, number][]; negated: boolean } {
    const lower = c.toLowerCase();
    const known = Object.hasOwn(CLASSES, lower) ? CLASSES[lower] : undefined;
    if (known) return { ranges: known, negated: c !== lower };
    const one = (code: number) => ({ ranges: [[code, code]] as [number, number][], negated: false });
    const digits = { x: 2, u: 4, U: 8 }[c];
    if (digits !== undefined) {
      const hex = this.peek(digits);
      if (!new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(hex)) throw this.fail(`an incomplete escape \\${c}`, start);
      this.at += digits;
      return one(Number.parseInt(hex, 16));
    }
    if (c === '0') {
      const octal = /^[0-7]{0,2}/.exec(this.peek(2))?.[0] ?? '';
      this.at += octal.length;
      return one(Number.parseInt(`0${octal}`, 8));
    }
    const control = Object.hasOwn(CONTROLS, c) ? CONTROLS[c] : undefined;
    if (control !== undefined) return one(control);
    if (/[a-zA-Z0-9]/.test(c)) throw this.fail(`an unknown escape \\${c}`, start);
    return one(c.codePointAt(0) as number);
  }

  private bracket(): RegexNode {
    const start = this.at - 1;
    const negated = this.take('^');
    const ranges: [number, number][] = [];
    for (let first = true; first || this.peek() !== ']'; first = false) {
      if (this.at >= this.source.length) throw this.fail('a set without "]"', start);
      const low = this.member();
      if (this.peek() === '-' && this.source[this.at + 1] !== undefined && this.source[this.at + 1] !== ']') {
        this.at++;
        const high = this.member();
        const [[from, one] = [0, 1], [to, other] = [0, 1]] = [low[0], high[0]];
        if (low.length + high.length > 2 || from !== one || to !== other || to < from) {
          throw this.fail('a range that can not be', start);
        }
        ranges.push([from, to]);
      } else ranges.push(...low);
    }
    this.at++;
    return this.set(ranges, negated);
  }

  /** One character or class in brackets. */
  private member(): [number, number][] {
    const start = this.at;
    const c = this.source[this.at++];
    if (c !== '\\') return c === undefined ? [] : [[c.codePointAt(0) as number, c.codePointAt(0) as number]];
    const escaped = this.source[this.at++];
    if (escaped === undefined) throw this.fail('a lone backslash', start);
    const octal = /^[0-7]{1,3}/.exec(escaped + this.peek(2))?.[0];
    if (octal !== undefined) {
      this.at += octal.length - 1;
      return [[Number.parseInt(octal, 8), Number.parseInt(octal, 8)]];
    }
    const { ranges, negated } = this.escaped(escaped, start);
    return negated ? without(ranges) : ranges;
  }

  private reference(which: string, start: number): RegexNode {
    const number = /^\d+$/.test(which) ? Number(which) : this.names.get(which);
    if (number === undefined || number > this.groups) throw this.fail(`a reference to no group "${which}"`, start);
    if (this.open.has(number)) throw this.fail('a reference to a group from within', start);
    if (this.behind > 0) throw this.fail('a reference within a look-behind, which is not supported', start);
    if (this.flags.ignoreCase) throw this.fail('a reference without regard to case, which is not supported', start);
    return { kind: 'reference', number };
  }

  private capture(name: string | undefined): RegexNode {
    const number = ++this.groups;
    if (name !== undefined) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw this.fail(`a bad group name "${name}"`);
      if (this.names.has(name)) throw this.fail(`a second group "${name}"`);
      this.names.set(name, number);
    }
    this.open.add(number);
    const item = this.inner();
    this.open.delete(number);
    return { kind: 'group', number, name, item };
  }

  /** What stands in parentheses, with flags that end there. */
  private inner(flags: Flags = this.flags): RegexNode {
    const [start, outer] = [this.at, this.flags];
    this.flags = flags;
    const item = this.choice();
    this.flags = outer;
    if (!this.take(')')) throw this.fail('a group without ")"', start);
    return item;
  }

  private look(behind: boolean, negative: boolean): RegexNode {
    this.behind += behind ? 1 : 0;
    const item = this.inner();
    this.behind -= behind ? 1 : 0;
    return { kind: 'look', behind, negative, item };
  }

  private group(): RegexNode | undefined {
    const start = this.at - 1;
    if (!this.take('?')) return this.capture(undefined);
    if (this.take('P=')) return this.reference(this.until(')', 'a group name'), start);
    if (this.take('P<')) return this.capture(this.until('>', 'a group name'));
    if (this.take('#')) {
      this.until(')', 'a comment');
      return undefined;
    }
    if (this.take('(')) throw this.fail('a choice by group, (?(…)…), which is not supported', start);
    if (this.take(':')) return this.inner();
    if (this.take('=')) return this.look(false, false);
    if (this.take('!')) return this.look(false, true);
    if (this.take('<=')) return this.look(true, false);
    if (this.take('<!')) return this.look(true, true);
    if (this.take('<')) return this.capture(this.until('>', 'a group name'));
    if (this.take('>')) {
      if (this.behind > 0) throw this.fail('an atomic group within a look-behind, which is not supported', start);
      return { kind: 'atomic', item: this.inner() };
    }
    return this.flagGroup(start);
  }

  /** `(?i)` for the whole pattern, `(?i:…)` and `(?-i:…)` for what stands in it. */
  private flagGroup(start: number): RegexNode | undefined {
    const letters = () => {
      let found = '';
      while (/^[aiLmsux]$/.test(this.peek())) found += this.source[this.at++];
      return found;
    };
    const on = letters();
    const minus = this.take('-');
    const off = minus ? letters() : '';
    if (on.includes('L')) throw this.fail('the flag L, which is for bytes', start);
    const flags = {
      ignoreCase: (this.flags.ignoreCase || on.includes('i')) && !off.includes('i'),
      verbose: (this.flags.verbose || on.includes('x')) && !off.includes('x'),
    };
    if ((minus ? off : on) !== '' && this.take(':')) return this.inner(flags);
    if (on === '' || minus || !this.take(')')) throw this.fail('an unknown group (?', start);
    const changed = flags.ignoreCase !== this.flags.ignoreCase || flags.verbose !== this.flags.verbose;
    if (changed) throw new GlobalFlags(flags);
    return undefined;
  }
}

/**
 * Reads a Python regular expression. Flags such as (?i) hold for the whole pattern wherever they
 * stand, as up to Python 3.10.
 *
 * @throws PatternProblem saying what is wrong, and where.
 */
export function parsePythonRegex(source: string): RegexNode {
  let flags: Flags = { ignoreCase: false, verbose: false };
  for (;;) {
    try {
      return new Parser(source, flags).whole();
    } catch (error) {
      if (!(error instanceof GlobalFlags)) throw error;
      flags = { ignoreCase: flags.ignoreCase || error.flags.ignoreCase, verbose: flags.verbose || error.flags.verbose };
    }
  }
}
