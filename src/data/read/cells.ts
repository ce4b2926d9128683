/**
 * Values of data files as texts, words and labels, or an error that names the row. Which column
 * they stand in is found in columns.ts; labels become ids in src/data/examples/labels.ts.
 */
import { shown } from '../../base/shown';
import { truthValues } from '../examples/label_lists';
import { invalidData } from './bytes';

export type Label = string | number | readonly (string | number)[];

/** @param what for the error: `field "text"`, `column 3`. */
export function textOf(value: unknown, what: string, place: string): string {
  if (typeof value === 'string') return value;
  throw invalidData(place, `${what} is ${shown(value)}; it must be a string`);
}

/**
 * @param classNames of a column whose values are class ids: a label is its name then, and -1 is
 * none.
 */
export function labelOf(
  value: unknown,
  what: string,
  place: string,
  classNames?: readonly string[],
): Label | undefined {
  if (classNames)
    return Array.isArray(value)
      ? value.map((id) => className(id, what, place, classNames))
      : value === -1
        ? undefined
        : className(value, what, place, classNames);
  if (typeof value === 'string' || typeof value === 'number') return value;
  // A class is called as it is written.
  if (typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) {
    if (value.some((x) => typeof x === 'boolean')) return truthValues(value, place);
    if (value.every((x) => typeof x === 'number' || typeof x === 'string')) return value;
  }
  throw invalidData(place, `${what} is ${shown(value)}; a label is a string, a number or a list of them`);
}

function className(id: unknown, what: string, place: string, classNames: readonly string[]): string {
  const name = typeof id === 'number' ? classNames[id] : undefined;
  if (name !== undefined) return name;
  throw invalidData(place, `${what} is ${shown(id)}; the file names the classes 0 to ${classNames.length - 1}`);
}

/**
 * A whole number that its file has as one with a fraction, as it is written there: 1.0 says that
 * labels are measured, not told apart.
 */
export function floatLabel(value: unknown): unknown {
  return typeof value === 'number' && /^-?\d+$/.test(String(value)) ? `${value}.0` : value;
}

/** The words of a sentence. */
export function wordsOf(value: unknown, what: string, place: string): string[] {
  const words = listOf(value, what, place);
  const wrong = words.findIndex((word) => typeof word !== 'string');
  if (wrong < 0) return words as string[];
  throw invalidData(place, `${what} has ${shown(words[wrong])} at ${wrong}; words are strings`);
}

/** The labels of a sentence's words. */
export function wordLabelsOf(
  value: unknown,
  what: string,
  place: string,
  classNames?: readonly string[],
): (string | number)[] {
  const labels = listOf(value, what, place);
  // -100 marks a word that counts for nothing, whatever the classes are called.
  if (classNames) return labels.map((id) => (id === -100 ? id : className(id, what, place, classNames)));
  const wrong = labels.findIndex((label) => typeof label !== 'string' && typeof label !== 'number');
  if (wrong < 0) return labels as (string | number)[];
  throw invalidData(place, `${what} has ${shown(labels[wrong])} at ${wrong}; labels are names or class ids`);
}

function listOf(value: unknown, what: string, place: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw invalidData(place, `${what} is ${shown(value)}; it must be a list with one entry a word`);
}
