/**
 * The one place that matches names by patterns: what PEFT's fields, the article's patterns, presets
 * and our own options hold, in Python's syntax. Its grammar is in python_regex.ts; what each field
 * asks of a pattern, in lora/match.ts and where it is used.
 */
import { RE2JS } from 're2js';
import { type ErrorCode, FusedLoraError } from './errors';
import { type CharacterSet, PatternProblem, parsePythonRegex, type RegexNode } from './python_regex';
import { shown } from './shown';
import { patternTime, TimeIsUp, withinTime } from './time_limit';

/** Where a pattern must match: re.search, re.match or re.fullmatch. */
export type PatternMode = 'search' | 'match' | 'fullmatch';

/** A pattern that was read. Texts are module paths and parameter names: ASCII, one line. */
export interface Pattern {
  /** Whether a text matches. */
  test(text: string): boolean;
  /** The named groups of a match that took part in it; undefined without a match. */
  groups(text: string): Record<string, string> | undefined;
}

/** Of {@link compilePattern}. */
export interface PatternOptions {
  /** Default: search. */
  mode?: PatternMode | undefined;
  /** Of the error. Default: INVALID_ARGUMENT. */
  code?: ErrorCode | undefined;
  /** Milliseconds for a text of so many characters. Default: {@link patternTime}. */
  time?: ((characters: number) => number) | undefined;
}

const hex = (code: number) => (code < 0x80 ? `\\x${code.toString(16).padStart(2, '0')}` : String.fromCodePoint(code));

function emitSet({ ranges, negated }: CharacterSet): string {
  const [first] = ranges;
  if (!negated && first && ranges.length === 1 && first[0] === first[1]) return hex(first[0]);
  const body = ranges.map(([from, to]) => (from === to ? hex(from) : `${hex(from)}-${hex(to)}`)).join('');
  return `[${negated ? '^' : ''}${body}]`;
}

/**
 * Writes a tree in the syntax that JavaScript and RE2 share; look-around, atoms and references are
 * JavaScript's alone.
 */
class Emitter {
  private atoms = 0;
  private readonly referenced = new Set<number>();
  /** Whether RE2 can not have it. */
  beyondRe2 = false;

  constructor(root: RegexNode) {
    this.check(root, new Set());
  }

  /**
   * Groups that have surely matched where a reference to them is read: where one may not have,
   * Python fails and JavaScript matches nothing.
   * @returns groups that have matched behind the node.
   */
  private check(node: RegexNode, before: ReadonlySet<number>): ReadonlySet<number> {
    switch (node.kind) {
      case 'sequence':
        return node.items.reduce((set, item) => this.check(item, set), before);
      case 'choice': {
        const [first = before, ...rest] = node.items.map((item) => this.check(item, before));
        return new Set([...first].filter((group) => rest.every((set) => set.has(group))));
      }
      case 'repeat': {
        const after = this.check(node.item, before);
        return node.min > 0 ? after : before;
      }
      case 'group':
        return new Set([...this.check(node.item, before), node.number]);
      case 'atomic':
        return this.check(node.item, before);
      case 'look': {
        const after = this.check(node.item, before);
        return node.negative ? before : after;
      }
      case 'reference':
        if (!before.has(node.number)) {
          throw new PatternProblem(
            `a reference to group ${node.number}, which may not have matched there: that is not supported`,
          );
        }
        this.referenced.add(node.number);
        return before;
      default:
        return before;
    }
  }

  emit(node: RegexNode): string {
    switch (node.kind) {
      case 'set':
        return emitSet(node);
      case 'sequence':
        return node.items.map((item) => this.emit(item)).join('');
      case 'choice':
        return `(?:${node.items.map((item) => this.emit(item)).join('|')})`;
      case 'repeat': {
        const max = node.max === Number.POSITIVE_INFINITY ? '' : node.max;
        const text = `(?:${this.emit(node.item)}){${node.min},${max}}${node.lazy ? '?' : ''}`;
        return node.possessive ? this.atom(text) : text;
      }
      case 'group': {
        const item = this.emit(node.item);
        if (this.referenced.has(node.number)) return `(?<g${node.number}>${item})`;
        return node.name === undefined ? `(?:${item})` : `(?<n_${node.name}>${item})`;
      }
      case 'atomic':
        return this.atom(this.emit(node.item));
      case 'look':
        this.beyondRe2 = true;
        return `(?${node.behind ? '<' : ''}${node.negative ? '!' : '='}${this.emit(node.item)})`;
      case 'anchor':
        return { start: '^', end: '$', boundary: '\\b', inside: '\\B' }[node.at];
      case 'reference':
        this.beyondRe2 = true;
        return `\\k<g${node.number}>`;
    }
  }

  /** What is matched once and never given back: a look-ahead takes it, a reference repeats it. */
  private atom(text: string): string {
    this.beyondRe2 = true;
    const name = `a${this.atoms++}`;
    return `(?:(?=(?<${name}>${text}))\\k<${name}>)`;
  }
}

const known = new Map<string, Pattern>();
const GROUP = 'n_';

/**
 * The engine of a pattern: RE2's, linear in the text, wherever it takes it, else the backtracking
 * one of JavaScript, within a time.
 */
