/**
 * text-embeddings-inference's way to serve on a CPU, in Node: POST /predict, batches of what waits,
 * padded to their longest text, at most so many texts and padded tokens, run by onnxruntime.
 * Its numbers are those of that server's onnxruntime backend. Asked by ../serve.ts.
 *
 * One text's tokens are those of this library's tokenizer, so that HTTP and batches alone differ.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { fastify } from 'fastify';
import ort from 'onnxruntime-node';
import { loadTokenizer } from '../../src/data/tokenize/tokenizer.ts';

const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json');
const MOST_TOKENS = 16_384;
const { onnx, tokenizer: folder, labels, pad, mostTexts, threads } = JSON.parse(process.argv[2]);

const tokenizer = loadTokenizer(folder);
const session = await ort.InferenceSession.create(path.join(onnx, 'onnx', 'model.onnx'), {
  executionProviders: ['cpu'],
  graphOptimizationLevel: 'all',
  intraOpNumThreads: threads,
});

/** In the order in which they came. */
const queue = [];
let working = false;

function nextBatch() {
  let [count, longest] = [0, 0];
  while (count < Math.min(queue.length, mostTexts)) {
    const length = Math.max(longest, queue[count].ids.length);
    if (count > 0 && length * (count + 1) > MOST_TOKENS) break;
    longest = length;
    count++;
  }
  return { batch: queue.splice(0, count), longest };
}

async function run({ batch, longest }) {
  const size = [batch.length, longest];
  const ids = new BigInt64Array(batch.length * longest).fill(BigInt(pad));
  const mask = new BigInt64Array(batch.length * longest);
  batch.forEach((one, row) => {
    one.ids.forEach((id, column) => {
      ids[row * longest + column] = BigInt(id);
      mask[row * longest + column] = 1n;
    });
  });
  const input_ids = new ort.Tensor('int64', ids, size);
  const { logits } = await session.run({ input_ids, attention_mask: new ort.Tensor('int64', mask, size) });
  batch.forEach(({ answer }, row) => {
    const values = logits.data.slice(row * labels.length, (row + 1) * labels.length);
    const exps = values.map((value) => Math.exp(value - Math.max(...values)));
    const sum = exps.reduce((total, value) => total + value, 0);
    const scores = labels.map((label, i) => ({ label, score: exps[i] / sum }));
    answer(scores.sort((a, b) => b.score - a.score));
  });
}

async function work() {
  if (working) return;
  working = true;
  // All that the sockets hold now are read first, as ours does.
  await new Promise((resolve) => setImmediate(resolve));
  while (queue.length > 0) await run(nextBatch());
  working = false;
}

const predict = (text) =>
  new Promise((answer) => {
    queue.push({ ids: tokenizer.encode(text).inputIds, answer });
    work();
  });

const server = fastify({ bodyLimit: 2_000_000 });
server.post('/predict', async ({ body: { inputs } }) =>
  typeof inputs === 'string' ? predict(inputs) : Promise.all(inputs.map(([text]) => predict(text))),
);
await predict('A first text, before anybody asks.');
const url = await server.listen({ port: 0 });
process.send({ url, version });
process.on('message', async () => {
  await server.close();
  process.disconnect();
});
