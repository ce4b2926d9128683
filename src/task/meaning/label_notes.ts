/**
 * What is right in the labels of data and may still surprise, as lines for people: ids, absent
 * classes, several labels in one name. What is wrong in them is an error in decide_labels.ts.
 */
import { listNames } from '../../base/near';
import type { Task } from '../../base/tasks';
import { areEntityTags } from '../../metrics/entities';
import type { LabelFacts, Statement } from './types';

/** What the data call their labels, for notes and errors. */
export const DATA = 'the data';

export const isWhole = (name: string) => /^(?:0|[1-9]\d*)$/.test(name);

/** Whether labels of the data are ids of classes that have other names. */
export const areIds = (names: readonly string[], found: Iterable<string>) =>
  !names.some(isWhole) && [...found].every((label) => isWhole(label) && Number(label) < names.length);

/** Names that are other names with a sign between. */
function noteOnSeveral(names: readonly string[]): string[] {
  const known = new Set(names);
  const made = names.find((name) => {
    const parts = name.split(/[,;|/+]/).map((part) => part.trim());
    return parts.length > 1 && parts.every((part) => known.has(part));
  });
  if (made === undefined) return [];
  return [
    `the label ${JSON.stringify(made)} is made of other labels, and is a class of its own; several labels of a text are a list, or have commas between ` +
      '(--task multi-label-classification)',
  ];
}

/** What tables write where there is no value. */
function noteOnMissing({ uses }: LabelFacts): string[] {
  const found = [...uses].filter(([name]) => /^(?:nan|<na>|null|#?n\/a)$/i.test(name));
  return found.map(
    ([name, { place, count }]) =>
      `the label "${name}" (${place}${count > 1 ? ` and ${count - 1} more` : ''}) is taken for a class; where it stands for no label, leave those rows out`,
  );
}

/** Tags of entities that are none for a tag that does not fit. */
function noteOnTags(names: readonly string[], task: Task): string[] {
  if (task !== 'token-classification' || areEntityTags(names)) return [];
  const tag = names.find((name) => /^[BI]-./i.test(name));
  if (tag === undefined) return [];
  const other = names.find((name) => name !== 'O' && !/^[BIESLUMW]-./.test(name));
  const why = other === undefined ? 'their prefixes are of no one scheme' : `${JSON.stringify(other)} is no such tag`;
  return [`labels such as ${tag} mark entities, but ${why}: scores are of single words (O, B-TYPE and I-TYPE are)`];
}

/** What is right and may still surprise. */
export function notesOn({ value: names, place }: Statement<readonly string[]>, data: LabelFacts, task: Task): string[] {
  const notes: string[] = [...noteOnSeveral(names), ...noteOnMissing(data), ...noteOnTags(names, task)];
  const found = [...data.uses.keys()];
  if (!data.multiHot && found.length > 0 && !found.some((name) => names.includes(name)) && areIds(names, found)) {
    notes.push(`labels ${listNames(found)} of the data are ids of ${listNames([...names])} (${place})`);
    return notes;
  }
  if (data.multiHot || found.length === 0) return notes;
  const rows = [...data.uses.values()].reduce((sum, { count }) => sum + count, 0);
  if (place === DATA && rows >= 10 && names.length > rows / 2) {
    notes.push(
      `${names.length} classes in ${rows} rows: was another column meant (--label-column, labelColumn), or numbers to learn (--task regression)?`,
    );
  }
  const absent = names.filter((name) => !data.uses.has(name));
  if (absent.length > 0) notes.push(`no row of the training data has the label ${listNames(absent)}`);
  if (data.devUses && data.devUses.size > 0) {
    const inDev = [...data.devUses.keys()].filter((name) => !names.includes(name));
    if (inDev.length > 0 && areIds(names, inDev)) {
      notes.push(`labels ${listNames(inDev)} of dev are ids of ${listNames([...names])} (${place})`);
      return notes;
    }
    const unseen = names.filter((name) => !data.devUses?.has(name) && data.uses.has(name));
    if (unseen.length > 0) notes.push(`no row of dev has the label ${listNames(unseen)}`);
  }
  return notes;
}
