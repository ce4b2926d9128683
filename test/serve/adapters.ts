/**
 * Adapters of several tasks on the tiny encoder, with values that matter, made without training.
 */
import * as path from 'node:path';
import type { Task } from '../../src/base/tasks';
import { addAdapter, type LoraConfig, saveAdapter } from '../../src/lora';
import { loadModel } from '../../src/models';
import { writeRecord } from '../../src/task/meaning/record';
import { TINY } from '../task/tasks';

export interface MadeAdapter extends LoraConfig {
  task: Task;
  labelNames?: string[];
  numLabels?: number;
}

/** Writes an adapter, and what it means, into a folder. */
export function makeAdapter(folder: string, { task, labelNames, numLabels, ...config }: MadeAdapter, seed = 0): string {
  const options = { task, seed, ...(labelNames ? { labelNames } : { numLabels }) };
  const { model } = loadModel(TINY, options);
  addAdapter(model, { r: 4, loraAlpha: 8, targetModules: 'all-linear', ...config }, { seed });
  for (const [at, parameter] of model.namedParameters()) {
    const scale = at.includes('.lora_B.') ? 0.05 : at.includes('modules_to_save') ? 0.3 : 0;
    if (scale === 0) continue;
    const values = Float32Array.from({ length: parameter.count }, (_, i) => scale * Math.sin(3 * i + at.length + seed));
    parameter.setData(values);
  }
  const extra = (dir: string) =>
    writeRecord(dir, { model, maxLength: 64, truncationSide: 'right', threshold: 0.5, pairs: undefined });
  saveAdapter(model, folder, { baseModel: TINY, extra });
  model.dispose();
  return folder;
}

const TAGS = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];

export const KINDS: Record<string, MadeAdapter> = {
  mood: { task: 'sequence-classification', labelNames: ['negative', 'positive'] },
  topic: { task: 'sequence-classification', labelNames: ['film', 'food', 'sport'], r: 8, targetModules: ['query'] },
  toxic: { task: 'multi-label-classification', labelNames: ['insult', 'threat', 'spam'], r: 2 },
  rank: { task: 'regression', numLabels: 1 },
  tags: { task: 'token-classification', labelNames: TAGS },
  // Trains biases: it can share no batch.
  biased: { task: 'sequence-classification', labelNames: ['no', 'yes'], bias: 'all' },
};

/** All of them, in sub-folders of `dir`: folders by name. */
export function makeAdapters(dir: string, names = Object.keys(KINDS)): Record<string, string> {
  return Object.fromEntries(
    names.map((name, i) => [name, makeAdapter(path.join(dir, name), KINDS[name] as MadeAdapter, i)]),
  );
}
