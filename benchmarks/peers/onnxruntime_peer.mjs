/**
 * Predictions by onnxruntime-node on the exported graph, on the CPU with all optimisations.
 * Batches and calls: node_predictor.mjs. The export: export_onnx.py.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { servePredictor } from './node_predictor.mjs';

const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json');

servePredictor({ 'onnxruntime-node': version }, async ({ folder }, threads) => {
  const session = await ort.InferenceSession.create(path.join(folder, 'onnx', 'model.onnx'), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
  });
  return async (ids, mask, rows, columns) => {
    const tensor = (data) => new ort.Tensor('int64', data, [rows, columns]);
    const { logits } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(mask) });
    return logits.data;
  };
});
