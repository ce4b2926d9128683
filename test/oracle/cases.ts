/**
 * The oracle's cases: small models, adapters and batches with
 * what transformers + PEFT compute from them in float64.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Parameter } from '../../src/graph/parameter';
import type { BatchTensors } from '../../src/graph/program';
import { SafetensorsFile } from '../../src/io/safetensors';
import { loadAdapter } from '../../src/lora';
import { loadModel, type Task, type TaskModel } from '../../src/models';
import { native } from '../../src/native';
import type { LossOptions } from '../../src/nn';

const ROOT = path.join(__dirname, '..', 'fixtures', 'oracle');

export interface OracleCase {
  name: string;
  kind: 'gradients' | 'curve';
  model: string;
  adapter: string | null;
  mode: 'lora' | 'full';
  task: Task;
  lossOptions: { labelSmoothing?: number; classWeights?: number[] };
  batch?: string;
  batches?: string;
  expected: string;
  optimizer?: {
    steps: number;
    lr: number;
    betas: [number, number];
    eps: number;
    weightDecay: number;
    warmupSteps: number;
    maxGradNorm: number;
  };
  final?: string;
}

interface StoredBatch {
  inputIds: number[];
  cuSeqlens: number[];
  tokenTypeIds: number[] | null;
  /** A list for each sequence where it has several. */
  labels: (number | number[])[];
}

export const oracleFile = (name: string) => path.join(ROOT, name);
export const readJson = <T>(name: string): T => JSON.parse(fs.readFileSync(oracleFile(name), 'utf8')) as T;
export const oracleCases = readJson<{ cases: OracleCase[] }>('cases.json').cases;

/** The case's model with its adapter in place. In full mode everything is trainable. */
export function loadCase(oracle: OracleCase): TaskModel {
  const { model } = loadModel(oracleFile(oracle.model), { task: oracle.task });
  if (oracle.adapter) loadAdapter(model, oracleFile(oracle.adapter), { trainable: true });
  return model;
}

export function lossOptionsOf(oracle: OracleCase): LossOptions {
  const { labelSmoothing, classWeights } = oracle.lossOptions;
  return {
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    ...(classWeights === undefined
      ? {}
      : {
          classWeights: new Parameter([classWeights.length], Float32Array.from(classWeights), { requiresGrad: false }),
        }),
  };
}

/**
 * The packed batch, with everything that a model of any task
 * may read. Masked LM: M rows are those with a label.
 */
export function batchOf(
  stored: StoredBatch,
  model: TaskModel,
  compute: 'f32' | 'f64' = 'f32',
): BatchTensors & { rowIndex: Int32Array } {
  const cuSeqlens = Int32Array.from(stored.cuSeqlens);
  const T = stored.inputIds.length;
  const S = cuSeqlens.length - 1;
  const positionIds = new Int32Array(T);
  for (let s = 0; s < S; s++) {
    for (let t = cuSeqlens[s]!; t < cuSeqlens[s + 1]!; t++) positionIds[t] = model.positionOffset + t - cuSeqlens[s]!;
  }
  const floating = model.task === 'regression' || model.task === 'multi-label-classification';
  const all = stored.labels.flat();
  const labelled = model.task === 'masked-lm' ? all.flatMap((label, t) => (label === -100 ? [] : [t])) : [];
  const rowIndex = Int32Array.from(labelled);
  const labels = model.task === 'masked-lm' ? rowIndex.map((t) => all[t]!) : Int32Array.from(all);
  return {
    tensors: {
      inputIds: Int32Array.from(stored.inputIds),
      positionIds,
      tokenTypeIds: Int32Array.from(stored.tokenTypeIds ?? new Array<number>(T).fill(0)),
      cuSeqlens,
      firstToken: cuSeqlens.slice(0, S),
      rowIndex,
      ...(floating ? { targets: (compute === 'f64' ? Float64Array : Float32Array).from(all) } : { labels }),
    },
    sizes: { T, S, M: rowIndex.length },
    rowIndex,
  };
}

export function readBatch(name: string, model: TaskModel, compute: 'f32' | 'f64') {
  return batchOf(readJson<StoredBatch>(name), model, compute);
}

export function readBatches(name: string, model: TaskModel) {
  return readJson<StoredBatch[]>(name).map((stored) => batchOf(stored, model));
}

/** All tensors of an expected file as float64. */
export function readExpected(name: string): Map<string, Float64Array> {
  const file = SafetensorsFile.open(oracleFile(name));
  const result = new Map<string, Float64Array>();
  for (const tensor of file.tensors.keys()) {
    const bytes = file.readBytes(tensor);
    result.set(tensor, new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
  }
  return result;
}

/** Of the rows that a program gives: masked LM has logits of the labelled tokens alone. */
export function expectedLogits(
  expected: Map<string, Float64Array>,
  model: TaskModel,
  rowIndex: Int32Array,
): Float64Array {
  const logits = expected.get('logits')!;
  if (model.task !== 'masked-lm') return logits;
  const columns = model.numLabels;
  return Float64Array.from([...rowIndex].flatMap((t) => [...logits.subarray(t * columns, (t + 1) * columns)]));
}

/** A test that needs a GPU; where none can be used its title says why. */
export function onCuda(title: string, body: () => Promise<void>, timeoutMs?: number): void {
  const { available, reason } = native().info().cuda;
  if (available) it(title, body, timeoutMs);
  else it.skip(`${title}: ${reason}`, body);
}
