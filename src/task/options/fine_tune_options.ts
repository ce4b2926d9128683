/**
 * What fineTune can be told, as types: one interface out of those of data, hub, model and trainer.
 * Defaults, flags and effects of each option stand in option_table.ts.
 */

import type { BatchSizes } from '../../data/batch/sources';
import type { ColumnOptions } from '../../data/read/columns';
import type { ExampleData } from '../../data/read/load';
import type { Distributed } from '../../distributed/join';
import type { DeviceOption } from '../../graph/device';
import type { HubOptions } from '../../io/hub';
import type { LoraConfig } from '../../lora';
import type { KeptStates } from '../../train/kept_states';
import type { TrainerOptions } from '../../train/options';
import type { Method } from '../method';
import type { OpenTextModelOptions, TextModel } from '../text_model';

/** Options that are handed on to whoever opens the model. */
export type ModelSettings = Pick<
  OpenTextModelOptions,
  | 'tokenizer'
  | 'maxLength'
  | 'truncationSide'
  | 'numLabels'
  | 'hiddenDropout'
  | 'attentionDropout'
  | 'classifierDropout'
  | 'modelType'
  | 'ignoreMismatchedSizes'
>;

/**
 * What a label is: a class a text, any number of labels a text, numbers a text, or a class a word
 * (of examples with `tokens`).
 */
export const FINE_TUNE_TASKS = [
  'sequence-classification',
  'multi-label-classification',
  'regression',
  'token-classification',
] as const;
/** One of {@link FINE_TUNE_TASKS}. */
export type FineTuneTask = (typeof FINE_TUNE_TASKS)[number];

/** What is trained and measured on, and how much of it is in memory. */
export interface TrainingDataChoice {
  /**
   * Examples, or data files (whose columns `textColumn`, `labelColumn` and so on choose), or what
   * gives examples.
   */
  train: ExampleData;
  /** Measured by `evaluateEvery`, and at the end. */
  dev?: ExampleData;
  /**
   * Without `dev`: the share of `train` that is set aside to measure on, with the same share of
   * each class; a function of the seed. Default: none.
   */
  devSplit?: number;
  /**
   * Read `train` while training goes on, `shuffleWindow` examples in memory: for what does not fit.
   * Files, and functions that give an iterable, are passed over once first; an iterable is read
   * once, with `maxSteps`. Default false: everything is read into memory.
   */
  stream?: boolean;
  /** Of a stream: examples in memory, within which they are shuffled. Default 16,384. */
  shuffleWindow?: number;
}

/** What makes the loss of classes another one. */
export interface LossChoice {
  /** Share of the target that is spread over all classes, at least 0 and below 1. Default 0. */
  labelSmoothing?: number;
  /** A weight a class. Default: ones. */
  classWeights?: readonly number[];
}

/** Of {@link fineTune}. */
export interface FineTuneOptions
  extends Omit<TrainerOptions, 'trace' | 'backend' | 'evaluate' | 'learningRate' | 'outputDir' | 'identity' | 'group'>,
    BatchSizes,
    ModelSettings,
    TrainingDataChoice,
    LossChoice,
    ColumnOptions,
    HubOptions {
  /**
   * A Hugging Face model folder; a name on the hub (`roberta-base`, `owner/name`), which is
   * downloaded once; or a model that is open (its options are settled then). Default, and the only
   * one: the base of `adapter`.
   */
  model?: string | TextModel;
  /**
   * An adapter to train on from, made here or by PEFT: a folder, or a name on the hub. Its rank,
   * modules, task, labels and head are those of its files; fields of `lora` that say otherwise are
   * an error. It stays as it is; what comes of it is written to outputDir.
   */
  adapter?: string;
  /** Branch, tag or commit of a model of the hub. Default: main. */
  revision?: string;
  /** Gets the adapter or model, events.jsonl, checkpoints and the report. */
  outputDir: string;
  /**
   * Whether to write report.html, one file that shows the run: curves, mistakes, parameters,
   * settings. Default false.
   */
  report?: boolean;
  /** Whether to write event files for TensorBoard, in outputDir/tensorboard. Default false. */
  tensorboard?: boolean;
  /** Default lora. */
  method?: Method;
  /**
   * For the method lora. Default: r 8, loraAlpha 16, on all linears of the encoder. Fields that are
   * left out of one that is given take {@link LoraConfig}'s defaults, which are PEFT's.
   */
  lora?: LoraConfig;
  /**
   * Default: what the model's folder says, else what the form of the labels shows (words, lists,
   * numbers with a fraction), else sequence-classification: see docs/meaning.md.
   */
  task?: FineTuneTask;
  /**
   * Class names by id. Default: the model's where all labels are among them; else those that
   * Parquet files tell; else the labels of `train` in order. Labels that a trained head does not
   * have are an error.
   */
  labelNames?: readonly string[];
  /** Peak rate. Default 5e-4 for lora, 1e-3 for head, else 5e-5. */
  learningRate?: number;
  /**
   * Whether layers below all that is trained, with dropout off there, run once for each text: what
   * they give is kept (1 GiB in memory; give one {@link KeptStates} to several runs that share it).
   * Default false: they run at each pass, with the model's dropout.
   */
  keepFrozen?: boolean | KeptStates;
  /** Default auto. */
  device?: DeviceOption;
  /**
   * On several ranks, which mpirun or srun started: each computes its share of every batch, and
   * rank 0 writes files, calls `callbacks` and tells notices. Default none: this process alone; on
   * the command line mpi where several processes were started.
   */
  distributed?: Distributed;
  /** Removes checkpoints of an earlier run from outputDir, which are an error otherwise. */
  overwrite?: boolean;
  /** Told what the checkpoint did not decide, which device was taken, and the like. */
  onNotice?: (line: string) => void;
}
