/**
 * What all encoders with a head share: the task, the labels, and which rows of the hidden states a
 * head reads. The heads themselves are in heads.ts; the two families in roberta.ts and bert.ts.
 */
import type { Task, TaskSettings } from '../base/tasks';
import { gatherRows } from '../graph/ops';
import type { Graph, Value } from '../graph/value';
import { binaryLoss, type Dropout, type LossOptions, Model, squaredLoss } from '../nn';
import { type EncoderConfig, maxLengthOf, positionOffsetOf } from './config';
import type { EncoderModel } from './encoder';

/** An encoder with a head, as transformers names it. */
export abstract class TaskModel extends Model implements TaskSettings {
  /**
   * What the head of the active adapter is for, where it is another than the model's: task, outputs
   * and labels are those of the head that answers. Set by src/lora.
   */
  headSettings: TaskSettings | undefined = undefined;

  constructor(
    readonly config: EncoderConfig,
    /** What the model's own head is for. */
    public ownSettings: TaskSettings,
  ) {
    super();
  }

  get task(): Task {
    return (this.headSettings ?? this.ownSettings).task;
  }

  get numLabels(): number {
    return (this.headSettings ?? this.ownSettings).numLabels;
  }

  get labelNames(): string[] {
    return (this.headSettings ?? this.ownSettings).labelNames;
  }

  /** The encoder: `this.roberta` or `this.bert`. */
  abstract get encoderModel(): EncoderModel;

  /** The name in config.json's `architectures`, e.g. RobertaForSequenceClassification. */
  abstract get architecture(): string;

  /** The position id of a sequence's first token: pad_token_id + 1 for RoBERTa, 0 for BERT. */
  get positionOffset(): number {
    return positionOffsetOf(this.config);
  }

  /**
   * Token ids that the word embedding has rows for: config.json's, unless an adapter brought an
   * embedding of another size.
   */
  get vocabSize(): number {
    return this.encoderModel.embeddings.word_embeddings.weight.shape[0] as number;
  }

  /** Most tokens of a sequence, special tokens counted. */
  get maxLength(): number {
    return maxLengthOf(this.config);
  }

  /**
   * @param x hidden states of all tokens [T, hiddenSize]; batch inputs come from its graph.
   * @returns the logits
   */
  abstract override forward(x: Value): Value;

  forwardLogits(graph: Graph): Value {
    return this.forward(this.encoderModel.callOn(graph));
  }

  override forwardLoss(graph: Graph, logits: Value, options: LossOptions): Value {
    if (this.task === 'regression') return squaredLoss(graph, logits);
    if (this.task === 'multi-label-classification') return binaryLoss(graph, logits);
    return super.forwardLoss(graph, logits, options);
  }
}

/** The hidden state of each sequence's first token, and which tokens these are. */
export function firstTokens(x: Value): { rows: Value; firstToken: Value } {
  const firstToken = x.graph.input('firstToken', 'i32', ['S']);
  return { rows: gatherRows(x, firstToken), firstToken };
}

/**
 * The hidden states of the masked tokens, and which tokens these are: only they pay for the head.
 */
export function maskedTokens(x: Value): { rows: Value; rowIndex: Value } {
  const rowIndex = x.graph.input('rowIndex', 'i32', ['M']);
  return { rows: gatherRows(x, rowIndex), rowIndex };
}

/** Dropout and a Linear on every token: the head for token classification of both families. */
export function tokenLogits(model: { dropout: Dropout; classifier: { call(x: Value): Value } }, x: Value): Value {
  return model.classifier.call(model.dropout.call(x));
}
