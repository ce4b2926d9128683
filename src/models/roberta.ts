/**
 * RoBERTa, XLM-RoBERTa and CamemBERT with a head for each task. The encoder is in encoder.ts;
 * BERT's models in bert.ts.
 */
import type { TaskSettings } from '../base/tasks';
import type { Value } from '../graph/value';
import { type Dropout, Linear } from '../nn';
import type { EncoderConfig } from './config';
import { EncoderModel } from './encoder';
import { ClassificationHead, headDropout, RobertaLmHead } from './heads';
import { firstTokens, maskedTokens, TaskModel, tokenLogits } from './task_model';

/** XLM-RoBERTa and CamemBERT are RoBERTa under other names. */
const PREFIXES: Readonly<Record<string, string>> = { 'xlm-roberta': 'XLMRoberta', camembert: 'Camembert' };

abstract class RobertaTaskModel extends TaskModel {
  readonly roberta: EncoderModel;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings);
    this.roberta = new EncoderModel(config);
  }

  get encoderModel(): EncoderModel {
    return this.roberta;
  }

  get architecture(): string {
    return `${PREFIXES[this.config.modelType] ?? 'Roberta'}${this.constructor.name.slice('Roberta'.length)}`;
  }
}

/** RoBERTa with a label, or regression targets, for each sequence. Logits [S, numLabels]. */
export class RobertaForSequenceClassification extends RobertaTaskModel {
  readonly classifier: ClassificationHead;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings);
    this.classifier = new ClassificationHead(config, settings.numLabels);
  }

  forward(x: Value): Value {
    const { rows, firstToken } = firstTokens(x);
    return this.classifier.call(rows, firstToken);
  }
}

/** RoBERTa with a label for each token. Logits [T, numLabels]. */
export class RobertaForTokenClassification extends RobertaTaskModel {
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings);
    this.dropout = headDropout(config);
    this.classifier = new Linear(config.hiddenSize, settings.numLabels, { std: config.initializerRange });
  }

  forward(x: Value): Value {
    return tokenLogits(this, x);
  }
}

/** RoBERTa that predicts masked tokens. Logits [M, vocabSize]. */
export class RobertaForMaskedLM extends RobertaTaskModel {
  readonly lm_head: RobertaLmHead;

  constructor(config: EncoderConfig, settings: TaskSettings) {
    super(config, settings);
    this.lm_head = new RobertaLmHead(config, this.roberta.embeddings.word_embeddings.weight);
  }

  forward(x: Value): Value {
    const { rows, rowIndex } = maskedTokens(x);
    return this.lm_head.call(rows, rowIndex);
  }
}
