/**
 * What was decided of a model, for people and for figures: a block of lines with the source of each
 * decision, and the same as JSON for `--json`, the start event and the report. The decisions
 * themselves are made in resolve.ts.
 */
import { listNames } from '../../base/near';
import { classOfF1 } from '../../metrics/metric_names';
import type { Decided, LabelFacts, Meaning, NewWeights } from './types';

/** How many texts there are, and how many of them were cut. */
export interface CutCount {
  texts: number;
  cut: number;
}

/** What a run found beside what files and options say. */
export interface Found {
  labels?: Pick<LabelFacts, 'uses' | 'devUses' | 'multiHot' | 'hot'> | undefined;
  newWeights?: readonly NewWeights[] | undefined;
  train?: CutCount | undefined;
  dev?: CutCount | undefined;
}

/** What was decided, in figures. */
export interface MeaningFigures {
  task: string;
  /** In the order of the outputs, with their rows (or words), where they are known. */
  labels: { name: string; train?: number; dev?: number }[];
  numLabels: number;
  maxLength: number;
  truncationSide: string;
  threshold?: number;
  pairs?: boolean;
  /** Texts that are longer than maxLength. */
  cut?: { train?: number; dev?: number };
  tokenizer?: string;
  newWeights: NewWeights[];
  /** Who said each of them. */
  sources: Record<string, string>;
  /** What weaker sources said otherwise, and what else is to be known. */
  notes: string[];
}

const shown = (value: unknown) => (Array.isArray(value) ? listNames(value.map(String)) : String(value));

/** `task: regression (out/fused_lora.json), not masked-lm (base/config.json)` */
function line<T>(name: string, { value, place, overridden }: Decided<T>): string {
  const others = overridden.map((one) => `, not ${shown(one.value)} (${one.place})`);
  return `${name}: ${shown(value)} (${place})${others.join('')}`;
}

/** Lines about what weaker sources said otherwise, and other things to be known. */
export function linesOf(meaning: Meaning): string[] {
  const { task, numLabels, labelNames, maxLength, truncationSide, threshold, pairs, tokenizer, notes } = meaning;
  const decided: [string, Decided<unknown> | undefined][] = [
    ['task', task],
    ['outputs', labelNames.overridden.length > 0 ? undefined : numLabels],
    ['labels', labelNames],
    ['maximum length', maxLength],
    ['texts are cut on the', truncationSide],
    ['threshold', threshold],
    ['pairs of texts', pairs],
    ['tokenizer', tokenizer],
  ];
  const overridden = decided.flatMap(([name, one]) => (one && one.overridden.length > 0 ? [line(name, one)] : []));
  return [...overridden, ...notes];
}

const counted = (count: CutCount | undefined, name: string) =>
  count === undefined ? '' : `, ${count.cut} of ${count.texts} texts${name} are longer and cut`;

/** Rows of train (0) or dev (1) that have the label of this id, by name, id or place in a list. */
function rowsOf(labels: NonNullable<Found['labels']>, part: 0 | 1, names: readonly string[], id: number): number {
  if (labels.multiHot) return labels.hot?.[part][id] ?? 0;
  const uses = part === 0 ? labels.uses : labels.devUses;
  const byId = names.some((name) => /^\d+$/.test(name)) ? undefined : uses?.get(String(id));
  return (uses?.get(names[id] as string)?.count ?? 0) + (byId?.count ?? 0);
}

/** Labels with the rows of each: `neg 12, pos 10`. */
function labelsLine({ labelNames, task }: Meaning, { labels }: Found): string {
  const names = labelNames.value.map((name, id) => {
    if (!labels || labels.uses.size === 0) return name;
    const dev = labels.devUses ? ` + ${rowsOf(labels, 1, labelNames.value, id)}` : '';
    return `${name} ${rowsOf(labels, 0, labelNames.value, id)}${dev}`;
  });
  const unit = task.value === 'token-classification' ? 'words' : 'rows';
  const what = !labels || labels.uses.size === 0 ? '' : ` (${unit} of train${labels.devUses ? ' + dev' : ''})`;
  return `labels: ${listNames(names, 20)}${what} (${labelNames.place})`;
}

/** Of two classes: a mean over both would say something else. */
export const lineOfF1 = (label: string) => `f1: of the label ${label}`;

/** The block that each run prints. */
export function describeMeaning(meaning: Meaning, found: Found = {}): string[] {
  const { task, numLabels, maxLength, truncationSide, labelNames } = meaning;
  const { newWeights = [] } = found;
  const ofF1 = classOfF1(task.value, labelNames.value);
  const cut = `${counted(found.train, found.dev ? ' of train' : '')}${counted(found.dev, ' of dev')}`;
  return [
    `task: ${task.value} (${task.place})`,
    ...(labelNames.value.length > 0 ? [labelsLine(meaning, found)] : []),
    ...(task.value === 'regression' ? [`outputs: ${numLabels.value} (${numLabels.place})`] : []),
    `length: at most ${maxLength.value} tokens (${maxLength.place})${cut}${truncationSide.value === 'left' ? ', on the left' : ''}`,
    ...(found.dev && ofF1 !== undefined ? [lineOfF1(ofF1)] : []),
    ...(newWeights.length > 0 ? [`new: ${newWeights.map(newLine).join(', ')}; saved with the result`] : []),
    ...linesOf(meaning),
  ];
}

const newLine = ({ path, reason }: NewWeights) =>
  `${path} (${reason === 'missing' ? 'not in the checkpoint' : 'the checkpoint has another shape'})`;

/** The same for `--json`, events and report. */
export function meaningFigures(meaning: Meaning, found: Found = {}): MeaningFigures {
  const { task, numLabels, labelNames, maxLength, truncationSide, threshold, pairs, tokenizer } = meaning;
  const { labels, train, dev, newWeights = [] } = found;
  const severals = task.value === 'multi-label-classification';
  const known = labels !== undefined && labels.uses.size > 0;
  return {
    task: task.value,
    labels: labelNames.value.map((name, id) => ({
      name,
      ...(known && { train: rowsOf(labels, 0, labelNames.value, id) }),
      ...(known && labels.devUses && { dev: rowsOf(labels, 1, labelNames.value, id) }),
    })),
    numLabels: numLabels.value,
    maxLength: maxLength.value,
    truncationSide: truncationSide.value,
    ...(severals && { threshold: threshold.value }),
    ...(pairs && { pairs: pairs.value }),
    ...((train || dev) && { cut: { ...(train && { train: train.cut }), ...(dev && { dev: dev.cut }) } }),
    ...(tokenizer && { tokenizer: tokenizer.value }),
    newWeights: [...newWeights],
    sources: {
      task: task.place,
      labels: labelNames.place,
      maxLength: maxLength.place,
      truncationSide: truncationSide.place,
      ...(tokenizer && { tokenizer: tokenizer.place }),
    },
    notes: linesOf(meaning),
  };
}
