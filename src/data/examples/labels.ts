/**
 * From labels as data have them to class ids and targets. What a model's labels are called is
 * decided in src/task/meaning; labels in the cells of a file are read in src/data/read/cells.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames, nearNames } from '../../base/near';
import { shown } from '../../base/shown';
import type { Task, TaskSettings } from '../../base/tasks';
import { type Example, isTokenExample, type TextExample } from './example';
import { type ListForm, ListForms, labelList } from './label_lists';
import {
  inOrder,
  isIgnoredLabel,
  type NameUse,
  otherSpelling,
  refuseFractions,
  refuseTwoSpellings,
} from './label_names';

/** What a loss takes for a text. */
export interface TextTarget {
  /** Class index of the text. */
  label?: number;
  /** [numOutputs] numbers to come near, or a 0 or 1 for each label. */
  targets?: readonly number[];
}

export type LabelEncoder = (example: TextExample, place: string) => TextTarget;

const isWhole = (text: string) => /^\d+$/.test(text);

/** The labels of a text that may have several. */
function labelSet(label: TextExample['label'], place: string): readonly (string | number)[] {
  const list = labelList(label, place);
  if (list === undefined) throw noLabel(place);
  return list;
}

/** All labels of a data set with the place of each: one a text, several a text, one a word. */
function* labelsOf(
  examples: readonly Example[],
  task: Task,
  first: number,
): Generator<[label: unknown, place: string]> {
  for (const [i, example] of examples.entries()) {
    const place = example.place ?? `example ${first + i}`;
    if (!isTokenExample(example)) {
      if (task !== 'multi-label-classification') yield [example.label, place];
      else for (const label of new Set(labelSet(example.label, place))) yield [label, place];
    } else if (example.labels) {
      for (const label of example.labels) if (!isIgnoredLabel(label)) yield [label, place];
    } else yield [undefined, place];
  }
}

/** Distinct labels of examples that come one group after the other. */
export class LabelCollector {
  /** Each name with its first row and how many rows (or words) have it. */
  readonly uses = new Map<string, NameUse>();
  /** Of lists of labels: how many rows have a 1 at each place. */
  readonly hot: number[] = [];
  private readonly forms = new ListForms();
  private count = 0;

  constructor(private readonly task: Task) {}

  /**
   * Whether lists of labels are of 0 and 1, one for each label.
   *
   * @param numLabels where it is known.
   * @throws FusedLoraError INVALID_DATA as `ListForms.done`.
   */
  isMultiHot(numLabels?: number): boolean {
    if (this.task !== 'multi-label-classification' || this.uses.size === 0) return false;
    return this.forms.done(numLabels).form === 'multi-hot';
  }

  /** @throws FusedLoraError INVALID_DATA for a row without a label, or with one that is none. */
  add(examples: readonly Example[]): void {
    if (this.task === 'multi-label-classification') {
      for (const [i, example] of examples.entries()) {
        const place = example.place ?? `example ${this.count + i}`;
        if (isTokenExample(example)) continue;
        const list = labelSet(example.label, place);
        this.forms.add(list, place);
        for (const [at, item] of list.entries()) this.hot[at] = (this.hot[at] ?? 0) + (Number(item) === 1 ? 1 : 0);
      }
    }
    for (const [label, place] of labelsOf(examples, this.task, this.count)) {
      const name = nameOf(label, place);
      const use = this.uses.get(name);
      if (use) use.count++;
      else this.uses.set(name, { place, count: 1 });
    }
    this.count += examples.length;
  }

  /**
   * The labels as they are written, those that are numbers by size, others by code point. Of
   * multi-hot lists they are called 0, 1, 2 and so on.
   *
   * @throws FusedLoraError INVALID_DATA for fewer than two classes (multi-label: none), for two
   * spellings of one name, and for numbers with fractions.
   */
  done(): string[] {
    const severals = this.task === 'multi-label-classification';
    if (severals && this.uses.size > 0) {
      const { form, length } = this.forms.done();
      if (form === 'multi-hot') return Array.from({ length }, (_, i) => String(i));
    }
    const names = inOrder(this.uses.keys());
    if (names.length < (severals ? 1 : 2)) {
      throw new FusedLoraError(
        'INVALID_DATA',
        `the data has ${names.length === 1 ? `the one label "${names[0]}"` : 'no labels'}; a classifier needs at least ${severals ? 'one' : 'two'}. ` +
          'Was another column meant?',
      );
    }
    refuseFractions(names);
    refuseTwoSpellings(this.uses);
    return names;
  }
}

/** @throws FusedLoraError INVALID_DATA for what is no label. */
function nameOf(label: unknown, place: string): string {
  if (Array.isArray(label)) throw severalLabels(place);
  if (isIgnoredLabel(label)) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `${place}: the label is ${label}, which marks what is left out of training; leave the row out`,
    );
  }
  if (typeof label === 'number' && Number.isInteger(label) && !Number.isSafeInteger(label)) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `${place}: the label ${label} is a number of more digits than are kept; write it as a string`,
    );
  }
  if ((typeof label === 'string' && label !== '') || typeof label === 'number') return String(label);
  if (label === '' || label === undefined || label === null) throw noLabel(place);
  throw new FusedLoraError(
    'INVALID_DATA',
    `${place}: the label is ${typeof label === 'bigint' ? `${label}n` : shown(label)}; a label is a name (a string) or a number`,
  );
}

