/**
 * Predictions by onnxruntime-node on the exported graph, on the CPU with all optimisations, and
 * where their time goes by its own profiler.
 * Batches and calls: node_predictor.mjs. The export: export_onnx.py.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { servePredictor } from './node_predictor.mjs';

const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json');

async function open({ folder }, threads, options = {}) {
  const session = await ort.InferenceSession.create(path.join(folder, 'onnx', 'model.onnx'), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    ...options,
  });
  const run = async (ids, mask, rows, columns) => {
    const tensor = (data) => new ort.Tensor('int64', data, [rows, columns]);
    const { logits } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(mask) });
    return logits.data;
  };
  return { session, run };
}

/**
 * Parts as lib/predict_profile.ts names them. Of a product with a weight, which is packed when the
 * session is made, the events have the input and the output alone.
 */
function partOf({ op_name: op, input_type_shape: inputs = [], output_type_shape: outputs = [] }) {
  const [first, second] = inputs.map((input) => Object.values(input)[0]);
  const rank = Math.max(0, ...inputs.map((input) => Object.values(input)[0].length));
  if (rank === 4 || /Attention|Softmax/.test(op)) return 'attention';
  if (/MatMul|Gemm/.test(op) && (second?.length ?? 0) <= 2) {
    return `${first?.at(-1)} → ${Object.values(outputs[0] ?? {})[0]?.at(-1)}`;
  }
  if (/LayerNorm/.test(op)) return 'LayerNorm';
  if (/Gelu|Erf/.test(op) || (op === 'Add' && rank === 3)) return 'bias, GELU';
  return /Gather/.test(op) ? 'embeddings' : 'small ops';
}

async function profile(model, threads, { ids, mask, rows, columns }, runs) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-ort-'));
  try {
    const profiling = { enableProfiling: true, profileFilePrefix: path.join(folder, 'profile') };
    const { session, run } = await open(model, threads, profiling);
    for (let i = 0; i <= runs; i++) await run(ids, mask, rows, columns);
    session.endProfiling();
    await session.release();
    const [file] = fs.readdirSync(folder);
    const events = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
    // The first run warms up.
    const whole = events.filter(({ name }) => name === 'model_run').slice(1);
    const nodes = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'));
    return {
      runs: whole.map(({ ts, dur }) => {
        const parts = {};
        for (const node of nodes) {
          if (node.ts < ts || node.ts >= ts + dur) continue;
          const part = partOf(node.args);
          parts[part] = (parts[part] ?? 0) + node.dur / 1e6;
        }
        return { seconds: dur / 1e6, parts };
      }),
    };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

servePredictor({ 'onnxruntime-node': version }, async (model, threads) => (await open(model, threads)).run, profile);
