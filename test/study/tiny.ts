/** A model with which a run takes a tenth of a second, and examples that it learns. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createModel, saveModel } from '../../src/models';
import { TINY } from '../task/tasks';

export function tinyModel(dir: string): string {
  const model = path.join(dir, 'model');
  const config = {
    model_type: 'roberta',
    vocab_size: 6144,
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 40,
    type_vocab_size: 1,
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    layer_norm_eps: 1e-5,
    initializer_range: 0.5,
  };
  saveModel(createModel(config, { task: 'masked-lm' }), model);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    fs.copyFileSync(path.join(TINY, name), path.join(model, name));
  }
  return model;
}
