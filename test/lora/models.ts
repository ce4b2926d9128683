import * as fs from 'node:fs';
import type { JsonObject } from '../../src/io/json';
import { createModel, type Task, type TaskModel } from '../../src/models';
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
