// Two ranks whose runs are in worker threads, from the addon alone: rank 0's worker is terminated
// while its sum waits for rank 1, which comes to the sum afterwards. Each prints a line of JSON.
// Started by mpi.test.ts under mpirun; argv[2]: seconds after which a rank counts as gone.
const { on } = require('node:events');
const path = require('node:path');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function join(distributed) {
  const names = process.env.OMPI_COMM_WORLD_SIZE ? ['libmpi.so.40'] : ['libmpi.so.12', 'libmpich.so.12'];
  for (const name of names) {
    const joined = await distributed.join(name).catch(() => undefined);
    if (joined) return joined;
  }
  throw new Error(`none of ${names} is there`);
}

function makeSum({ Parameter, Program, GradientSum }) {
  const table = new Parameter('cpu', 'table', [16, 8], 'f32');
  table.write('value', new Float32Array(16 * 8).fill(1));
  const program = new Program({
    backend: 'cpu',
    compute: 'f32',
    parameters: [table],
    values: [
      { name: 'inputIds', kind: 'input', dtype: 'i32', shape: ['T'] },
      { name: 'table', kind: 'parameter', dtype: 'float', shape: [16, 8], parameter: 0 },
      { name: 'x', kind: 'computed', dtype: 'float', shape: ['T', 8], output: true },
      { name: 'dTable', kind: 'gradient', dtype: 'float', shape: [16, 8], parameter: 0 },
    ],
    instructions: [{ op: 'embeddingSum', inputs: [0, 1], outputs: [2], attributes: {}, path: 'embeddings' }],
    forwardCount: 1,
  });
  return new GradientSum(program);
}

async function work() {
  const addon = require('node-gyp-build')(path.join(__dirname, '..', '..'));
  const { rank } = await join(addon.distributed);
  const sum = makeSum(addon);
  await addon.distributed.exchange([new Uint8Array(1), new Uint8Array(1)], [1, 1], workerData.seconds);
  // What the main thread says when rank 0 has been terminated, or would have been.
  if (rank === 1) await sleep(1500);
  parentPort.postMessage({ rank });
  // Rank 0 is never told what its program has finished.
  const summing = addon.distributed.sum(sum, [1, 1], rank === 0, workerData.seconds);
  await summing.catch(({ code, message }) => parentPort.postMessage({ rank, code, message }));
}

async function main() {
  const worker = new Worker(__filename, { workerData: { seconds: Number(process.argv[2]) } });
  worker.on('error', (error) => {
    process.stdout.write(`${JSON.stringify({ error: error.message })}\n`);
    process.exit(1);
  });
  // Both may come in one turn of the event loop.
  const messages = on(worker, 'message');
  const next = async () => (await messages.next()).value[0];
  const { rank } = await next();
  if (rank === 0) {
    await sleep(300);
    const began = performance.now();
    await worker.terminate();
    process.stdout.write(`${JSON.stringify({ rank, seconds: (performance.now() - began) / 1000 })}\n`);
    // A rank that ends takes the others with it: rank 1 has something to say before.
    await sleep(6000);
    process.exit(0);
  }
  process.stdout.write(`${JSON.stringify(await next())}\n`);
  process.exit(0);
}

if (isMainThread) {
  // As src/distributed/mpi_group.ts; a worker's environment is a copy that MPI does not see.
  process.env.UCX_MEM_EVENTS ??= 'no';
  void main();
} else void work();
