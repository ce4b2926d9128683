/**
 * Predictions by transformers.js with the same weights; in Node it runs on onnxruntime-node too.
 * Batches and calls: node_predictor.mjs.
 */
import path from 'node:path';
import { AutoModelForSequenceClassification, env, Tensor } from '@huggingface/transformers';
import { servePredictor } from './node_predictor.mjs';

env.allowRemoteModels = false;

servePredictor({ '@huggingface/transformers': env.version }, async ({ folder }, threads) => {
  env.localModelPath = path.dirname(folder);
  const model = await AutoModelForSequenceClassification.from_pretrained(path.basename(folder), {
    dtype: 'fp32',
    device: 'cpu',
    session_options: { intraOpNumThreads: threads },
  });
  return async (ids, mask, rows, columns) => {
    const tensor = (data) => new Tensor('int64', data, [rows, columns]);
    const { logits } = await model({ input_ids: tensor(ids), attention_mask: tensor(mask) });
    return logits.data;
  };
});
