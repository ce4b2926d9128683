/**
 * What tests of several adapters on one model run on: tiny models of both families and tasks,
 * sentences of uneven length, and heads that differ. One adapter a text is mixed_adapters.test.ts,
 * several for each shared_adapters.test.ts.
 */
import type { TaskModel } from '../../src/models';
import { fillAdapters, tinyBert, tinyRoberta } from '../lora/models';

export const MODELS: [string, () => TaskModel][] = [
  ['RoBERTa, a label a text', () => tinyRoberta()],
  ['RoBERTa, a label a token', () => tinyRoberta('token-classification', 3)],
  ['BERT, a label a text, with its pooler', () => tinyBert()],
];

export const encodedExamples = (model: TaskModel, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const length = 3 + ((5 * i) % 11);
    return {
      inputIds: Int32Array.from({ length }, (_, t) => 4 + ((7 * i + 3 * t) % (model.vocabSize - 5))),
      tokenTypeIds: new Int32Array(length),
    };
  });

/** Values that matter in every adapter, and in its copies of saved modules. */
export function fillAll(model: TaskModel, scale = 0.1): void {
  fillAdapters(model, scale);
  for (const [path, parameter] of model.namedParameters()) {
    if (!path.includes('modules_to_save')) continue;
    parameter.setData(Float32Array.from(parameter.data(), (_, i) => Math.sin(3 * i + path.length)));
  }
}
