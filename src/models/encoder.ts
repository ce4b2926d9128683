/**
 * Embeddings, the stack of layers and BERT's pooler, under transformers' names. One layer is
 * nn/encoder_layer.ts; heads are in heads.ts.
 */
import { embeddingSum } from '../graph/ops';
import type { Graph, Value } from '../graph/value';
import { Dropout, Embedding, EncoderLayer, LayerNorm, Linear, Module, ModuleList } from '../nn';
import { Activation } from '../nn/activation';
import type { EncoderConfig } from './config';

/** dropout(LayerNorm(word[id] + type[typeId] + position[positionId])). */
export class Embeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  readonly token_type_embeddings: Embedding;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(config: EncoderConfig) {
    super();
    const { hiddenSize, padTokenId: paddingIndex, initializerRange: std } = config;
    this.word_embeddings = new Embedding(config.vocabSize, hiddenSize, { paddingIndex, std });
    this.position_embeddings = new Embedding(config.maxPositionEmbeddings, hiddenSize, {
      paddingIndex: config.family === 'roberta' ? paddingIndex : undefined,
      std,
    });
    this.token_type_embeddings = new Embedding(config.typeVocabSize, hiddenSize, { std });
    this.LayerNorm = new LayerNorm(hiddenSize, config.layerNormEps);
    this.dropout = new Dropout(config.hiddenDropout);
  }

  /** All inputs [T] i32. @returns [T, hiddenSize] */
  forward(inputIds: Value, positionIds: Value, tokenTypeIds: Value): Value {
    const sum = embeddingSum(
      this.word_embeddings.term(inputIds),
      this.token_type_embeddings.term(tokenTypeIds),
      this.position_embeddings.term(positionIds),
    );
    return this.dropout.call(this.LayerNorm.call(sum));
  }
}

/** The stack of layers. */
export class Encoder extends Module {
  readonly layer: ModuleList<EncoderLayer>;

  constructor(config: EncoderConfig) {
    super();
    this.layer = new ModuleList(
      Array.from(
        { length: config.numHiddenLayers },
        () =>
          new EncoderLayer({
            hiddenSize: config.hiddenSize,
            numHeads: config.numAttentionHeads,
            intermediateSize: config.intermediateSize,
            activation: config.hiddenAct,
            hiddenDropout: config.hiddenDropout,
            attentionDropout: config.attentionDropout,
            layerNormEps: config.layerNormEps,
            std: config.initializerRange,
          }),
      ),
    );
  }

  forward(x: Value, cuSeqlens: Value): Value {
    return this.layer.call(x, cuSeqlens);
  }
}

/** BERT's pooler: tanh(x Wᵀ + b) of the first token of each sequence. */
export class Pooler extends Module {
  readonly dense: Linear;
  readonly activation = new Activation('tanh');

  constructor(config: EncoderConfig) {
    super();
    this.dense = new Linear(config.hiddenSize, config.hiddenSize, { std: config.initializerRange });
  }

  /** tanh of a product with each first token. @param x [S, hiddenSize] @param firstToken [S] */
  forward(x: Value, firstToken: Value): Value {
    return this.activation.call(this.dense.call(x, firstToken));
  }
}

/** Embeddings and encoder: `roberta` or `bert` in a model with a head. */
export class EncoderModel extends Module {
  readonly embeddings: Embeddings;
  readonly encoder: Encoder;
  readonly pooler: Pooler | undefined;

  constructor(config: EncoderConfig, options: { pooler?: boolean } = {}) {
    super();
    this.embeddings = new Embeddings(config);
    this.encoder = new Encoder(config);
    this.pooler = options.pooler ? new Pooler(config) : undefined;
  }

  /**
   * The hidden states of all tokens, unpooled.
   *
   * @param inputIds [T] i32, as positionIds and tokenTypeIds are; cuSeqlens [S+1] i32
   * @returns [T, hiddenSize]
   */
  forward(inputIds: Value, positionIds: Value, tokenTypeIds: Value, cuSeqlens: Value): Value {
    return this.encoder.call(this.embeddings.call(inputIds, positionIds, tokenTypeIds), cuSeqlens);
  }

  /** {@link forward} on the batch inputs of a graph. */
  callOn(graph: Graph): Value {
    return (this as EncoderModel).call(
      graph.input('inputIds', 'i32', ['T']),
      graph.input('positionIds', 'i32', ['T']),
      graph.input('tokenTypeIds', 'i32', ['T']),
      graph.input('cuSeqlens', 'i32', ['S+1']),
    );
  }
}
