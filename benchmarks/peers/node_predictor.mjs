/**
 * What the Node peers share: batches padded to their longest, and the calls that predict.
 * The calls: lib/protocol.ts. Each peer opens its own models: onnxruntime_peer.mjs, for one.
 */
import os from 'node:os';
import { serve } from '../lib/serve.ts';

/**
 * @param info versions
 * @param open makes, from the folder of export_onnx.py, the pad token's id and the number of
 *   threads, a function from (ids, mask, rows, columns) to a batch's logits
 * @param profile where there is one: the answer to `profilePrediction`, from the same and the batch
 */
export function servePredictor(info, open, profile) {
  let threads = os.availableParallelism();
  let model;
  let run;
  let batches = [];
  const reopen = async () => {
    if (model) run = await open(model, threads);
  };
  serve({
    info: () => ({ ...info, threads }),
    threads: ({ count }) => {
      threads = count;
      return reopen();
    },
    load: async ({ folder, pad }) => {
      const started = performance.now();
      model = { folder, pad };
      await reopen();
      return { parameters: 0, learnable: 0, seconds: (performance.now() - started) / 1000 };
    },
    batches: ({ batches: given }) => {
      batches = given.map((batch) => {
        const columns = Math.max(...batch.map(({ ids }) => ids.length));
        const ids = new BigInt64Array(batch.length * columns).fill(BigInt(model.pad));
        const mask = new BigInt64Array(batch.length * columns);
        batch.forEach((sentence, row) => {
          sentence.ids.forEach((id, column) => {
            ids[row * columns + column] = BigInt(id);
            mask[row * columns + column] = 1n;
          });
        });
        return { ids, mask, rows: batch.length, columns };
      });
    },
    profilePrediction: ({ index, runs }) => profile(model, threads, batches[index], runs),
    predict: async ({ steps }) => {
      const logits = [];
      const started = performance.now();
      for (const index of steps) {
        const { ids, mask, rows, columns } = batches[index];
        logits.push(Array.from(await run(ids, mask, rows, columns)));
      }
      return { seconds: (performance.now() - started) / 1000, logits };
    },
  });
}
