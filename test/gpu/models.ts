/** Models and batches of the checks on a GPU: random weights, the same in every call. */
import {
  Activation,
  addAdapter,
  createModel,
  Dropout,
  Embedding,
  type EncodedExample,
  type Graph,
  LayerNorm,
  Linear,
  Model,
  ops,
  packBatch,
  type Value,
} from '../../src';
import type { Batch } from '../../src/data/batch/batch';

export interface ModelSize {
  hidden: number;
  layers: number;
  vocabulary: number;
  /** Tokens of the longest sentence. */
  longest: number;
  sentences: number;
}

export const SMALL: ModelSize = { hidden: 32, layers: 2, vocabulary: 60, longest: 8, sentences: 3 };
/** RoBERTa-base's layers, fewer of them. */
export const BASE: ModelSize = { hidden: 768, layers: 4, vocabulary: 5000, longest: 60, sentences: 16 };

const LORA = { r: 8, loraAlpha: 16, targetModules: ['query', 'value', 'dense', 'widen', 'narrow'] };

/** x + dropout(f(x W1ᵀ + b1) W2ᵀ + b2), normalised. */
class Block extends Model {
  readonly widen: Linear;
  readonly activation = new Activation('gelu');
  readonly narrow: Linear;
  readonly dropout = new Dropout(0.1);
  readonly norm: LayerNorm;

  constructor(hidden: number) {
    super();
    this.widen = new Linear(hidden, 4 * hidden);
    this.narrow = new Linear(4 * hidden, hidden);
    this.norm = new LayerNorm(hidden);
  }

  forward(x: Value): Value {
    const inner = this.narrow.call(this.activation.call(this.widen.call(x)));
    return this.norm.call(ops.add(x, this.dropout.call(inner)));
  }

  forwardLogits(): Value {
    throw new Error('a block is no model');
  }
}

/**
 * Embeddings, blocks without attention, a classifier on first
 * tokens: what a backend without an attention op can train.
 */
class TokenModel extends Model {
  readonly words: Embedding;
  readonly positions: Embedding;
  readonly classifier: Linear;

  constructor(size: ModelSize) {
    super();
    this.words = new Embedding(size.vocabulary, size.hidden, { std: 1 });
    this.positions = new Embedding(size.longest + 2, size.hidden, { std: 1 });
    for (let i = 0; i < size.layers; i++) Object.assign(this, { [`block${i}`]: new Block(size.hidden) });
    this.classifier = new Linear(size.hidden, 3);
  }

  forward(ids: Value, positions: Value, firstToken: Value): Value {
    let x = ops.add(this.words.call(ids), this.positions.call(positions));
    for (const block of Object.values(this)) if (block instanceof Block) x = block.call(x);
    return this.classifier.call(ops.gatherRows(x, firstToken));
  }

  forwardLogits(graph: Graph): Value {
    return this.forward(
      graph.input('inputIds', 'i32', ['T']),
      graph.input('positionIds', 'i32', ['T']),
      graph.input('firstToken', 'i32', ['S']),
    );
  }
}

export const MODELS = {
  'token model': (size: ModelSize): Model => withAdapter(new TokenModel(size).nameTree(3)),
  RoBERTa: (size: ModelSize): Model =>
    withAdapter(
      createModel(
        {
          model_type: 'roberta',
          vocab_size: size.vocabulary,
          hidden_size: size.hidden,
          num_hidden_layers: size.layers,
          num_attention_heads: Math.max(1, size.hidden / 64) * (size.hidden < 64 ? 2 : 1),
          intermediate_size: 4 * size.hidden,
          max_position_embeddings: size.longest + 4,
          type_vocab_size: 1,
          pad_token_id: 1,
          hidden_act: 'gelu',
          layer_norm_eps: 1e-5,
          hidden_dropout_prob: 0.1,
          attention_probs_dropout_prob: 0.1,
        },
        { task: 'sequence-classification', numLabels: 3 },
      ),
    ),
} as const;
export type ModelKind = keyof typeof MODELS;

function withAdapter(model: Model): Model {
  addAdapter(model, LORA, { seed: 5 });
  // B is not zero, so that every gradient is there from the first step.
  let state = 9;
  for (const parameter of model.parameters().filter(({ requiresGrad }) => requiresGrad)) {
    if (!parameter.name.includes('lora_B') && !parameter.name.includes('loraB')) continue;
    const values = new Float32Array(parameter.count);
    for (let i = 0; i < values.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      values[i] = (state / 2 ** 32 - 0.5) * 0.05;
    }
    parameter.setData(values);
  }
  return model;
}

/** Batches of sentences of random lengths; `distinct` of them, so that sizes come back. */
export function batchesOf(size: ModelSize, distinct: number): Batch[] {
  let state = 1;
  const below = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  return Array.from({ length: distinct }, () => {
    const examples = Array.from({ length: size.sentences }, (): EncodedExample => {
      const length = 2 + below(size.longest - 2);
      const inputIds = Int32Array.from({ length }, () => 5 + below(size.vocabulary - 5));
      return { inputIds, tokenTypeIds: new Int32Array(length), label: below(3) };
    });
    const indices = Int32Array.from(examples, (_, i) => i);
    return packBatch(examples, indices, { offset: 2 });
  });
}
