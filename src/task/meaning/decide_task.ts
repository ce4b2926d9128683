/**
 * Which task a model is for, by options, records, PEFT's task_type and config.json, in the terms of
 * transformers. Data are asked last, by `taskOfData`; labels are decided in decide_labels.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { TASKS, type Task } from '../../base/tasks';
import { type Example, isTokenExample } from '../../data/examples/example';
import { decide, says } from './decide';
import type { AdapterFacts, BaseFacts, Decided, MeaningOptions, Purpose, Statement } from './types';

const TASK_OF_PROBLEM: Readonly<Record<string, Task>> = {
  single_label_classification: 'sequence-classification',
  multi_label_classification: 'multi-label-classification',
  regression: 'regression',
};

const ofWords = (task: Task) => task === 'token-classification';

/** Rows of the last matrix of a head. */
function rowsOf(head: ReadonlyMap<string, readonly number[]>): number | undefined {
  return (head.get('classifier.out_proj.weight') ?? head.get('classifier.weight'))?.[0];
}

/** Whether a head is of texts or of words; undefined where it may be either. */
function kindOfHead({ architecture = '', family, head }: BaseFacts): 'texts' | 'words' | undefined {
  if (architecture.endsWith('ForSequenceClassification')) return 'texts';
  if (architecture.endsWith('ForTokenClassification')) return 'words';
  if (head.has('classifier.out_proj.weight')) return 'texts';
  return family === 'roberta' ? 'words' : undefined;
}

/** The trained head of a base, as far as the task can use it. */
export function trainedHead(base: BaseFacts, task: Task): { rows: number | undefined; otherKind: boolean } {
  const rows = rowsOf(base.head);
  if (rows === undefined || task === 'masked-lm') return { rows: undefined, otherKind: false };
  const kind = kindOfHead(base);
  const otherKind = kind !== undefined && (kind === 'words') !== ofWords(task);
  return { rows: otherKind ? undefined : rows, otherKind };
}

/** transformers' rule: problem_type, else one output is regression. In data: taskOfData. */
function problemOf(problemType: string | undefined, outputs: number | undefined): Task {
  return TASK_OF_PROBLEM[problemType ?? ''] ?? (outputs === 1 ? 'regression' : 'sequence-classification');
}

function ofAdapter(base: BaseFacts, adapter: AdapterFacts | undefined): Statement<Task> | undefined {
  if (adapter?.task === undefined) return undefined;
  const told = adapter.taskType === undefined ? adapter.weightsFile : `${adapter.configFile}: ${adapter.taskType}`;
  const task = adapter.task === 'token-classification' ? adapter.task : problemOf(base.problemType, adapter.numLabels);
  return says(task, 'adapter config', told);
}

function ofConfig(base: BaseFacts): Statement<Task> | undefined {
  const { architecture = '', configFile } = base;
  if (architecture.endsWith('ForSequenceClassification')) {
    const task = problemOf(base.problemType, rowsOf(base.head) ?? base.numLabels);
    return says(task, 'base config', configFile);
  }
  if (architecture.endsWith('ForTokenClassification')) return says('token-classification', 'base config', configFile);
  if (architecture.endsWith('ForMaskedLM')) return says('masked-lm', 'base config', configFile);
  return undefined;
}

/** One output without a name is regression, where no problem_type says otherwise. */
function ofCount(base: BaseFacts, { numLabels, labelNames }: MeaningOptions): Statement<Task> | undefined {
  if (numLabels !== 1 || labelNames !== undefined || base.architecture?.endsWith('ForTokenClassification')) {
    return undefined;
  }
  return base.problemType === undefined ? says<Task>('regression', 'option', '--num-labels 1') : undefined;
}

/**
 * The task of a model, before data are read.
 *
 * @param data what the data are for by themselves, where training asks them.
 * @throws FusedLoraError INVALID_ARGUMENT where nothing tells a task.
 */
export function decideTask(
  base: BaseFacts,
  adapter: AdapterFacts | undefined,
  options: Pick<MeaningOptions, 'task' | 'numLabels' | 'labelNames'>,
  purpose: Purpose,
  data?: Statement<Task>,
): Decided<Task> {
  const given = says(options.task, 'option', '--task');
  const config = ofConfig(base);
  // A language model is what training begins from; it says nothing of the head that is trained.
  const pretrained = purpose === 'train' || adapter !== undefined;
  const usable = <T extends Statement<Task> | undefined>(one: T) =>
    one?.value === 'masked-lm' && pretrained ? undefined : one;
  const statements = [
    given,
    says(adapter?.record?.task, 'adapter record', adapter?.recordFile ?? ''),
    ofAdapter(base, adapter),
    adapter === undefined ? ofCount(base, options) : undefined,
    usable(says(base.record?.task, 'base record', base.recordFile)),
    usable(config),
    data,
    purpose === 'train' ? says<Task>('sequence-classification', 'default', 'the default') : undefined,
    // Nothing else is left: it may be used as what it is.
    config?.value === 'masked-lm' ? config : undefined,
  ];
  if (statements.every((one) => one === undefined)) {
    const { architecture = '', configFile } = base;
    const hasHead = rowsOf(base.head) !== undefined || adapter?.numLabels !== undefined;
    const lacks = `, and it has no trained head${adapter ? `, nor has ${adapter.weightsFile}` : ''}`;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${configFile}: its architecture ${architecture === '' ? '' : `"${architecture}" `}tells no task${hasHead ? '' : lacks}. ` +
        (hasHead
          ? `Pass the option task (--task): one of ${TASKS.filter((one) => one !== 'masked-lm').join(', ')}.`
          : 'Give an adapter with a head (--adapter DIR, adapter), or train one first.'),
    );
  }
  const decided = decide(...statements);
  return { ...decided, overridden: decided.overridden.filter(({ value }) => value !== 'masked-lm') };
}

/** Whether a label is a number that is written as one with a fraction: 0.5, "1.0". */
const isFloat = (label: unknown) =>
  typeof label === 'string' ? /\d[.e]/i.test(label) : typeof label === 'number' && !Number.isInteger(label);

/** A number, or what pandas has where one is missing or too large, which regression refuses. */
const isNumber = (label: unknown) =>
  typeof label === 'number' ||
  (typeof label === 'string' &&
    label.trim() !== '' &&
    (Number.isFinite(Number(label)) || /^[+-]?(?:nan|inf(?:inity)?)$/i.test(label.trim())));

/** A list as pandas writes it into a file of text: of names in quotes, or of numbers. */
const isListText = (label: unknown) =>
  typeof label === 'string' && /^\s*\[\s*(?:['"].*['"]|[\d\s.,]*)\s*\]\s*$/s.test(label);

/**
 * The task that the form of labels shows, where it shows one: words, several labels a text, numbers
 * with a fraction. Those are transformers' float labels, 0.0 and 1.0 too: a file's reader keeps how
 * they are written.
 */
export function taskOfData(examples: readonly Example[]): Statement<Task> | undefined {
  const labels: unknown[] = [];
  for (const example of examples) {
    if (isTokenExample(example)) return says<Task>('token-classification', 'data', 'the data: sentences in words');
    if (Array.isArray(example.label) || isListText(example.label)) {
      return says<Task>('multi-label-classification', 'data', 'the data: lists of labels');
    }
    labels.push(example.label);
  }
  if (labels.every(isNumber) && labels.some(isFloat)) {
    return says<Task>('regression', 'data', 'the data: numbers with a fraction');
  }
  return undefined;
}
