/**
 * The names of classes as data write them: their order, and two spellings of one name. How labels
 * are found in examples, and their ids: labels.ts.
 */
import { FusedLoraError } from '../../base/errors';

/**
 * Whether a word's label says that the word counts for nothing, as in data sets prepared for
 * PyTorch: -100.
 */
export function isIgnoredLabel(label: unknown): boolean {
  return label === -100 || label === '-100';
}

/** Where a name was first met, and how often. */
export interface NameUse {
  place: string;
  count: number;
}

const NUMBER = /^[+-]?\d+(\.\d+)?$/;

/**
 * A number in the one form that numbers are printed in: "00" and "1.0" are names that look like
 * numbers.
 */
const isPlainNumber = (name: string) => NUMBER.test(name) && String(Number(name)) === name;

/** By size where all are plain numbers, else by code point. */
export function inOrder(names: Iterable<string>): string[] {
  const list = [...names];
  if (list.every(isPlainNumber)) return list.sort((a, b) => Number(a) - Number(b));
  return list.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Without characters that have no width, and with one form of letters and dashes. */
const seen = (name: string) =>
  name
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .replace(/[\p{Pd}\u2212]/gu, '-');
const blanks = (name: string) => name.trim().replace(/\s+/g, ' ');

/**
 * What two names have in common that differ in case, blanks, a number's zeros or Unicode's form of
 * a letter alone.
 */
function spelling(name: string): string {
  const plain = blanks(seen(name)).toLowerCase();
  if (!NUMBER.test(plain)) return plain;
  const [, sign, whole, fraction = ''] = /^([+-]?)0*(\d+?)(?:\.(\d*?)0*)?$/.exec(plain) as RegExpExecArray;
  return `${sign === '-' ? '-' : ''}${whole}${fraction && `.${fraction}`}`;
}

function difference(a: string, b: string): string {
  if (blanks(a) === blanks(b)) return 'blanks';
  if (a.replace(/\p{Cf}/gu, '') === b.replace(/\p{Cf}/gu, '')) return 'characters that are not seen';
  if (seen(a) === seen(b)) return 'how Unicode writes a letter';
  if (a.toLowerCase() === b.toLowerCase()) return 'upper and lower case';
  return NUMBER.test(a.trim()) ? 'how a number is written' : 'case and blanks';
}

/**
 * Another name of the list that is the same but for its spelling.
 *
 * @returns it, and what they differ in.
 */
export function otherSpelling(name: string, names: Iterable<string>): { name: string; difference: string } | undefined {
  const wanted = spelling(name);
  for (const other of names)
    if (other !== name && spelling(other) === wanted) return { name: other, difference: difference(name, other) };
  return undefined;
}

/**
 * @throws FusedLoraError INVALID_DATA naming two names that are one but for case, blanks or zeros,
 * with the rows that have them.
 */
export function refuseTwoSpellings(names: ReadonlyMap<string, NameUse>): void {
  const seen = new Map<string, string>();
  for (const name of names.keys()) {
    const before = seen.get(spelling(name));
    seen.set(spelling(name), name);
    if (before === undefined) continue;
    const rows = (one: string) => {
      const { place, count } = names.get(one) as NameUse;
      return `${JSON.stringify(one)} (${place}${count > 1 ? ` and ${count - 1} more` : ''})`;
    };
    throw new FusedLoraError(
      'INVALID_DATA',
      `the labels ${rows(before)} and ${rows(name)} differ in ${difference(before, name)} alone. Write one of them everywhere; ` +
        'where they are two classes, give all names with labelNames (--labels).',
    );
  }
}

/**
 * @throws FusedLoraError INVALID_DATA where all names are numbers and some have a fraction: those
 * are measured, not told apart.
 */
export function refuseFractions(names: readonly string[]): void {
  const commas = names.filter((name) => /^[+-]?\d+,\d+$/.test(name));
  if (commas.length > 0 && names.every((name) => NUMBER.test(name) || commas.includes(name))) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `the labels are numbers with a decimal comma (${commas.slice(0, 3).join(' and ')}). To learn numbers write a point in its place; ` +
        'where each is a list take the task multi-label-classification (--task), where it is the name of a class give all names with labelNames (--labels).',
    );
  }
  const fractions = names.filter((name) => NUMBER.test(name) && !Number.isInteger(Number(name)));
  if (fractions.length === 0 || !names.every((name) => NUMBER.test(name))) return;
  throw new FusedLoraError(
    'INVALID_DATA',
    `the labels are numbers with fractions (${fractions.slice(0, 3).join(', ')}). To learn numbers take the task regression (--task regression); ` +
      'where each is the name of a class, give all names with labelNames (--labels).',
  );
}
