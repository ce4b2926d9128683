/**
 * Which name a mistyped one may have meant, and lists of names short enough for a message.
 * Keys of options are checked with it in options.ts; columns, labels and modules where they are.
 */
import { printableName } from './printable';

/** Longer names were not typed by anybody: comparing takes the product of two lengths. */
const MOST_CHARACTERS = 200;
/** Names that are compared: of a file with a million of them the first ones do. */
const MOST_NAMES = 20_000;

/** Levenshtein distance, given up (as `limit + 1`) once it must exceed `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, substituted));
    }
    previous = row;
  }
  return Math.min(previous[b.length]!, limit + 1);
}

/**
 * Names that a mistyped one may have meant, best first: those that hold its last part, begin it, or
 * differ in at most half of its letters.
 *
 * @param count most names given back.
 */
export function nearNames(wanted: string, names: Iterable<string>, count = 5): string[] {
  if (wanted.length > MOST_CHARACTERS) return [];
  let left = MOST_NAMES;
  const lastPart = wanted.slice(wanted.lastIndexOf('.') + 1).toLowerCase();
  const limit = Math.floor(lastPart.length / 2);
  const mostOfAll = Math.min(8, Math.floor(wanted.length / 2));
  const scored: { name: string; score: number }[] = [];
  for (const name of names) {
    if (!name || name.length > MOST_CHARACTERS) continue;
    if (--left < 0) break;
    const lower = name.toLowerCase();
    const part = lower.slice(lower.lastIndexOf('.') + 1);
    const whole = distance(lower, wanted.toLowerCase(), 8);
    const last = distance(part, lastPart, limit);
    const held = lastPart.length > 2 && (lower.includes(lastPart) || lastPart.startsWith(part));
    const score = Math.min(last, held ? 1 : limit + 1) + whole / 100;
    if (held || last <= limit || whole <= mostOfAll) scored.push({ name, score });
  }
  scored.sort((a, b) => a.score - b.score);
  return scored.slice(0, count).map(({ name }) => name);
}

/** Up to `most` names in one line, with the number of those left out. */
export function listNames(names: readonly string[], most = 8): string {
  const shown = names
    .slice(0, most)
    .map((name) => printableName(name, MOST_CHARACTERS))
    .join(', ');
  return names.length > most ? `${shown}, … (${names.length} in all)` : shown;
}
