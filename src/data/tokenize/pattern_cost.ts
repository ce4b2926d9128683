/**
 * Which patterns of tokenizer.json take no more time than a text is long, so that they may run
 * without a limit (pattern.ts). Most patterns of tokenizers are single characters or runs of a
 * class; those that are more, and that models of the hub have, are known here by their text.
 */

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = ' ?[^\\s\\p{L}\\p{N}]+';
const BLANKS = '\\s+(?!\\S)|\\s+';

/**
 * Patterns whose runs of blanks are looked at more than once, though a fixed number of times: what
 * one alternative gives up, the next one takes.
 */
const KNOWN: ReadonlySet<string> = new Set([
  // GPT-2, RoBERTa, ModernBERT.
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|${REST}|${BLANKS}`,
  // GPT-4 (cl100k), Llama 3, and Qwen 2 with digits one by one.
  ...['\\p{N}{1,3}', '\\p{N}'].map(
    (digits) => `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${REST}[\\r\\n]*|\\s*[\\r\\n]+|${BLANKS}`,
  ),
]);

/** One character or class. */
const ATOM =
  /\\[pP]\{[^{}]*\}|\\[wWdDsShH]|\\[^A-Za-z0-9]|\[(?:\\[pP]\{[^{}]*\}|\\.|[^\\[\]])+\]|[^\\()[\]{}*+?|^$]/suy;
const RANGE = /\{(\d)(?:,(\d))?\}/y;
/** Longer patterns are not read. */
const MOST_CHARACTERS = 1000;
/** Ways in which the fixed part of an alternative may match. */
const MOST_WAYS = 100;

/** Whether no attempt fails after a run of any length: all but a last run have a fixed length. */
function isAlternativeLinear(source: string, from: number): number | undefined {
  let at = from;
  let ways = 1;
  const take = (regex: RegExp) => {
    regex.lastIndex = at;
    const match = regex.exec(source);
    if (match) at += match[0].length;
    return match;
  };
  while (at < source.length && source[at] !== '|') {
    if (!take(ATOM)) return undefined;
    const next = source[at];
    if (next === '*' || next === '+') {
      at++;
      // More may follow, if it is runs that match nothing too: they do not fail.
      while (at < source.length && source[at] !== '|') {
        if (!take(ATOM) || source[at] !== '*') return undefined;
        at++;
      }
      break;
    }
    if (next === '?') {
      at++;
      ways *= 2;
    } else if (next === '{') {
      const range = take(RANGE);
      if (!range) return undefined;
      ways *= Math.max(1, Number(range[2] ?? range[1]) - Number(range[1]) + 1);
    }
    if (ways > MOST_WAYS) return undefined;
    // A quantifier of a quantifier.
    if ('*+?{'.includes(source[at] ?? '|') && (next === '?' || next === '{')) return undefined;
  }
  return at;
}

/** Whether a pattern takes at most so many steps as a text has characters, up to a fixed factor. */
export function isLinear(source: string): boolean {
  if (KNOWN.has(source)) return true;
  if (source.length > MOST_CHARACTERS) return false;
  for (let at = 0; ; at++) {
    const end = isAlternativeLinear(source, at);
    if (end === undefined) return false;
    if (end >= source.length) return true;
    at = end;
  }
}
