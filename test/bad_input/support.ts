/** What the table of bad input shares: a small good model to spoil, and the form of a case. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { ErrorCode, TextModel } from '../../src';
import { createModel, openTextModel, saveModel, writeSafetensors } from '../../src';
import type { JsonObject } from '../../src/io/json';

const TOKENIZER = path.join(__dirname, '..', '..', 'assets', 'tiny-roberta');

export interface BadInput {
  /** What is wrong, in a few words. */
  name: string;
  code: ErrorCode;
  /** Parts of the message: the place (file, row, tensor, option), what was expected, what to do. */
  says: readonly (string | RegExp)[];
  /** Makes the bad input below `dir`. */
  prepare?: (dir: string) => void | Promise<void>;
  /** Must fail, and leave every file below `dir` as it is. */
  run: (dir: string) => unknown;
  /** Files that a run may leave although it fails: its log, checkpoints of what it had done. */
  mayLeave?: RegExp;
}

export const SENTENCES = [
  { text: 'a gripping film', label: 'good' },
  { text: 'dull and far too long', label: 'bad' },
  { text: 'what a lovely idea', label: 'good' },
  { text: 'a waste of time', label: 'bad' },
];

export const CONFIG: JsonObject = {
  architectures: ['RobertaForMaskedLM'],
  model_type: 'roberta',
  vocab_size: 6144,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 34,
  type_vocab_size: 1,
  pad_token_id: 1,
  bos_token_id: 0,
  eos_token_id: 2,
};

let template: string | undefined;

/** A RoBERTa of two layers with random weights and the quickstart's tokenizer, in `dir/model`. */
export function goodModel(dir: string): string {
  const folder = path.join(dir, 'model');
  if (template) {
    fs.cpSync(template, folder, { recursive: true });
    return folder;
  }
  saveModel(createModel(CONFIG, { task: 'masked-lm' }), folder);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    fs.copyFileSync(path.join(TOKENIZER, file), path.join(folder, file));
  }
  return folder;
}

/** The good model with a head for two labels that has values, so that it may be used. */
export async function openGoodModel(folder: string): Promise<TextModel> {
  const opened = await openTextModel(folder, { task: 'sequence-classification', labelNames: ['bad', 'good'] });
  for (const [, parameter] of opened.model.namedParameters()) parameter.setData(parameter.data());
  return opened;
}

/** Makes the model once in `dir`, for {@link goodModel} to copy. */
export function makeTemplate(dir: string): string {
  template = goodModel(dir);
  return template;
}

/** Rewrites a JSON file. */
export function editJson(file: string, edit: (json: JsonObject) => unknown): void {
  const json = JSON.parse(fs.readFileSync(file, 'utf8')) as JsonObject;
  const result = edit(json) ?? json;
  fs.writeFileSync(file, JSON.stringify(result));
}

/** The good model with other fields in its config.json; undefined takes one away. */
export function withConfig(fields: JsonObject): (dir: string) => void {
  return (dir) =>
    editJson(path.join(goodModel(dir), 'config.json'), (json) => {
      for (const [key, value] of Object.entries(fields)) {
        if (value === undefined) delete json[key];
        else json[key] = value;
      }
    });
}

/** A file as safetensors has it: 8 bytes of length, header, data. */
export function rawSafetensors(file: string, header: unknown, dataBytes: number, length?: bigint): void {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.length));
  fs.writeFileSync(file, Buffer.concat([prefix, text, Buffer.alloc(dataBytes)]));
}

/** The good model with one tensor of its checkpoint left out, renamed, or of another shape. */
export function withTensor(
  name: string,
  change: { rename?: string; shape?: number[]; drop?: boolean; fill?: number },
): (dir: string) => void {
  return (dir) => {
    const folder = goodModel(dir);
    const { SafetensorsFile } = require('../../src') as typeof import('../../src');
    const file = path.join(folder, 'model.safetensors');
    const opened = SafetensorsFile.open(file);
    const tensors = [...opened.tensors].flatMap(([key, info]): [string, Parameters<typeof entry>[1]][] => {
      const whole = { shape: info.shape, data: opened.readFloat32(key) };
      if (key !== name) return [[key, whole]];
      if (change.drop) return [];
      const shape = change.shape ?? info.shape;
      const data = change.shape ? new Float32Array(shape.reduce((a, b) => a * b, 1)) : whole.data;
      if (change.fill !== undefined) data.fill(change.fill);
      return [[change.rename ?? key, { shape, data }]];
    });
    writeSafetensors(
      file,
      tensors.map(([key, tensor]) => entry(key, tensor)),
    );
  };
}

function entry(name: string, { shape, data }: { shape: readonly number[]; data: Float32Array }) {
  return [name, { dtype: 'F32' as const, shape: [...shape], data }] as [
    string,
    { dtype: 'F32'; shape: number[]; data: Float32Array },
  ];
}
