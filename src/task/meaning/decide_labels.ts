/**
 * How many outputs a head has, what they are called and in which order; and whether data contradict
 * that. How names are written in data, and two spellings of one, is src/data/examples/labels.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames } from '../../base/near';
import type { Task } from '../../base/tasks';
import { otherSpelling } from '../../data/examples/label_names';
import { decide, says } from './decide';
import { trainedHead } from './decide_task';
import { isNumbered } from './facts';
import { areIds, DATA, isWhole, notesOn } from './label_notes';
import type { AdapterFacts, BaseFacts, Decided, LabelFacts, MeaningOptions, Purpose, Statement } from './types';

export interface DecidedLabels {
  numLabels: Decided<number>;
  labelNames: Decided<readonly string[]>;
  notes: string[];
}

interface Sources {
  base: BaseFacts;
  adapter: AdapterFacts | undefined;
  options: MeaningOptions;
  data: LabelFacts | undefined;
  purpose: Purpose;
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `LABEL_${i}`);

/** A head whose values a file has. */
interface KnownHead {
  rows: Statement<number>;
  /** Of a base that is trained further: it may be started anew. */
  ofBase: boolean;
}

function knownHead({ base, adapter }: Sources, task: Task): KnownHead | undefined {
  if (adapter?.numLabels !== undefined) {
    return {
      rows: { value: adapter.numLabels, source: 'adapter weights', place: adapter.weightsFile },
      ofBase: false,
    };
  }
  const { rows } = trainedHead(base, task);
  if (rows === undefined) return undefined;
  return { rows: { value: rows, source: 'base weights', place: base.weightsFile }, ofBase: true };
}

const RESTART = 'or start a head anew with --ignore-mismatched-sizes (ignoreMismatchedSizes)';

