/**
 * Cutting a text at matches: what becomes of the delimiters is one of five behaviours of Python's
 * tokenizers. The pre-tokenizers that use it are in pre_tokenizers.ts.
 */
import type { Pattern } from './pattern';

/** [start, end) of a part of a text, and whether it is a delimiter. */
export type Part = [start: number, end: number, delimiter: boolean];

export const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type Behavior = (typeof BEHAVIORS)[number];

/** All of a text, cut at a pattern's matches. */
export function partsOf(text: string, pattern: Pattern): Part[] {
  const parts: Part[] = [];
  let last = 0;
  for (const [start, end] of pattern.find(text)) {
    if (start > last) parts.push([last, start, false]);
    parts.push([start, end, true]);
    last = end;
  }
  if (last < text.length) parts.push([last, text.length, false]);
  return parts;
}

/**
 * Single characters of a class as delimiters. `inside` is the inside of a class of the flag `v`.
 */
export function characters(inside: string): Pattern {
  const regex = new RegExp(`[${inside}]`, 'gv');
  return { find: (text) => Array.from(text.matchAll(regex), ({ index, 0: { length } }) => [index, index + length]) };
}

/** [start, end) of the pieces that are left; empty ones too. */
export function cut(parts: Part[], behavior: Behavior): [number, number][] {
  switch (behavior) {
    case 'Removed':
      return parts.filter(([, , delimiter]) => !delimiter).map(([start, end]) => [start, end]);
    case 'Isolated':
      return parts.map(([start, end]) => [start, end]);
    case 'Contiguous':
      return joined(parts, (delimiter, previous) => delimiter === previous);
    case 'MergedWithPrevious':
      return joined(parts, (delimiter, previous) => delimiter && !previous);
    case 'MergedWithNext': {
      const backwards = parts.toReversed().map(([start, end, delimiter]): Part => [-end, -start, delimiter]);
      const pieces = joined(backwards, (delimiter, previous) => delimiter && !previous);
      return pieces.toReversed().map(([start, end]) => [-end, -start]);
    }
  }
}

/**
 * Pieces of parts, each joined to the one before where `join` says so of both. The first follows
 * no delimiter.
 */
function joined(parts: Part[], join: (delimiter: boolean, previous: boolean) => boolean): [number, number][] {
  const pieces: [number, number][] = [];
  let previous = false;
  for (const [start, end, delimiter] of parts) {
    const last = pieces.at(-1);
    if (last && join(delimiter, previous)) last[1] = end;
    else pieces.push([start, end]);
    previous = delimiter;
  }
  return pieces;
}
