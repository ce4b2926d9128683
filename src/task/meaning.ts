/**
 * What a model means: task, labels, thresholds, lengths, tokenizer, new weights, and who said so.
 * The types alone: text_model.ts decides these things today, and resolveMeaning takes its place.
 */
import type { Task } from '../base/tasks';
import type { JsonObject } from '../io/json';

/**
 * Who can say what a model means, the strongest first: an option, fused_lora.json of the adapter,
 * adapter_config.json, tensors in the adapter's file, fused_lora.json of the base, its config.json,
 * its tensors, the tokenizer's files, the data, and what holds where nobody says anything.
 */
export const MEANING_SOURCES = [
  'option',
  'adapter record',
  'adapter config',
  'adapter weights',
  'base record',
  'base config',
  'base weights',
  'tokenizer',
  'data',
  'default',
] as const;
/** One of {@link MEANING_SOURCES}. */
export type MeaningSource = (typeof MEANING_SOURCES)[number];

/** What one source says of one thing. */
export interface Statement<T> {
  value: T;
  source: MeaningSource;
  /** For people: `--task`, `out/fused_lora.json: labelNames`, `train.csv: 3 labels`. */
  place: string;
}

/**
 * What was decided, by whom, and what weaker sources said otherwise: one line each on stderr, and
 * in events, figures and report.
 */
export interface Decided<T> extends Statement<T> {
  overridden: readonly Statement<T>[];
}

/** fused_lora.json, beside an adapter or a whole model. Fields that came later are optional. */
export interface ModelRecord {
  task?: Task;
  /** In the order of the outputs. */
  labelNames?: readonly string[];
  maxLength?: number;
  truncationSide?: TruncationSide;
  /** One for all labels, or one a label in their order. */
  thresholds?: number | readonly number[];
  precision?: 'fp32' | 'bf16';
}

export type TruncationSide = 'left' | 'right';

/** Name and shape of each tensor of a file, values unread. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** A folder and what it says of the model, read once. */
export interface BaseFacts {
  folder: string;
  /** config.json. */
  config: JsonObject;
  record: ModelRecord | undefined;
  tensors: TensorShapes;
}

/** The same of an adapter. */
export interface AdapterFacts {
  folder: string;
  /** adapter_config.json. */
  config: JsonObject;
  record: ModelRecord | undefined;
  /** By PEFT's keys. */
  tensors: TensorShapes;
  /** Whether tokenizer files lie beside the adapter: those that it was trained with. */
  hasTokenizer: boolean;
}

/** Of the tokenizer that was chosen. */
export interface TokenizerFacts {
  folder: string;
  /** One more than the largest id. */
  vocabSize: number;
  /** model_max_length, where it is a length and no number that stands for none. */
  maxLength: number | undefined;
  truncationSide: TruncationSide | undefined;
}

/**
 * How labels are written in the data: names, whole numbers, numbers with a fraction, lists of names
 * or ids, lists of 0 and 1 of one length, or a label a word.
 */
export type LabelForm = 'names' | 'whole numbers' | 'numbers' | 'lists' | 'multi-hot' | 'words';

/** What the data show, found in one pass. */
export interface DataFacts {
  form: LabelForm;
  /**
   * As written, each with its number of rows (or words) in train, in the order of their first row.
   */
  counts: ReadonlyMap<string, number>;
  /** The same of dev: a label that train lacks is told. */
  devCounts: ReadonlyMap<string, number> | undefined;
  /** Names by id, where Parquet files tell them. */
  classNames: readonly string[] | undefined;
  pairs: boolean;
  /** Numbers a row, of numbers and multi-hot lists. */
  width: number | undefined;
  /** For errors: the first row of each label. */
  placeOf: ReadonlyMap<string, string>;
}

/** What a user says; the command line has a flag of each. */
export interface MeaningOptions {
  task?: Task | undefined;
  /** --num-labels */
  numLabels?: number | undefined;
  /** --labels */
  labelNames?: readonly string[] | undefined;
  /** --threshold */
  thresholds?: number | readonly number[] | undefined;
  /** --max-length */
  maxLength?: number | undefined;
  /** --truncation-side */
  truncationSide?: TruncationSide | undefined;
  /** --ignore-mismatched-sizes: a trained head of another shape may be started anew. */
  ignoreMismatchedSizes?: boolean | undefined;
}

/** A part of the model that no file has values for. */
export interface NewWeights {
  /** Path of the module: `classifier`, `bert.pooler`. */
  path: string;
  /** missing: no file has it. mismatched: a file has another shape, and the user lets it go. */
  reason: 'missing' | 'mismatched';
}

/** What a model means, with the source of each decision. */
export interface Meaning {
  /** multi-label and regression are transformers' problem_type of one architecture. */
  task: Decided<Task>;
  /** Outputs of the head. */
  numLabels: Decided<number>;
  /** By id, in the order of the outputs; empty for regression. */
  labelNames: Decided<readonly string[]>;
  /** Of multi-label classification: one a label. */
  thresholds: Decided<readonly number[]>;
  /** Whether rows are pairs of texts. */
  pairs: Decided<boolean>;
  /** Most tokens of a row, special tokens counted. */
  maxLength: Decided<number>;
  truncationSide: Decided<TruncationSide>;
  /** Its folder. */
  tokenizer: Decided<string>;
  /** Trained with the adapter and saved in it (modules_to_save); for predictions an error. */
  newWeights: readonly NewWeights[];
}

/**
 * Decides what a model means; pure, so that each rule is a row of a test's table.
 *
 * @param data undefined: nothing is read (predict, merge), or not yet (the task says how to read).
 * @throws FusedLoraError INVALID_ARGUMENT or INVALID_DATA where two sources can not both be right,
 * naming both and the option that settles it.
 */
export type ResolveMeaning = (
  base: BaseFacts,
  adapter: AdapterFacts | undefined,
  tokenizer: TokenizerFacts,
  data: DataFacts | undefined,
  options: MeaningOptions,
) => Meaning;