function noLabel(place: string): FusedLoraError {
  return new FusedLoraError('INVALID_DATA', `${place}: has no label; give every row one`);
}

function severalLabels(place: string): FusedLoraError {
  return new FusedLoraError(
    'INVALID_DATA',
    `${place}: has a list of labels where one is needed. Give one, or take the task multi-label-classification.`,
  );
}

/**
 * What turns a label into a class id: a label is one of the names or, where no name is a number, a
 * class id.
 *
 * @throws (by the function) FusedLoraError INVALID_DATA naming the place, the label and the names.
 */
export function classIds(labelNames: readonly string[]): (label: unknown, place: string) => number {
  const idOf = new Map(labelNames.map((name, id) => [name, id]));
  if (!labelNames.some(isWhole)) for (const id of labelNames.keys()) idOf.set(String(id), id);
  return (label, place) => {
    const id = typeof label === 'string' || typeof label === 'number' ? idOf.get(String(label)) : undefined;
    if (id !== undefined) return id;
    const name = nameOf(label, place);
    const other = otherSpelling(name, labelNames);
    const [near] = other ? [] : nearNames(name, labelNames, 1);
    const hint = other
      ? `; "${other.name}" differs from it in ${other.difference} alone.`
      : near
        ? `; was "${near}" meant?`
        : '.';
    throw new FusedLoraError(
      'INVALID_DATA',
      `${place}: unknown label ${JSON.stringify(name)}${hint} The labels are ${listNames(labelNames)}. ` +
        'Correct the row or, to train with it, give all names with labelNames (--labels).',
    );
  };
}

/**
 * Labels of data that are no names of a model's classes but their ids, as a line for people;
 * undefined where there are none. Lists of labels are left out.
 */
export function noteOnIds(labelNames: readonly string[], examples: readonly Example[]): string | undefined {
  const ids = new Set<string>();
  for (const example of examples) {
    const labels = isTokenExample(example) ? (example.labels ?? []) : [example.label];
    for (const label of labels) {
      const name = String(label);
      if ((typeof label === 'string' || typeof label === 'number') && isWhole(name) && !labelNames.includes(name)) {
        ids.add(name);
      }
    }
  }
  if (ids.size === 0) return undefined;
  const found = [...ids].sort((a, b) => Number(a) - Number(b));
  const meant = found.map((id) => `${id} ${labelNames[Number(id)]}`);
  return `labels of the data are numbers and are taken as ids of the model's labels: ${listNames(meant)}`;
}

/**
 * How the lists of labels of a data set are to be read, for {@link labelEncoder}.
 *
 * @throws FusedLoraError INVALID_DATA as `ListForms.done`.
 */
export function listFormOf(examples: readonly TextExample[], numLabels: number, first = 0): ListForm {
  const forms = new ListForms();
  for (const [i, { label, place = `example ${first + i}` }] of examples.entries()) {
    const list = labelList(label, place);
    if (list) forms.add(list, place);
  }
  return forms.done(numLabels).form;
}

/**
 * What turns the label of a text into what the model is trained on.
 *
 * @param form of the lists of labels of multi-label classification.
 * @returns for classes: see {@link classIds}; for multi-label classification a list of them, or a
 * string with commas between them, becomes a 0 or 1 for each label; for regression: a number, or as
 * many as the model has outputs.
 */
export function labelEncoder(model: TaskSettings, form: ListForm = 'labels'): LabelEncoder {
  if (model.task === 'regression') return regressionLabels(model.numLabels);
  const idOf = classIds(model.labelNames);
  if (model.task === 'multi-label-classification') {
    if (form === 'multi-hot') return ({ label }, place) => ({ targets: labelSet(label, place).map(Number) });
    return ({ label }, place) => {
      const targets = new Array<number>(model.numLabels).fill(0);
      for (const name of labelSet(label, place)) targets[idOf(name, place)] = 1;
      return { targets };
    };
  }
  if (model.task !== 'sequence-classification') {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `a model for ${model.task} has no label a sentence; use sequence-classification, multi-label-classification or regression`,
    );
  }
  return ({ label }, place) => ({ label: idOf(label, place) });
}

function regressionLabels(numTargets: number): LabelEncoder {
  return ({ label }, place) => {
    const given = Array.isArray(label) ? (label as number[]) : [label];
    const targets = given.map((x) => (typeof x === 'string' && x.trim() !== '' ? Number(x) : x));
    if (targets.length === numTargets && targets.every((x) => typeof x === 'number' && Number.isFinite(x))) {
      return { targets: targets as number[] };
    }
    throw new FusedLoraError(
      'INVALID_DATA',
      `${place}: the label is ${shown(label)}; regression needs ${numTargets === 1 ? 'a finite number' : `a list of ${numTargets} finite numbers`}. ` +
        'Where labels are classes, name the task (--task sequence-classification).',
    );
  };
}
