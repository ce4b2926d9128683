/**
 * BERT with a head for each task: pooler or none, then the head. The encoder is in encoder.ts;
 * RoBERTa, which pools in its head, in roberta.ts.
 */
import type { TaskSettings } from '../base/tasks';
import type { Value } from '../graph/value';
import { type Dropout, Linear } from '../nn';
import type { EncoderConfig } from './config';
import { EncoderModel, type Pooler } from './encoder';
import { BertLmHead, headDropout } from './heads';
import { firstTokens, maskedTokens, TaskModel, tokenLogits } from './task_model';

abstract class BertTaskModel extends TaskModel {
  readonly bert: EncoderModel;

  constructor(config: EncoderConfig, settings: TaskSettings, pooler: boolean) {
    super(config, settings);
    this.bert = new EncoderModel(config, { pooler });
  }

  get encoderModel(): EncoderModel {
    return this.bert;
  }

  get architecture(): string {
    return this.constructor.name;
  }
}

/**
 * BERT with a label, or regression targets, for each sequence: pooler, dropout, classifier. Logits
 * [S, numLabels].
 */
export class BertForSequenceClassification extends BertTaskModel {
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings, true);
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, settings.numLabels, { std: config.initializerRange });
  }

  forward(x: Value): Value {
    const { rows, firstToken } = firstTokens(x);
    const pooled = (this.bert.pooler as Pooler).call(rows, firstToken);
    return this.classifier.call(this.dropout.call(pooled, firstToken), firstToken);
  }
}

/** BERT with a label for each token. Logits [T, numLabels]. */
export class BertForTokenClassification extends BertTaskModel {
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings, false);
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, settings.numLabels, { std: config.initializerRange });
  }

  forward(x: Value): Value {
    return tokenLogits(this, x);
  }
}

/** BERT that predicts masked tokens. Logits [M, vocabSize]. */
export class BertForMaskedLM extends BertTaskModel {
  readonly cls: BertLmHead;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings, false);
    this.cls = new BertLmHead(config, this.bert.embeddings.word_embeddings.weight);
  }

  forward(x: Value): Value {
    const { rows, rowIndex } = maskedTokens(x);
    return this.cls.call(rows, rowIndex);
  }
}