function engineOf(text: string, linear: boolean, time: (characters: number) => number): Pattern {
  if (linear) {
    try {
      const regex = RE2JS.compile(text);
      return {
        test: (path) => regex.matcher(path).find(),
        groups: (path) => {
          const matcher = regex.matcher(path);
          if (!matcher.find()) return undefined;
          const names = Object.keys(regex.namedGroups());
          return named(names.map((name) => [name, matcher.group(name)]));
        },
      };
    } catch {
      // A repeat beyond its limit of 1000, say.
    }
  }
  const regex = new RegExp(text, 'u');
  // It may try more ways than there is time for.
  const within = <T>(path: string, work: () => T): T => (batch ? work() : withinTime(work, time(path.length)));
  return {
    test: (path) => within(path, () => regex.test(path)),
    groups: (path) => {
      const match = within(path, () => regex.exec(path));
      return match ? named(Object.entries(match.groups ?? {})) : undefined;
    },
  };
}

function named(groups: [string, string | null | undefined][]): Record<string, string> {
  return Object.fromEntries(
    groups.flatMap(([name, value]) => (name.startsWith(GROUP) && value != null ? [[name.slice(2), value]] : [])),
  );
}

/** Characters of a pattern, and groups in groups: more than any adapter has. */
const MOST_CHARACTERS = 20_000;
const MOST_DEPTH = 100;

/** At least as deep as its groups are; brackets in classes may count too. */
function depthOf(source: string): number {
  let [depth, most] = [0, 0];
  for (let i = 0; i < source.length; i++) {
    if (source[i] === '\\') i++;
    else if (source[i] === '(') most = Math.max(most, ++depth);
    else if (source[i] === ')') depth--;
  }
  return most;
}

/** Milliseconds for all patterns of an adapter with all modules: see {@link matchMany}. */
const MANY_MILLISECONDS = 2000;
/** While many patterns have one limit together: which one is at work, as an error. */
let batch: Batch | undefined;

interface Batch {
  slow?: (cause: TimeIsUp) => FusedLoraError;
}

/**
 * Does what asks many patterns about many names, within one time for all of it: a limit for each
 * call would take longer than the matches themselves, and thousands of them be no limit.
 *
 * @throws FusedLoraError of the pattern that was at work when the time was up; what `work` throws.
 */
export function matchMany<T>(work: () => T, milliseconds = MANY_MILLISECONDS): T {
  if (batch) return work();
  const own: Batch = {};
  batch = own;
  try {
    return withinTime(work, milliseconds);
  } catch (cause) {
    if (!(cause instanceof TimeIsUp)) throw cause;
    const problem = `finding the modules of an adapter ${cause.message}. Is the machine busy? Try again.`;
    throw own.slow?.(cause) ?? new FusedLoraError('INVALID_LORA', problem, { cause });
  } finally {
    batch = undefined;
  }
}

/** With an error that names the pattern where one takes too long. */
function guarded(pattern: Pattern, source: string, where: string, code: ErrorCode): Pattern {
  const slow = (text: string) => (cause: TimeIsUp) =>
    new FusedLoraError(
      code,
      `${where} holds ${JSON.stringify(source)}, which ${cause.message} for the name ${shown(text)}: it can match in too many ways, or stands among too many others. ` +
        'Write it more simply, or list the names.',
      { cause },
    );
  const within = <T>(text: string, work: (text: string) => T): T => {
    if (batch) {
      batch.slow = slow(text);
      return work(text);
    }
    try {
      return work(text);
    } catch (cause) {
      throw cause instanceof TimeIsUp ? slow(text)(cause) : cause;
    }
  };
  return { test: (text) => within(text, pattern.test), groups: (text) => within(text, pattern.groups) };
}

/**
 * Reads a pattern in Python's syntax.
 *
 * @param where what holds it, for errors: `adapter_config.json: field "target_modules"`.
 * @throws FusedLoraError of `code`, naming `where`, the pattern and what is wrong or not supported
 * in it.
 */
export function compilePattern(source: string, where: string, options: PatternOptions = {}): Pattern {
  const { mode = 'search', code = 'INVALID_ARGUMENT', time = patternTime } = options;
  const key = `${mode}:${source}`;
  const found = known.get(key);
  if (found) return guarded(found, source, where, code);
  try {
    if (source.length > MOST_CHARACTERS) throw new PatternProblem(`it has more than ${MOST_CHARACTERS} characters`);
    if (depthOf(source) > MOST_DEPTH) throw new PatternProblem(`it has more than ${MOST_DEPTH} groups in groups`);
    const tree = parsePythonRegex(source);
    const emitter = new Emitter(tree);
    const body = emitter.emit(tree);
    const text = { search: body, match: `^(?:${body})`, fullmatch: `^(?:${body})$` }[mode];
    const pattern = engineOf(text, !emitter.beyondRe2, time);
    if (known.size > 1000) known.clear();
    if (options.time === undefined) known.set(key, pattern);
    return guarded(pattern, source, where, code);
  } catch (cause) {
    const problem = cause instanceof PatternProblem || cause instanceof SyntaxError ? cause.message : String(cause);
    throw new FusedLoraError(
      code,
      `${where} holds ${JSON.stringify(source)}, which is no regular expression that can be used: ${problem}. ` +
        "It is read as Python's re reads it.",
      { cause },
    );
  }
}
