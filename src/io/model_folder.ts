/**
 * A Hugging Face model folder: config.json and weights in one file or in shards, read and written.
 * One file of weights: safetensors.ts. What the tensors mean to a model: src/models/weights.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { writeFileAtomic, writeFolderAtomic } from './atomic';
import { DTYPE_BYTES } from './dtypes';
import { isJsonObject, type JsonObject, readJsonObject } from './json';
import { CONFIG, OTHER_WEIGHTS, otherFormatProblem, WEIGHTS, WEIGHTS_INDEX } from './model_files';
import { dequantised, isReadable } from './quantised_tensors';
import { SafetensorsFile, type TensorData, type TensorInfo, writeSafetensors } from './safetensors';

/** A Hugging Face model folder whose headers were read and checked; no tensor was read yet. */
export interface ModelFolder {
  dir: string;
  /** config.json as it stands, without a `quantization_config` that the tensors below undo. */
  config: JsonObject;
  /** All tensors of all shards by name; codes of bitsandbytes are floats here. */
  tensors: Map<string, TensorInfo>;
}

function folderOf(dir: string, json: JsonObject, tensors: Map<string, TensorInfo>): ModelFolder {
  const { quantization_config: quantization, ...config } = json;
  return isReadable(quantization) ? { dir, config, tensors: dequantised(tensors) } : { dir, config: json, tensors };
}

const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

function readSharded(dir: string): Map<string, TensorInfo> {
  const index = path.join(dir, WEIGHTS_INDEX);
  const fail = (problem: string) =>
    new FusedLoraError('INVALID_CHECKPOINT', `${index}: ${problem}. Fetch or write the folder again.`);
  const { weight_map: weightMap } = readJsonObject(index, 'to find the shards of the model', 'INVALID_CHECKPOINT', {
    inFolder: true,
  });
  if (!isJsonObject(weightMap)) throw fail('has no "weight_map" object');
  const shards = new Map<string, SafetensorsFile>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shard] of Object.entries(weightMap)) {
    // A shard lies in the folder itself: an index must not lead to files elsewhere.
    if (typeof shard !== 'string' || !/^[^/\\]+\.safetensors$/.test(shard)) {
      throw fail(
        `tensor "${name}" is said to be in ${JSON.stringify(shard)}, which is no safetensors file of this folder`,
      );
    }
    let file = shards.get(shard);
    if (!file) {
      const shardPath = path.join(dir, shard);
      if (!fs.existsSync(shardPath)) throw fail(`the shard ${shard} (tensor "${name}") is missing`);
      file = SafetensorsFile.open(shardPath, { inFolder: true });
      shards.set(shard, file);
    }
    if (!file.tensors.has(name)) throw fail(`the shard ${shard} lacks the tensor "${name}"`);
  }
  for (const [shard, file] of shards) {
    for (const [name, info] of file.tensors) {
      const other = tensors.get(name);
      if (other) throw fail(`the tensor "${name}" is both in ${path.basename(other.file)} and in ${shard}`);
      tensors.set(name, info);
    }
  }
  return tensors;
}

/**
 * Opens a Hugging Face model folder: config.json with
 * model.safetensors, or with shards and model.safetensors.index.json.
 *
 * @throws FusedLoraError FILE_NOT_FOUND when the folder or config.json is missing, INVALID_CONFIG
 * when config.json is no JSON object, INVALID_CHECKPOINT when weights are missing, damaged or in
 * another format (with the way to convert them).
 */
export function openModelFolder(dir: string): ModelFolder {
  const found = fs.statSync(dir, { throwIfNoEntry: false });
  if (found?.isFile() && /\.(bin|pt|pth|ckpt|h5|msgpack)$/i.test(dir)) {
    throw new FusedLoraError('INVALID_CHECKPOINT', otherFormatProblem(path.dirname(dir), path.basename(dir)));
  }
  if (!found?.isDirectory()) {
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${dir}: is not a folder. Give the folder that holds config.json and model.safetensors.`,
    );
  }
  const config = readJsonObject(path.join(dir, CONFIG), 'to build the model', 'INVALID_CONFIG', { inFolder: true });
  if (fs.existsSync(path.join(dir, WEIGHTS))) {
    return folderOf(dir, config, SafetensorsFile.open(path.join(dir, WEIGHTS), { inFolder: true }).tensors);
  }
  if (fs.existsSync(path.join(dir, WEIGHTS_INDEX))) return folderOf(dir, config, readSharded(dir));
  const other = OTHER_WEIGHTS.find((name) => fs.existsSync(path.join(dir, name)));
  if (other) throw new FusedLoraError('INVALID_CHECKPOINT', otherFormatProblem(dir, other));
  throw new FusedLoraError(
    'INVALID_CHECKPOINT',
    `${dir}: holds neither ${WEIGHTS} nor ${WEIGHTS_INDEX}. Fetch the weights of the model into it.`,
  );
}

/** Of {@link writeModelFolder}. */
export interface WriteModelFolderOptions {
  /** Above this many bytes of tensors the weights are cut into several files; default 5 GB. */
  maxShardBytes?: number;
  /** Writes more files (a tokenizer, say) into the folder before it becomes visible. */
  extra?: (folder: string) => void;
}

function tensorBytes({ dtype, shape }: TensorData): number {
  return shape.reduce((bytes, size) => bytes * size, DTYPE_BYTES[dtype]);
}

/**
 * Writes a Hugging Face model folder, so that it is seen whole or not at all (see
 * `writeFolderAtomic`). Weights of an earlier save of another number of shards are removed.
 *
 * @param tensors in the order in which shards are filled; a tensor is never cut.
 * @throws FusedLoraError FILE_NOT_WRITABLE, INVALID_SHAPE, INVALID_ARGUMENT.
 */
export function writeModelFolder(
  dir: string,
  config: JsonObject,
  tensors: Iterable<[string, TensorData]>,
  options: WriteModelFolderOptions = {},
): void {
  const { maxShardBytes = 5e9, extra } = options;
  if (!(maxShardBytes > 0)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `maxShardBytes is ${maxShardBytes}; it must be a number of bytes above 0.`,
    );
  }
  const shards: [string, TensorData][][] = [[]];
  let filled = 0;
  let total = 0;
  for (const entry of tensors) {
    const bytes = tensorBytes(entry[1]);
    if (filled > 0 && filled + bytes > maxShardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(entry);
    filled += bytes;
    total += bytes;
  }
  const count = String(shards.length).padStart(5, '0');
  const shardName = (i: number) =>
    shards.length === 1 ? WEIGHTS : `model-${String(i + 1).padStart(5, '0')}-of-${count}.safetensors`;
  const fill = (folder: string) => {
    const weightMap: Record<string, string> = {};
    shards.forEach((shard, i) => {
      writeSafetensors(path.join(folder, shardName(i)), shard);
      for (const [name] of shard) {
        if (Object.hasOwn(weightMap, name)) {
          throw new FusedLoraError('INVALID_ARGUMENT', `${dir}: the tensor name "${name}" is given twice.`);
        }
        weightMap[name] = shardName(i);
      }
    });
    if (shards.length > 1) {
      const index = { metadata: { total_size: total }, weight_map: weightMap };
      writeFileAtomic(path.join(folder, WEIGHTS_INDEX), `${JSON.stringify(index, null, 2)}\n`);
    }
    writeFileAtomic(path.join(folder, CONFIG), `${JSON.stringify(config, null, 2)}\n`);
    extra?.(folder);
  };
  writeFolderAtomic(dir, fill, (name) => name === WEIGHTS || name === WEIGHTS_INDEX || SHARD.test(name));
}
