import type { JsonObject } from '../../src/io/json';

/** Small configurations of both families; every field that transformers always writes. */
export const TINY_ROBERTA: JsonObject = {
  model_type: 'roberta',
  architectures: ['RobertaForMaskedLM'],
  vocab_size: 30,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 24,
  max_position_embeddings: 18,
  type_vocab_size: 1,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  initializer_range: 0.02,
  layer_norm_eps: 1e-5,
  pad_token_id: 1,
};

export const TINY_BERT: JsonObject = {
  ...TINY_ROBERTA,
  model_type: 'bert',
  architectures: ['BertModel'],
  max_position_embeddings: 16,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
};

/** A copy of a configuration without some fields. */
export function without(config: JsonObject, ...fields: string[]): JsonObject {
  return Object.fromEntries(Object.entries(config).filter(([field]) => !fields.includes(field)));
}
