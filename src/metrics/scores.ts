/**
 * Precision, recall and F1 of each class, label or entity type by itself: what a mean hides.
 * They are part of the error analysis (error_analysis.ts); the means are in metrics.ts.
 */
import { findEntities } from './entities';

/** Scores of one class, label or entity type. */
export interface Score {
  name: string;
  /** Share of what was predicted as this that is right; 0 where nothing was. */
  precision: number;
  /** Share of what is this that was found; 0 where there is none. */
  recall: number;
  /** Harmonic mean of the two. */
  f1: number;
  /** How many there are. */
  support: number;
}

/** @param right predicted and there; `predicted` and `there`: all of each. */
function score(name: string, right: number, predicted: number, there: number): Score {
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  return {
    name,
    precision: share(right, predicted),
    recall: share(right, there),
    f1: share(2 * right, predicted + there),
    support: there,
  };
}

const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0);

/** @param confusion [label][predicted] counts, see `confusionMatrix`. */
export function scoresByClass(confusion: readonly (readonly number[])[], names: readonly string[]): Score[] {
  return confusion.map((row, c) =>
    score(names[c] as string, row[c] as number, sum(confusion.map((other) => other[c] as number)), sum(row)),
  );
}

/** @param targets, predicted [examples][labels] 0 or 1 */
export function scoresByLabel(
  targets: readonly (readonly number[])[],
  predicted: readonly (readonly number[])[],
  names: readonly string[],
): Score[] {
  const count = (rows: readonly (readonly number[])[], c: number) => sum(rows.map((row) => row[c] as number));
  return names.map((name, c) => {
    const right = sum(targets.map((row, i) => (row[c] as number) * (predicted[i]?.[c] as number)));
    return score(name, right, count(predicted, c), count(targets, c));
  });
}

/**
 * Of whole entities (same type, same words), by their type. @param expected, predicted tags of each
 * sentence.
 */
export function scoresByEntityType(
  expected: readonly (readonly string[])[],
  predicted: readonly (readonly string[])[],
): Score[] {
  const counts = new Map<string, { right: number; predicted: number; there: number }>();
  const of = (type: string) => {
    const known = counts.get(type) ?? { right: 0, predicted: 0, there: 0 };
    counts.set(type, known);
    return known;
  };
  expected.forEach((tags, i) => {
    const key = ({ type, start, end }: { type: string; start: number; end: number }) => `${start} ${end} ${type}`;
    const wanted = findEntities(tags);
    const keys = new Set(wanted.map(key));
    for (const { type } of wanted) of(type).there++;
    for (const entity of findEntities(predicted[i] ?? [])) {
      of(entity.type).predicted++;
      if (keys.has(key(entity))) of(entity.type).right++;
    }
  });
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, { right, predicted, there }]) => score(type, right, predicted, there));
}
