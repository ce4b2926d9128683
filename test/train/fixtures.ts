/**
 * A small model and data for trainer tests: the oracle's
 * RoBERTa, and sentences whose label is in their second token.
 */
import * as path from 'node:path';
import { EncodedSource } from '../../src/data/batch/encoded_source';
import { addAdapter } from '../../src/lora';
import { loadModel, type TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import type { TrainerOptions } from '../../src/train/options';

const MODEL = path.join(__dirname, '..', 'fixtures', 'oracle', 'models', 'roberta-seqcls');

export function tinyModel(options: { dropout?: number } = {}): TaskModel {
  const { dropout = 0.1 } = options;
  const { model } = loadModel(MODEL, {
    task: 'sequence-classification',
    hiddenDropout: dropout,
    attentionDropout: dropout,
    classifierDropout: dropout,
  });
  addAdapter(model, { r: 4, loraAlpha: 8, targetModules: ['query', 'value'] });
  return model;
}

export function tinyData(count: number, numLabels: number, seed = 0): EncodedSource {
  const examples = Array.from({ length: count }, (_, i) => {
    const length = 4 + ((i * 7) % 9);
    const label = (i * 5) % numLabels;
    const inputIds = Int32Array.from({ length }, (_, t) => 10 + ((i * 31 + t * 17) % 80));
    inputIds[0] = 0;
    inputIds[1] = 4 + label;
    inputIds[length - 1] = 2;
    return { inputIds, tokenTypeIds: new Int32Array(length), label };
  });
  return new EncodedSource(examples, { positions: { offset: 2 }, batchSize: 8, seed });
}

/** Options of a short run with rates that learn. */
export function tinyOptions(model: TaskModel): TrainerOptions {
  return {
    trace: (o) => trace(model, o),
    learningRate: 5e-3,
    weightDecay: 0.01,
    warmupRatio: 0.1,
    epochs: 2,
    seed: 3,
  };
}

/** The bytes of everything that is trained. */
export function trainedBytes(model: TaskModel): Buffer {
  return Buffer.concat(
    model
      .parameters()
      .filter((p) => p.requiresGrad)
      .map((p) => {
        const data = p.data();
        return Buffer.from(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
      }),
  );
}
