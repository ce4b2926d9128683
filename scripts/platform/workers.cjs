/**
 * An addon that worker threads alone open, in a process whose main thread never does: two at once,
 * then one more after the last was closed. Node closes it with each of them; threads of the addon's
 * own may run on, which once crashed. Run by scripts/test-platform.mjs after trial.cjs.
 * Usage: node workers.cjs MODEL_FOLDER STEPS RESULT_FILE
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');

async function train({ model, steps, outputDir }) {
  const { fineTune } = require('fused-lora');
  const losses = [];
  await fineTune({
    model,
    train: [
      { text: 'a warm and funny film', label: 'positive' },
      { text: 'dull', label: 'negative' },
    ],
    outputDir,
    overwrite: true,
    method: 'lora',
    batchSize: 2,
    maxSteps: steps,
    precision: 'fp32',
    callbacks: [{ onStep: ({ loss }) => losses.push(loss) }],
  });
  // Nothing is disposed of: a thread may end with its model in use.
  parentPort.postMessage(losses);
}

/** Losses of a worker that has ended, by itself or `stopped`. */
function inWorker(data, stopped) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: data });
    let losses;
    worker.on('message', (message) => {
      losses = message;
      if (stopped) worker.terminate();
    });
    worker.on('error', reject);
    worker.on('exit', (code) => (losses ? resolve(losses) : reject(new Error(`a worker ended with ${code}`))));
  });
}

async function main([model, steps, resultFile]) {
  const data = (outputDir) => ({ model, steps: Number(steps), outputDir });
  const all = await Promise.all([inWorker(data('worker-0'), true), inWorker(data('worker-1'), false)]);
  all.push(await inWorker(data('worker-2'), true));
  assert.equal(all[0].length, Number(steps));
  for (const losses of all) assert.deepEqual(losses, all[0]);
  // Whether a closed addon crashes is chance; whether it is still there can be read from /proc.
  if (fs.existsSync('/proc/self/maps'))
    assert.match(fs.readFileSync('/proc/self/maps', 'utf8'), /fused-lora\.node/, 'the addon was unloaded');
  fs.writeFileSync(resultFile, JSON.stringify(all[0]));
}

const work = isMainThread ? main(process.argv.slice(2)) : train(workerData);
work.catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