/** An option that asks for another number of outputs than the head has. */
function checkCount(asked: Statement<number> | undefined, head: KnownHead | undefined, { options }: Sources): void {
  if (!asked || !head || asked.value === head.rows.value) return;
  if (head.ofBase && options.ignoreMismatchedSizes) return;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${asked.place} asks for ${asked.value} outputs, and the head in ${head.rows.place} has ${head.rows.value}. ` +
      `Give ${head.rows.value}${head.ofBase ? `, ${RESTART}` : ''}.`,
  );
}

const namesPlace = ({ configFile, labelField = 'id2label' }: BaseFacts) => `${configFile}: ${labelField}`;

/** Names that files have for the outputs: a record's, or those of id2label where they are names. */
function namesInFiles({ base, adapter }: Sources, count: number | undefined): Statement<readonly string[]>[] {
  const fits = (names: readonly string[] | undefined): names is readonly string[] =>
    names !== undefined && names.length > 0 && (count === undefined || names.length === count);
  const found: Statement<readonly string[]>[] = [];
  const add = (names: readonly string[] | undefined, source: Statement<unknown>['source'], place: string) => {
    if (fits(names)) found.push({ value: names, source, place });
  };
  if (adapter) add(adapter.record?.labelNames, 'adapter record', adapter.recordFile);
  if (!adapter?.record?.labelNames) add(base.record?.labelNames, 'base record', base.recordFile);
  if (!isNumbered(base.labelNames)) add(base.labelNames, 'base config', namesPlace(base));
  return found;
}

function regression(sources: Sources, head: KnownHead | undefined): DecidedLabels {
  const { base, adapter, options, data } = sources;
  const asked = says(options.numLabels, 'option', '--num-labels');
  checkCount(asked, head, sources);
  const width = says(data?.width, 'data', DATA);
  const restarted = head?.ofBase && options.ignoreMismatchedSizes;
  if (head && width && width.value !== head.rows.value && !asked && !restarted) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `the data have ${width.value === 1 ? 'a number' : `${width.value} numbers`} a row, and the head in ${head.rows.place} has ` +
        `${head.rows.value} outputs. Give rows of ${head.rows.value}, name the task (--task)${head.ofBase ? `, ${RESTART}` : ''}.`,
    );
  }
  const numLabels = decide(
    asked,
    restarted ? width : undefined,
    says(adapter?.record?.numLabels, 'adapter record', adapter?.recordFile ?? ''),
    adapter && head?.ofBase ? undefined : head?.rows,
    says(base.record?.numLabels, 'base record', base.recordFile),
    head?.rows,
    width,
    base.problemType === 'regression' ? says(base.numLabels, 'base config', base.configFile) : undefined,
    says(1, 'default', 'the default'),
  );
  return { numLabels, labelNames: { ...numLabels, value: [], overridden: [] }, notes: [] };
}

/** The first label of the data that is none of the names. */
function stranger(names: readonly string[], { uses }: LabelFacts): { label: string; place: string } | undefined {
  for (const [label, { place }] of uses) if (!names.includes(label)) return { label, place };
  return undefined;
}

/** What the data's own names are, where nothing stronger has any. */
function namesOfData({ uses, names, classNames }: LabelFacts, numLabels: number | undefined): readonly string[] {
  const found = names ?? [...uses.keys()];
  if (classNames && found.every((name) => classNames.includes(name))) return classNames;
  // Class ids of which some have no row: the user says how many there are.
  if (numLabels !== undefined && found.length < numLabels && found.every((n) => isWhole(n) && Number(n) < numLabels)) {
    return Array.from({ length: numLabels }, (_, i) => String(i));
  }
  return found;
}

function refuse(names: Statement<readonly string[]>, label: string, place: string, head: KnownHead | undefined): never {
  const other = otherSpelling(label, names.value);
  const outputs = head ? `the outputs of the trained head (${head.rows.place})` : 'the classes';
  throw new FusedLoraError(
    'INVALID_DATA',
    `${place}: the label ${JSON.stringify(label)} is none of ${listNames([...names.value])}, which ${names.place} calls ${outputs}` +
      `${other === undefined ? '' : `; "${other.name}" differs from it in ${other.difference} alone`}. ` +
      `Name the classes as the data do, in the order of the outputs, with --labels (labelNames)${head?.ofBase ? `, ${RESTART}` : ''}.`,
  );
}

/** A trained head keeps the meaning of its outputs; data have to fit it. */
function withHead(sources: Sources, head: KnownHead, data: LabelFacts): Statement<readonly string[]> | undefined {
  const { options } = sources;
  const restarts = head.ofBase && options.ignoreMismatchedSizes === true;
  const count = head.rows.value;
  const [known] = namesInFiles(sources, count);
  if (known) {
    if (data.multiHot || areIds(known.value, data.uses.keys())) return known;
    const other = stranger(known.value, data);
    if (!other) return known;
    if (restarts) return undefined;
    refuse(known, other.label, other.place, head);
  }
  const found = namesOfData(data, count);
  const ids = numbered(count);
  if (areIds(ids, data.uses.keys()) && found.length <= count) {
    // Numbers are ids of the outputs, whichever of them have rows.
    const names = Array.from({ length: count }, (_, i) => String(i));
    return { value: names, source: 'data', place: DATA };
  }
  if (found.every((name) => ids.includes(name))) return { value: ids, source: 'base weights', place: head.rows.place };
  if (restarts) return undefined;
  if (found.length !== count) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `the data have ${found.length} labels (${listNames([...found])}), and the trained head in ${head.rows.place} has ${count} outputs. ` +
        `Give all ${count} names in the order of the outputs with --labels (labelNames)${head.ofBase ? `, ${RESTART}` : ''}.`,
    );
  }
  // Outputs without names are trained on under those of the data; no file says what they meant.
  if (sources.purpose === 'train') return { value: found, source: 'data', place: DATA };
  throw new FusedLoraError(
    'INVALID_DATA',
    `the labels of the data are ${listNames([...found])}, and no file says which of them is which output of the trained head in ` +
      `${head.rows.place}. Give them in the order of its outputs with --labels (labelNames)${head.ofBase ? `, ${RESTART}` : ''}.`,
  );
}

function classes(sources: Sources, head: KnownHead | undefined, task: Task): DecidedLabels {
  const { base, adapter, options, data } = sources;
  const given = says(options.labelNames, 'option', '--labels');
  const asked = says(options.numLabels, 'option', '--num-labels');
  if (given && asked && given.value.length !== asked.value) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `numLabels is ${asked.value}, but labelNames has ${given.value.length} names`,
    );
  }
  checkCount(given && { ...given, value: given.value.length }, head, sources);
  checkCount(asked, head, sources);
  const restarts = head?.ofBase === true && options.ignoreMismatchedSizes === true;
  const inFiles = namesInFiles(sources, asked?.value ?? (restarts ? undefined : head?.rows.value));
  const own = data && !given ? says(namesOfData(data, asked?.value), 'data', DATA) : undefined;

  const named: string[] = [];
  let names: Decided<readonly string[]>;
  if (given) names = decide(given, ...inFiles);
  else if (data && own) {
    const ofHead = head && !(asked && asked.value !== head.rows.value) ? withHead(sources, head, data) : undefined;
    const untrained = head
      ? undefined
      : inFiles.find(({ value }) => areIds(value, data.uses.keys()) || !stranger(value, data));
    names = decide(ofHead ?? untrained ?? own, ...inFiles);
    if (head && ofHead?.source === 'data' && !areIds(numbered(ofHead.value.length), data.uses.keys())) {
      const outputs = ofHead.value.map((name, id) => `${id} ${name}`);
      named.push(
        `the outputs of the trained head in ${head.rows.place} have no names: they become ${listNames(outputs)}, ` +
          'the order of the names in the data; --labels (labelNames) gives another',
      );
    }
  } else {
    const count = asked ??
      (adapter && head && !head.ofBase ? head.rows : undefined) ??
      inFiles.map((one) => ({ ...one, value: one.value.length }))[0] ??
      head?.rows ??
      says(base.numLabels, 'base config', base.configFile) ?? { value: 2, source: 'default', place: 'the default' };
    names = decide(...inFiles, { ...count, value: numbered(count.value) });
    // LABEL_0 and so on are what holds where there are no names; nothing is overridden by names.
    names = { ...names, overridden: names.overridden.filter(({ value }) => !isNumbered(value)) };
  }
  // A trained head's outputs mean what the file would have said.
  if (base.labelProblem !== undefined && head?.ofBase && !restarts && !isNamed(names)) {
    throw new FusedLoraError(
      'INVALID_CONFIG',
      `${base.labelProblem}. Correct the file, or give all names in the order of the outputs with --labels (labelNames).`,
    );
  }
  const count = names.value.length;
  if (asked && asked.value !== count) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `numLabels (--num-labels) is ${asked.value}, and ${names.place} names ${count} labels (${listNames([...names.value])}). ` +
        `Give all names with --labels (labelNames), or leave the number out${asked.value === 1 ? '; one output that is a number is --task regression' : ''}.`,
    );
  }
  const [twice] = names.value.filter((name, id) => names.value.indexOf(name) !== id);
  if (twice !== undefined && names.source !== 'option') {
    throw new FusedLoraError(
      'INVALID_CONFIG',
      `${names.place}: has the name ${JSON.stringify(twice)} twice. Give a name to each of the ${count} outputs with --labels (labelNames).`,
    );
  }
  const ofConfig = head && !adapter && !restarts ? says(base.numLabels, 'base config', base.configFile) : undefined;
  const numLabels = decide(asked, { ...names, value: count }, head?.rows, ofConfig);
  return {
    numLabels,
    labelNames: names,
    notes: [...configNotes(sources, names), ...named, ...(data ? notesOn(names, data, task) : [])],
  };
}

/** Whether names come from a user, or from a record of training. */
const isNamed = ({ source }: Decided<unknown>) => source === 'option' || source.endsWith(' record');

/** What config.json says of names and is not taken. */
function configNotes({ base }: Sources, names: Decided<readonly string[]>): string[] {
  if (isNamed(names)) return [];
  const notes = [...(base.labelNotes ?? [])];
  if (!isNumbered(base.labelNames) && base.labelNames.length !== names.value.length) {
    notes.push(
      `${namesPlace(base)} names ${base.labelNames.length} labels (${listNames([...base.labelNames])}), ` +
        `and the model has ${names.value.length}: its names are not taken`,
    );
  }
  return notes;
}

/**
 * @throws FusedLoraError INVALID_ARGUMENT for options that do not fit a trained head; INVALID_DATA
 * for labels that its outputs do not have.
 */
export function decideLabels(sources: Sources, task: Task): DecidedLabels {
  const head = knownHead(sources, task);
  if (task === 'masked-lm') {
    const none = decide<number>({ value: 0, source: 'base config', place: sources.base.configFile });
    return { numLabels: none, labelNames: { ...none, value: [], overridden: [] }, notes: [] };
  }
  return task === 'regression' ? regression(sources, head) : classes(sources, head, task);
}
