/**
 * What the server knows of a model that it serves, as types: a classifier, or an encoder whose
 * hidden states are pooled. They are opened and named in catalog.ts.
 */
import type { Task } from '../base/tasks';
import type { Tokenizer } from '../data/tokenize/tokenizer';
import type { TruncationSide } from '../data/tokenize/truncate';
import type { TaskModel } from '../models';
import type { EmbeddingModel } from '../task/embed/open_embedding_model';

/** What all served models have. */
interface Served {
  /** As clients call it. */
  name: string;
  /** Inside of the server: one loaded again under its name is another. */
  key: string;
  /** Folder or name on the hub that it is from. */
  root: string;
  /** Name of the base model; undefined for that one. */
  parent: string | undefined;
  tokenizer: Tokenizer;
  /** Most tokens of a text. */
  maxLength: number;
  truncationSide: TruncationSide;
  model: TaskModel;
  /** Seconds since 1970. */
  created: number;
}

/** A classifier of texts or words, or a regression model. */
export interface ServedClassifier extends Served {
  kind: 'classifier';
  task: Task;
  numLabels: number;
  /** LABEL_0 … where the model has no names. */
  labelNames: readonly string[];
}

/** An encoder whose hidden states are pooled. */
export interface ServedEmbedding extends Served {
  kind: 'embedding';
  embedding: EmbeddingModel;
}

export type ServedModel = ServedClassifier | ServedEmbedding;
