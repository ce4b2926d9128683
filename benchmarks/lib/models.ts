/**
 * Encoders of the usual shapes with random weights, as Hugging Face
 * folders that both sides load: no speed depends on the values, and
 * equal values let the losses be compared. Made once, in .cache/bench.
 * Sentences for them: batches.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { addAdapter, createModel, type LoraConfig, loadModel, saveAdapter, saveModel, type TaskModel } from '../../src';
import { cacheFolder } from './folders';

const roberta = {
  model_type: 'roberta',
  vocab_size: 50265,
  max_position_embeddings: 514,
  type_vocab_size: 1,
  layer_norm_eps: 1e-5,
  pad_token_id: 1,
  bos_token_id: 0,
  eos_token_id: 2,
};
const bert = {
  model_type: 'bert',
  vocab_size: 30522,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
};
const shape = (layers: number, hidden: number, heads: number) => ({
  num_hidden_layers: layers,
  hidden_size: hidden,
  num_attention_heads: heads,
  intermediate_size: 4 * hidden,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
});

const CONFIGS = {
  /** For tests of the benchmarks themselves. */
  tiny: { ...roberta, ...shape(2, 32, 2), vocab_size: 4096 },
  minilm: { ...bert, ...shape(6, 384, 12) },
  'roberta-base': { ...roberta, ...shape(12, 768, 12) },
  'roberta-large': { ...roberta, ...shape(24, 1024, 16) },
} as const;

export type ModelName = keyof typeof CONFIGS;
export const MODEL_NAMES = Object.keys(CONFIGS) as ModelName[];

/**
 * LoRA as in the article's main table: rank 4 on the query
 * and on both output projections, alpha = rank.
 */
export const ARTICLE_LORA: LoraConfig = { r: 4, loraAlpha: 4, targetModules: ['query', 'output.dense'] };
/** LoRA on every Linear of the encoder. */
export const ALL_LINEARS: LoraConfig = {
  r: 8,
  loraAlpha: 16,
  targetModules: ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'],
};

/** ALL_LINEARS of another rank, or of the last layers alone. */
export const allLinears = (r: number, layers?: readonly number[]): LoraConfig => ({
  ...ALL_LINEARS,
  r,
  loraAlpha: 2 * r,
  ...(layers && { layersToTransform: layers }),
});

export const configOfModel = (name: ModelName) => ({ ...CONFIGS[name] });

export const randomModel = (name: ModelName): TaskModel =>
  createModel(configOfModel(name), { task: 'sequence-classification', numLabels: 2 });

/** The folder of a model with random weights, seed 0. */
export function modelFolder(name: ModelName): string {
  const folder = path.join(cacheFolder, 'models', name);
  if (!fs.existsSync(folder)) {
    process.stderr.write(`making ${name} with random weights …\n`);
    fs.mkdirSync(path.dirname(folder), { recursive: true });
    saveModel(randomModel(name), folder);
  }
  return folder;
}

/** The folder of an adapter on that model at its start (B = 0), in PEFT's form. */
export function adapterFolder(name: ModelName, lora: LoraConfig): string {
  const label = JSON.stringify(lora).replace(/[^\w.]+/g, '-');
  const folder = path.join(cacheFolder, 'adapters', `${name}${label}`);
  if (!fs.existsSync(folder)) {
    const { model } = loadModel(modelFolder(name));
    addAdapter(model, lora, { seed: 0 });
    fs.mkdirSync(path.dirname(folder), { recursive: true });
    saveAdapter(model, folder, { baseModel: name });
  }
  return folder;
}
