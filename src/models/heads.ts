/**
 * What stands on an encoder: RoBERTa's classification head and both families' masked-LM heads.
 * Which model has which: roberta.ts, bert.ts.
 */
import type { Parameter } from '../graph/parameter';
import type { Value } from '../graph/value';
import { Activation, Dropout, initializedParameter, LayerNorm, Linear, Module } from '../nn';
import type { EncoderConfig } from './config';

/** Dropout of the head. */
export function headDropout(config: EncoderConfig): Dropout {
  return new Dropout(config.classifierDropout ?? config.hiddenDropout);
}

/**
 * RoBERTa's classification head on the first token of each sequence: dropout, dense, tanh, dropout,
 * out_proj.
 */
export class ClassificationHead extends Module {
  readonly dense: Linear;
  readonly activation = new Activation('tanh');
  readonly dropout: Dropout;
  readonly out_proj: Linear;

  constructor(config: EncoderConfig, numLabels: number) {
    super();
    const std = config.initializerRange;
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { std });
    this.dropout = headDropout(config);
    this.out_proj = new Linear(config.hiddenSize, numLabels, { std });
  }

  /**
   * @param x [S, hiddenSize]
   * @param firstToken [S] i32, the tokens that these rows are
   * @returns [S, numLabels]
   */
  forward(x: Value, firstToken: Value): Value {
    const h = this.activation.call(this.dense.call(this.dropout.call(x, firstToken), firstToken));
    return this.out_proj.call(this.dropout.call(h, firstToken), firstToken);
  }
}

/** LayerNorm(f(x Wᵀ + b)): BERT's `cls.predictions.transform`. */
export class PredictionTransform extends Module {
  readonly dense: Linear;
  readonly transform_act_fn: Activation;
  readonly LayerNorm: LayerNorm;

  constructor(config: EncoderConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { std: config.initializerRange });
    this.transform_act_fn = new Activation(config.hiddenAct);
    this.LayerNorm = new LayerNorm(config.hiddenSize, config.layerNormEps);
  }

  forward(x: Value, rowIndex: Value): Value {
    return this.LayerNorm.call(this.transform_act_fn.call(this.dense.call(x, rowIndex)));
  }
}

/**
 * The decoder to the vocabulary: its weight is the word embedding, its bias that of the head. One
 * parameter each, at two paths.
 */
function tiedDecoder(words: Parameter, bias: Parameter): Linear {
  const [vocabSize, hiddenSize] = words.shape as [number, number];
  return new Linear(hiddenSize, vocabSize, { weight: words, bias });
}

/** BERT's masked-LM head: transform, then the tied decoder. */
export class BertPredictions extends Module {
  readonly transform: PredictionTransform;
  readonly bias: Parameter;
  readonly decoder: Linear;

  constructor(config: EncoderConfig, words: Parameter) {
    super();
    this.transform = new PredictionTransform(config);
    this.bias = initializedParameter([config.vocabSize], { kind: 'constant', value: 0 });
    this.decoder = tiedDecoder(words, this.bias);
  }

  /**
   * @param x [M, hiddenSize]
   * @param rowIndex [M] i32, the tokens that these rows are
   * @returns [M, vocabSize]
   */
  forward(x: Value, rowIndex: Value): Value {
    return this.decoder.call(this.transform.call(x, rowIndex), rowIndex);
  }
}

/** What transformers calls `cls` in BERT. */
export class BertLmHead extends Module {
  readonly predictions: BertPredictions;

  constructor(config: EncoderConfig, words: Parameter) {
    super();
    this.predictions = new BertPredictions(config, words);
  }

  forward(x: Value, rowIndex: Value): Value {
    return this.predictions.call(x, rowIndex);
  }
}

/**
 * RoBERTa's masked-LM head: dense, gelu (whatever hidden_act is, as in transformers), layer_norm,
 * tied decoder.
 */
export class RobertaLmHead extends Module {
  readonly dense: Linear;
  readonly activation = new Activation('gelu');
  readonly layer_norm: LayerNorm;
  readonly bias: Parameter;
  readonly decoder: Linear;

  constructor(config: EncoderConfig, words: Parameter) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { std: config.initializerRange });
    this.layer_norm = new LayerNorm(config.hiddenSize, config.layerNormEps);
    this.bias = initializedParameter([config.vocabSize], { kind: 'constant', value: 0 });
    this.decoder = tiedDecoder(words, this.bias);
  }

  /**
   * @param x [M, hiddenSize]
   * @param rowIndex [M] i32, the tokens that these rows are
   * @returns [M, vocabSize]
   */
  forward(x: Value, rowIndex: Value): Value {
    const h = this.layer_norm.call(this.activation.call(this.dense.call(x, rowIndex)));
    return this.decoder.call(h, rowIndex);
  }
}
