/**
 * What a model means: task, labels, length, truncation, tokenizer, new weights, and who said so, as
 * types. Facts of folders are read in facts.ts, what holds is decided in resolve.ts, and it is told
 * by describe.ts; docs/meaning.md has the table.
 */
import type { Task } from '../../base/tasks';
import type { TruncationSide } from '../../data/tokenize/truncate';
import type { BaseWeights, EmbeddingWeights } from '../../graph/base_weights';
import type { AdapterFacts as AdapterFolderFacts } from '../../lora/adapter_facts';
import type { ModelFamily } from '../../models/config';

/**
 * Who can say what a model means, the strongest first: an option, fused_lora.json of the adapter,
 * adapter_config.json, tensors in the adapter's file, fused_lora.json of the base, its config.json,
 * its tensors, the tokenizer's files, the data, and what holds where nobody says anything.
 */
export type MeaningSource =
  | 'option'
  | 'adapter record'
  | 'adapter config'
  | 'adapter weights'
  | 'base record'
  | 'base config'
  | 'base weights'
  | 'tokenizer'
  | 'data'
  | 'default';

/** What one source says of one thing. */
export interface Statement<T> {
  value: T;
  source: MeaningSource;
  /** For people: `--task`, `out/fused_lora.json`, `the data`. */
  place: string;
}

/** What was decided, by whom, and what weaker sources said otherwise. */
export interface Decided<T> extends Statement<T> {
  overridden: readonly Statement<T>[];
}

/** fused_lora.json, beside an adapter or a whole model. */
export interface ModelRecord {
  task?: Task | undefined;
  /** In the order of the outputs. */
  labelNames?: readonly string[] | undefined;
  /** Outputs of a head for regression. */
  numLabels?: number | undefined;
  maxLength?: number | undefined;
  truncationSide?: TruncationSide | undefined;
  /** Of multi-label classification. */
  threshold?: number | undefined;
  /** Whether it was trained on pairs of texts. */
  pairs?: boolean | undefined;
  /** What the frozen weights were held in while it was trained. */
  baseWeights?: BaseWeights | undefined;
  embeddingWeights?: EmbeddingWeights | undefined;
}

/** A model's folder (or a config.json alone), read once. */
export interface BaseFacts {
  /** For messages. */
  configFile: string;
  recordFile: string;
  weightsFile: string;
  family: ModelFamily;
  /** The first of `architectures`. */
  architecture: string | undefined;
  /** `problem_type`. */
  problemType: string | undefined;
  /** id2label by id, else label2id where that alone has names; empty where there is none. */
  labelNames: readonly string[];
  /** The field of config.json that they are from. Default id2label. */
  labelField?: 'id2label' | 'label2id';
  /** Where id2label and label2id say different things, or id2label names no outputs. */
  labelNotes?: readonly string[];
  /** Why the names of id2label are none. */
  labelProblem?: string | undefined;
  /** By id2label or num_labels. */
  numLabels: number | undefined;
  /** Most tokens of a text that the model has positions for. */
  positions: number;
  record: ModelRecord | undefined;
  /** Shapes of the tensors of a head, by path in the model. */
  head: ReadonlyMap<string, readonly number[]>;
}

/** The same of an adapter. */
export interface AdapterFacts
  extends Pick<AdapterFolderFacts, 'configFile' | 'task' | 'taskType' | 'head' | 'numLabels'> {
  recordFile: string;
  weightsFile: string;
  record: ModelRecord | undefined;
}

/** What the files of a tokenizer say. */
export interface TokenizerFacts {
  /** For messages. */
  folder: string;
  /** model_max_length, where it is a length and no number that stands for none. */
  maxLength: number | undefined;
  truncationSide: TruncationSide | undefined;
}

/** What the data show of labels, found in one pass. */
export interface LabelFacts {
  /**
   * Names that a model of these data alone would have, in order; undefined for regression, and
   * where options have them.
   */
  names: readonly string[] | undefined;
  /** As written, with the first row and the number of rows (or words) of each. */
  uses: ReadonlyMap<string, { place: string; count: number }>;
  /** The same of dev. */
  devUses: ReadonlyMap<string, { place: string; count: number }> | undefined;
  /** Names by id, where Parquet files tell them. */
  classNames: readonly string[] | undefined;
  /** Whether the labels are lists of 0 and 1, one for each label. */
  multiHot: boolean;
  /** Rows that have the label of each place, of multi-hot lists: of train, and of dev. */
  hot?: readonly [train: readonly number[], dev: readonly number[]];
  /** Numbers a row, of regression. */
  width: number | undefined;
  pairs: boolean | undefined;
}

/** What a user says; the command line has a flag of each. */
export interface MeaningOptions {
  task?: Task | undefined;
  numLabels?: number | undefined;
  labelNames?: readonly string[] | undefined;
  threshold?: number | undefined;
  maxLength?: number | undefined;
  truncationSide?: TruncationSide | undefined;
  ignoreMismatchedSizes?: boolean | undefined;
}

/** What the model is opened for: training may start a head anew, and asks the data. */
export type Purpose = 'train' | 'use';

/** A part of the model that no file has values for. */
export interface NewWeights {
  /** Path of the module: `classifier`, `bert.pooler`. */
  path: string;
  /** missing: no file has it. mismatched: the base has it in another shape. */
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
  /** Of multi-label classification. */
  threshold: Decided<number>;
  /** Whether rows are pairs of texts; undefined where nobody says. */
  pairs: Decided<boolean> | undefined;
  /** Most tokens of a row, special tokens counted. */
  maxLength: Decided<number>;
  truncationSide: Decided<TruncationSide>;
  /** Its folder; undefined where a plan needs none. */
  tokenizer: Decided<string> | undefined;
  /** Whether the base's own head is of another kind of task and left out. */
  leavesHeadOut: boolean;
  /** Further lines about what was decided: class ids in place of names, a label without a row. */
  notes: readonly string[];
}
