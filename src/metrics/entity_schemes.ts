/**
 * The ways in which labels of words mark entities (IOB1, IOB2, IOE, IOBES, BILOU, BMES, BMEWO), and
 * how a set of labels shows which it is. What is then found and counted: entities.ts.
 */

/** Where in an entity a word stands: its begin, inside, end, or a single word that is all of it. */
export type Part = 'B' | 'I' | 'E' | 'S';

const PARTS: Readonly<Record<string, Part>> = { B: 'B', I: 'I', E: 'E', S: 'S', L: 'E', U: 'S', M: 'I', W: 'S' };

/**
 * The prefixes of each scheme, O left out: IOB1, IOB2, IOE and IOBES; BILOU (spaCy, Prodigy); BMES
 * (Chinese data) with M or I; BMEWO.
 */
const SCHEMES = ['BIES', 'BILU', 'BMES', 'BIMES', 'BMEW'].map((prefixes) => new Set(prefixes));

/** Of a tag without a type, as in labels B, I, O: what seqeval calls it. */
export const NO_TYPE = '_';

const TAG = /^([BIESLUMW])(?:-(.+))?$/s;

/** @returns undefined for O, and whatever else is no part of an entity. */
export function parseTag(tag: string): { part: Part; type: string } | undefined {
  const [, prefix, type = NO_TYPE] = TAG.exec(tag) ?? [];
  return prefix === undefined ? undefined : { part: PARTS[prefix] as Part, type };
}

/**
 * Whether labels mark entities: each is O or a prefix with a type, all prefixes are of one scheme,
 * and one is not O. Prefixes that are no more than letters elsewhere (S, M, L are sizes too) need a
 * B beside them; so do labels without a type (B, I, O; B, M, E, S), and an inside or end.
 */
export function areEntityTags(labelNames: readonly string[]): boolean {
  const tags = labelNames.filter((name) => name !== 'O');
  if (tags.length === 0 || !tags.every((name) => TAG.test(name))) return false;
  const prefixes = new Set(tags.map((name) => name[0] as string));
  const has = (letters: string) => [...letters].some((letter) => prefixes.has(letter));
  if (!SCHEMES.some((scheme) => [...prefixes].every((prefix) => scheme.has(prefix)))) return false;
  if (has('LUMW') && !has('B')) return false;
  return tags.every((name) => name.length > 1) || (has('B') && has('IMEL'));
}
