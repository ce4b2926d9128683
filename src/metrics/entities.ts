/**
 * Entities in the tags of a sentence (B-PER I-PER O), and how many of them were found: what seqeval
 * computes. Which labels are tags is in entity_schemes.ts, each entity type by itself in scores.ts.
 */
import { FusedLoraError } from '../base/errors';
import { parseTag } from './entity_schemes';

export { areEntityTags } from './entity_schemes';

/** Words `start` to `end` (not included) that are one entity. */
export interface Entity {
  /** PER of B-PER; `_` of a tag without a type. */
  type: string;
  /** Of the first word. */
  start: number;
  /** After the last word. */
  end: number;
}

/**
 * The entities of a sentence, by the rules of the CoNLL-2000 evaluation: a prediction need not be
 * well formed, and an I that follows no entity of its type begins one. Tags of BILOU and BMES are
 * taken as those of IOBES that they stand for: seqeval's rules for these.
 */
export function findEntities(tags: readonly string[]): Entity[] {
  const entities: Entity[] = [];
  let open: Entity | undefined;
  tags.forEach((name, i) => {
    const tag = parseTag(name);
    if (!tag) {
      open = undefined;
      return;
    }
    const { part, type } = tag;
    if (!open || open.type !== type || part === 'B' || part === 'S') {
      open = { type, start: i, end: i + 1 };
      entities.push(open);
    } else open.end = i + 1;
    if (part === 'E' || part === 'S') open = undefined;
  });
  return entities;
}

/** Scores of whole entities, as seqeval gives them. */
export interface EntityMetrics {
  /** Share of the predicted entities that are right: same type, same words. */
  precision: number;
  /** Share of the entities that were found. */
  recall: number;
  /** Harmonic mean of the two; all are over all types together and 0 where undefined. */
  f1: number;
}

/**
 * @param expected tags of each sentence.
 * @param predicted tags of the same words.
 * @throws FusedLoraError INVALID_SHAPE for sentences of different lengths.
 */
export function entityMetrics(
  expected: readonly (readonly string[])[],
  predicted: readonly (readonly string[])[],
): EntityMetrics {
  let [right, found, there] = [0, 0, 0];
  expected.forEach((tags, i) => {
    const others = predicted[i] ?? [];
    if (others.length !== tags.length) {
      throw new FusedLoraError(
        'INVALID_SHAPE',
        `sentence ${i} has ${tags.length} expected and ${others.length} predicted tags`,
      );
    }
    const key = ({ type, start, end }: Entity) => `${start} ${end} ${type}`;
    const wanted = new Set(findEntities(tags).map(key));
    const got = findEntities(others);
    there += wanted.size;
    found += got.length;
    right += got.filter((entity) => wanted.has(key(entity))).length;
  });
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  return {
    precision: share(right, found),
    recall: share(right, there),
    f1: share(2 * right, found + there),
  };
}
