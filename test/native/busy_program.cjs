// A program whose step takes long, made from the addon alone, for tests that end a process or a
// worker in the middle of it. As a process: starts a step, then ends as argv[2] says. As a worker:
// runs step after step and reports 'started'.
const path = require('node:path');
const { isMainThread, parentPort } = require('node:worker_threads');
const addon = require('node-gyp-build')(path.join(__dirname, '..', '..'));

const H = 256;
const LAYERS = 40;

function buildBusyProgram() {
  const weight = new addon.Parameter('cpu', 'weight', [H, H], 'f32');
  weight.write('value', new Float32Array(H * H).fill(1e-3));
  const table = new addon.Parameter('cpu', 'table', [16, H], 'f32');
  table.write('value', new Float32Array(16 * H).fill(1));
  const values = [
    { name: 'inputIds', kind: 'input', dtype: 'i32', shape: ['T'] },
    { name: 'table', kind: 'parameter', dtype: 'float', shape: [16, H], parameter: 0 },
    { name: 'weight', kind: 'parameter', dtype: 'float', shape: [H, H], parameter: 1 },
    { name: 'x0', kind: 'computed', dtype: 'float', shape: ['T', H] },
  ];
  const instructions = [{ op: 'embeddingSum', inputs: [0, 1], outputs: [3], attributes: {}, path: 'embeddings' }];
  for (let i = 0; i < LAYERS; i++) {
    values.push({ name: `x${i + 1}`, kind: 'computed', dtype: 'float', shape: ['T', H], output: i === LAYERS - 1 });
    instructions.push({ op: 'linear', inputs: [3 + i, 2], outputs: [4 + i], attributes: {}, path: `layer.${i}` });
  }
  const program = new addon.Program({
    backend: 'cpu',
    compute: 'f32',
    parameters: [table, weight],
    values,
    instructions,
    forwardCount: instructions.length,
  });
  const T = 256;
  return {
    program,
    weight,
    output: values.length - 1,
    start: () =>
      program.forward(
        { inputIds: new Int32Array(T).fill(3) },
        { T, S: 1, M: 0 },
        { seed: 0n, forwardNumber: 0, lossScale: 1 },
      ),
  };
}

module.exports = { addon, buildBusyProgram };

if (!isMainThread) {
  const busy = buildBusyProgram();
  const forever = () => busy.start().then(forever);
  forever();
  parentPort.postMessage('started');
} else if (require.main === module) {
  const busy = buildBusyProgram();
  const step = busy.start();
  const how = process.argv[2];
  if (how === 'exit') setTimeout(() => process.exit(0), Number(process.argv[3]));
  else if (how === 'forget') step.then(() => undefined);
}
