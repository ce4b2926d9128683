/**
 * From labels as data have them to class ids and targets, and which names a model's labels get.
 * Labels in the cells of a file are read in src/data/read/cells.ts; scores by label are in
 * src/metrics.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';
import { listNames, nearNames } from '../../base/near';
import type { Task, TaskSettings } from '../../base/tasks';
import { isJsonObject, readJsonObject } from '../../io/json';
import { type Example, isTokenExample, type TextExample } from './example';

/** What a loss takes for a text. */
export interface TextTarget {
  /** Class index of the text. */
  label?: number;
  /** [numOutputs] numbers to come near, or a 0 or 1 for each label. */
  targets?: readonly number[];
}

export type LabelEncoder = (example: TextExample, place: string) => TextTarget;

const isWhole = (text: string) => /^\d+$/.test(text);

/**
 * The labels of a text that may have several: a list, or names with commas between; none is a label
 * set too.
 */
function labelSet(label: TextExample['label'], place: string): readonly unknown[] {
  if (Array.isArray(label)) return label;
  if (typeof label === 'number') return [label];
  if (typeof label !== 'string') throw noLabel(place);
  return label
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
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
      else for (const label of labelSet(example.label, place)) yield [label, place];
    } else if (example.labels) for (const label of example.labels) yield [label, place];
    else yield [undefined, place];
  }
}

/** Distinct labels of examples that come one group after the other. */
export class LabelCollector {
  private readonly names = new Set<string>();
  private count = 0;

  constructor(private readonly task: Task) {}

  /** @throws FusedLoraError INVALID_DATA for a row without a label. */
  add(examples: readonly Example[]): void {
    for (const [label, place] of labelsOf(examples, this.task, this.count)) {
      if (Array.isArray(label)) throw severalLabels(place);
      if ((typeof label !== 'string' && typeof label !== 'number') || label === '') throw noLabel(place);
      this.names.add(String(label));
    }
    this.count += examples.length;
  }

  /**
   * The labels, whole numbers by size, others by code point. Numbers name the classes up to the
   * largest one, so that class ids are the numbers themselves.
   *
   * @throws FusedLoraError INVALID_DATA for fewer than two classes (multi-label: none).
   */
  done(): string[] {
    const sorted = [...this.names].sort((a, b) => (a < b ? -1 : 1));
    const least = this.task === 'multi-label-classification' ? 1 : 2;
    if (sorted.length < least) {
      throw new FusedLoraError(
        'INVALID_DATA',
        `the data has ${sorted.length === 1 ? `the one label "${sorted[0]}"` : 'no labels'}; a classifier needs at least ${least === 1 ? 'one' : 'two'}. ` +
          'Was another column meant?',
      );
    }
    if (!sorted.every(isWhole)) return sorted;
    const largest = Math.max(...sorted.map(Number));
    // 1..5 has a class 0 that never comes; 17 and 100,000 are no class ids.
    if (largest >= 2 * sorted.length + 1) return sorted.sort((a, b) => Number(a) - Number(b));
    return Array.from({ length: largest + 1 }, (_, i) => String(i));
  }
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
    if (label === undefined || label === '') throw noLabel(place);
    if (Array.isArray(label)) throw severalLabels(place);
    const [near] = nearNames(String(label), labelNames, 1);
    throw new FusedLoraError(
      'INVALID_DATA',
      `${place}: unknown label "${label}"${near ? `; was "${near}" meant?` : '.'} The labels are ${listNames(labelNames)}.`,
    );
  };
}

/**
 * What turns the label of a text into what the model is trained on.
 *
 * @returns for classes: see {@link classIds}; for multi-label classification a list of them, or a
 * string with commas between them, becomes a 0 or 1 for each label; for regression: a number, or as
 * many as the model has outputs.
 */
export function labelEncoder(model: TaskSettings): LabelEncoder {
  if (model.task === 'regression') return regressionLabels(model.numLabels);
  const idOf = classIds(model.labelNames);
  if (model.task === 'multi-label-classification') {
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
      `${place}: the label is ${JSON.stringify(label)}; regression needs ${numTargets === 1 ? 'a finite number' : `a list of ${numTargets} finite numbers`}`,
    );
  };
}

/**
 * The label names for fine-tuning a model folder: those that its config.json gives its head, where
 * the data has no others; else those that the data files name, with their ids; else the labels that
 * were found.
 */
export function chooseLabelNames(
  found: readonly string[],
  named: readonly string[] | undefined,
  dir: string,
): string[] {
  const config = readJsonObject(path.join(dir, 'config.json'), 'to build the model', 'INVALID_CONFIG');
  const id2label = config['id2label'];
  const known = isJsonObject(id2label)
    ? Object.keys(id2label)
        .sort((a, b) => Number(a) - Number(b))
        .map((id) => String(id2label[id]))
    : [];
  const all = [known, named ?? []].find((names) => found.every((name) => names.includes(name)));
  return [...(all ?? found)];
}
