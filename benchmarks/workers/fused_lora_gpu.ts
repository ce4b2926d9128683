/**
 * Our side of bench:gpu as a process of its own: training
 * steps on the GPU, and the memory they take there.
 * On a CPU: fused_lora.ts.
 */
import {
  type EncodedExample,
  loadAdapter,
  loadModel,
  type Precision,
  Program,
  packBatch,
  plan,
  type TaskModel,
  trace,
} from '../../src';
import type { Batch } from '../../src/data/batch/batch';
import { positionsOf } from '../../src/data/batch/sources';
import { native } from '../../src/native';
import type { TokenBatch } from '../lib/batches';
import { serve } from '../lib/serve';

interface Load {
  folder: string;
  adapter?: string;
  method: 'lora' | 'full';
  /** Of products. Default bf16, as the peers'. */
  precision?: Precision;
  /** One op for LoRA products and epilogues. Default true. */
  fused?: boolean;
  /** Steps as CUDA graphs. Default true. */
  graphs?: boolean;
}

let model: TaskModel;
let program: Program;
let batches: Batch[] = [];
let step = 0;

function load({ folder, adapter, method, precision = 'bf16', fused = true, graphs = true }: Load) {
  model = loadModel(folder).model;
  if (method === 'lora') loadAdapter(model, adapter as string, { trainable: true });
  else model.requiresGrad_(true);
  program = new Program(plan(trace(model, { training: true, loss: true }), { train: true, fused, precision }), {
    backend: 'cuda',
    cudaGraphs: graphs,
  });
  const count = (parameters: { count: number }[]) => parameters.reduce((sum, p) => sum + p.count, 0);
  return {
    parameters: count(model.parameters()),
    learnable: count(model.parameters().filter((p) => p.requiresGrad)),
  };
}

async function setBatches({ batches: given }: { batches: TokenBatch[] }): Promise<void> {
  batches = given.map((batch) => {
    const examples = batch.map(
      ({ ids, label }): EncodedExample => ({
        inputIds: Int32Array.from(ids),
        tokenTypeIds: new Int32Array(ids.length),
        label,
      }),
    );
    return packBatch(
      examples,
      Int32Array.from(examples, (_, i) => i),
      positionsOf(model),
    );
  });
  const largest = batches.reduce((most, batch) => (batch.sizes.T > most.sizes.T ? batch : most));
  await program.reserve(largest.sizes);
}

async function train({ steps, learningRate }: { steps: number[]; learningRate: number }) {
  const losses: number[] = [];
  const started = performance.now();
  for (const index of steps) {
    await program.accumulate(batches[index] as Batch, { forwardNumber: step, zeroGradients: true });
    const { applied, loss } = await program.apply({
      groups: [{ learningRate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }],
      groupOf: () => 0,
      step: ++step,
      maxGradNorm: 1,
    });
    if (!applied) throw new Error(`step ${step}: the loss ${loss} or its gradient is not finite`);
    losses.push(loss);
  }
  return { seconds: (performance.now() - started) / 1000, losses };
}

serve({
  info: () => native().info(),
  load,
  batches: setBatches,
  train,
  memory: () => ({ peakBytes: native().info().cuda.peakBytes, recorded: program.recordedSteps() }),
});
