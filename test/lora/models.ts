import * as fs from 'node:fs';
import { plan } from '../../src/graph/plan';
import { type BatchTensors, Program } from '../../src/graph/program';
import type { JsonObject } from '../../src/io/json';
import { createModel, type Task, type TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import { sharedData } from '../io/temporary';
import { TINY_BERT, TINY_ROBERTA } from '../models/configs';

export const tinyRoberta = (task: Task = 'sequence-classification', numLabels = 2) =>
  createModel(TINY_ROBERTA, { task, ...(task === 'masked-lm' ? {} : { numLabels }), seed: 1 });

export const tinyBert = (task: Task = 'sequence-classification') => createModel(TINY_BERT, { task, seed: 1 });

/**
 * RoBERTa-base by its real config.json, with values that are
 * made only when they are read; undefined without the data.
 */
export function robertaBase(task: Task, numLabels = 2): TaskModel | undefined {
  const file = sharedData('configs', 'roberta-base.json');
  if (!file) return undefined;
  return createModel(JSON.parse(fs.readFileSync(file, 'utf8')) as JsonObject, { task, numLabels });
}

/** Names of the parameters that are trained. */
export const trainedNames = (model: TaskModel) =>
  model
    .namedParameters()
    .filter(([, p]) => p.requiresGrad)
    .map(([name]) => name);

/** Every value of a model by name. */
export const valuesOf = (model: TaskModel) =>
  new Map(model.namedParameters().map(([name, p]) => [name, Float32Array.from(p.data())]));

/** Fills the B of all adapters, which start at zero, so that they do something. */
export function fillAdapters(model: TaskModel, scale = 1): void {
  for (const [name, parameter] of model.namedParameters()) {
    if (!name.includes('.lora_B.')) continue;
    parameter.setData(Float32Array.from({ length: parameter.count }, (_, i) => scale * Math.sin(i + name.length)));
  }
}

/** Three sentences of 3, 1 and 4 tokens. */
function batch(model: TaskModel): BatchTensors {
  const cuSeqlens = Int32Array.of(0, 3, 4, 8);
  const position = [0, 1, 2, 0, 0, 1, 2, 3].map((p) => p + model.positionOffset);
  return {
    tensors: {
      inputIds: Int32Array.of(3, 8, 15, 20, 7, 9, 29, 4),
      positionIds: Int32Array.from(position),
      tokenTypeIds: new Int32Array(8),
      cuSeqlens,
      firstToken: cuSeqlens.slice(0, 3),
    },
    sizes: { T: 8, S: 3, M: 0 },
  };
}

/** The logits of three sentences. */
export async function logits(model: TaskModel, backend: 'cpu' | 'reference' = 'cpu', training = false) {
  const graph = trace(model, { training, loss: false });
  using program = new Program(plan(graph, { train: false, fused: true }), { backend });
  await program.forward(batch(model), { seed: 1n });
  return Float32Array.from(program.read('logits'));
}

/** The largest of two lists' differences. */
export const difference = (a: Float32Array, b: Float32Array) => Math.max(...a.map((v, i) => Math.abs(v - b[i]!)));
