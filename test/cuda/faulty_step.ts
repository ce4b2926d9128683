/**
 * Trains the small token model on the device cuda until something goes wrong, then tries again, and
 * prints what both times gave as JSON lines: the code and message of the error and the call that
 * threw it, or the loss. `--tokens N`: a batch of about so many.
 */
import { parseArgs } from 'node:util';
import { type BackendName, type Model, Program, plan, trace } from '../../src';
import type { Batch } from '../../src/data/batch/batch';
import { chooseDevice } from '../../src/graph/device';
import { native } from '../../src/native';
import { batchesOf, MODELS, SMALL } from '../gpu/models';

const { values } = parseArgs({ options: { tokens: { type: 'string' }, steps: { type: 'string', default: '2' } } });
const sentences = values.tokens === undefined ? SMALL.sentences : Math.ceil(Number(values.tokens) / 7);

/** The call of the step that is under way. */
let during = 'building';

async function train(): Promise<number> {
  const { backend } = chooseDevice('cuda');
  const model = MODELS['token model'](SMALL);
  try {
    return await steps(model, backend);
  } finally {
    model.dispose();
  }
}

async function steps(model: Model, backend: BackendName): Promise<number> {
  using program = new Program(plan(trace(model, { training: true, loss: true }), { train: true }), { backend });
  const [batch] = batchesOf({ ...SMALL, sentences }, 1) as [Batch];
  during = 'reserve';
  await program.reserve(batch.sizes);
  let last = Number.NaN;
  for (let step = 1; step <= Number(values.steps); step++) {
    during = 'accumulate';
    await program.accumulate(batch, { forwardNumber: step, zeroGradients: true });
    during = 'apply';
    const { loss } = await program.apply({
      groups: [{ learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }],
      groupOf: () => 0,
      step,
    });
    last = loss;
  }
  return last;
}

async function attempt(): Promise<void> {
  during = 'building';
  try {
    console.log(JSON.stringify({ loss: await train() }));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    console.log(JSON.stringify({ code, message, during }));
  }
}

attempt()
  .then(attempt)
  .then(() => console.log(JSON.stringify(native().info().cuda)));
