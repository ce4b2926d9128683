/**
 * Checkpoints that transformers saved in 4 or 8 bits (bitsandbytes): a weight's codes, scales and
 * tables, which are tensors of their own, as one tensor of floats. Plain tensors: safetensors.ts.
 * How layers hold their weights while they run is another matter: src/graph/base_weights.ts.
 */
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import { toBfloat16, toFloat16, toFloat32 } from './dtypes';
import { decodeUtf8, isJsonObject, parseJsonObject } from './json';
import { readTensorBytes, type TensorInfo, type TensorSource } from './safetensors';
import { expected, validate } from './validate';

/** What stands in a `quant_state` tensor, as JSON. source: bitsandbytes 0.50.2, QuantState */
const STATE = z.object({
  quant_type: expected.oneOf(['nf4', 'fp4']),
  blocksize: expected.integer(1, 1 << 16),
  dtype: expected.oneOf(['float32', 'float16', 'bfloat16']),
  shape: z.tuple([expected.integer(1), expected.integer(1)], { error: 'the rows and columns of the weight' }),
  nested_blocksize: expected.integer(1, 1 << 16).optional(),
  nested_offset: z.number({ error: 'a number' }).optional(),
});

const STATE_KEY = /^(.*\.weight)\.quant_state\.bitsandbytes__(?:nf4|fp4)$/;
const MOST_STATE_BYTES = 1 << 16;
/** Values made at a time. */
const PART = 1 << 18;
/** 1 / 127, as bitsandbytes' int8_vectorwise_dequant has it. */
const INT8_STEP = Math.fround(7.874015718698502e-3);

function damaged(info: TensorInfo, problem: string): FusedLoraError {
  return new FusedLoraError(
    'INVALID_CHECKPOINT',
    `${info.file}: tensor "${info.name}" ${problem}. Fetch the checkpoint again, or save the model as floats (in transformers: model.dequantize()).`,
  );
}

/** Values [first, first + out.length) of a weight. */
type Values = (first: number, out: Float32Array) => void;

/** A tensor of floats that is read from others. */
function made(info: TensorInfo, shape: number[], open: () => Values): TensorInfo {
  const count = shape.reduce((product, size) => product * size, 1);
  const read = () => {
    const out = new Float32Array(count);
    open()(0, out);
    return out;
  };
  const source: TensorSource = {
    read,
    readParts: (visit) => {
      const values = open();
      const space = new Float32Array(Math.min(PART, count));
      for (let at = 0; at < count; at += space.length) {
        const part = space.subarray(0, Math.min(space.length, count - at));
        values(at, part);
        visit(part, at);
      }
    },
    readSample: (every) => {
      const all = read();
      return Float32Array.from({ length: Math.ceil(count / every) }, (_, i) => all[i * every] as number);
    },
    description: `${info.file}: ${info.name}`,
  };
  return { ...info, dtype: 'F32', shape, source };
}

/** The tensors that belong to one weight, each told apart from the rest of the checkpoint. */
class Parts {
  readonly names = new Set<string>();

  constructor(
    private readonly tensors: ReadonlyMap<string, TensorInfo>,
    readonly weight: TensorInfo,
  ) {}

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /** @throws FusedLoraError INVALID_CHECKPOINT where it is not there, or not of this form. */
  take(name: string, dtype: TensorInfo['dtype'], count: number): TensorInfo {
    const info = this.tensors.get(name);
    if (!info) throw damaged(this.weight, `is quantised, and the tensor "${name}" is missing`);
    const found = info.shape.reduce((product, size) => product * size, 1);
    if (info.dtype !== dtype || found !== count)
      throw damaged(info, `has ${found} values of ${info.dtype}, expected ${count} of ${dtype}`);
    this.names.add(name);
    return info;
  }
}

const floats = (info: TensorInfo) => toFloat32('F32', readTensorBytes(info));

const ROUNDED: Record<z.infer<typeof STATE>['dtype'], (values: Float32Array) => void> = {
  float32: () => {},
  float16: (values) => values.set(toFloat32('F16', new Uint8Array(toFloat16(values).buffer))),
  bfloat16: (values) => values.set(toFloat32('BF16', new Uint8Array(toBfloat16(values).buffer))),
};

/** Blocks of codes of 4 bits with a scale each, the scales perhaps quantised in turn. */
function fourBits(parts: Parts, stateInfo: TensorInfo): TensorInfo {
  const { weight } = parts;
  if (stateInfo.dtype !== 'U8' || stateInfo.byteLength > MOST_STATE_BYTES)
    throw damaged(stateInfo, `is ${stateInfo.byteLength} bytes of ${stateInfo.dtype}, expected a short text in U8`);
  const place = `${stateInfo.file}: tensor "${stateInfo.name}"`;
  const text = decodeUtf8(readTensorBytes(stateInfo));
  if (text === undefined) throw damaged(stateInfo, 'is no UTF-8');
  const state = validate(STATE, parseJsonObject(text, place, 'INVALID_CHECKPOINT'), place, 'INVALID_CHECKPOINT');
  const [rows, cols] = state.shape;
  const count = rows * cols;
  if (count >= 2 ** 31) throw damaged(stateInfo, `says that the weight is ${rows} x ${cols}`);
  const blocks = Math.ceil(count / state.blocksize);
  const name = weight.name;
  parts.names.add(stateInfo.name);
  parts.take(name, 'U8', Math.ceil(count / 2));
  const map = parts.take(`${name}.quant_map`, 'F32', 16);
  const nested = parts.has(`${name}.nested_absmax`);
  const scales = parts.take(`${name}.absmax`, nested ? 'U8' : 'F32', blocks);
  let openScales = () => floats(scales);
  if (nested) {
    const { nested_blocksize: size, nested_offset: offset } = state;
    if (size === undefined || offset === undefined) throw damaged(stateInfo, 'lacks nested_blocksize or nested_offset');
    const nestedScales = parts.take(`${name}.nested_absmax`, 'F32', Math.ceil(blocks / size));
    const nestedMap = parts.take(`${name}.nested_quant_map`, 'F32', 256);
    openScales = () => {
      const [codes, values, largest] = [readTensorBytes(scales), floats(nestedMap), floats(nestedScales)];
      const mean = Math.fround(offset);
      return Float32Array.from(
        codes,
        (code, b) => Math.fround((values[code] as number) * (largest[Math.floor(b / size)] as number)) + mean,
      );
    };
  }
  return made(weight, [rows, cols], () => {
    const [codes, values, of] = [readTensorBytes(weight), floats(map), openScales()];
    return (first, out) => {
      for (let i = 0; i < out.length; i++) {
        const at = first + i;
        const pair = codes[at >> 1] as number;
        out[i] =
          (values[at % 2 === 0 ? pair >> 4 : pair & 15] as number) * (of[Math.floor(at / state.blocksize)] as number);
      }
      ROUNDED[state.dtype](out);
    };
  });
}

/** A code of 8 bits a weight, and the largest magnitude of each row. */
function eightBits(parts: Parts, scalesName: string): TensorInfo {
  const { weight } = parts;
  const [rows, cols] = weight.shape as [number, number];
  if (weight.shape.length !== 2) throw damaged(weight, `has ${weight.shape.length} dimensions, expected 2`);
  const scales = parts.take(scalesName, 'F32', rows);
  return made(weight, [rows, cols], () => {
    const bytes = readTensorBytes(weight);
    const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const largest = floats(scales);
    return (first, out) => {
      for (let i = 0; i < out.length; i++) {
        const at = first + i;
        out[i] = Math.fround((codes[at] as number) * (largest[Math.floor(at / cols)] as number)) * INT8_STEP;
      }
    };
  });
}

/** Whether config.json's `quantization_config` is of a form that is read here. */
export function isReadable(quantization: unknown): boolean {
  return isJsonObject(quantization) && quantization['quant_method'] === 'bitsandbytes';
}

/**
 * The tensors of a checkpoint with every quantised weight as one of floats: the values that
 * bitsandbytes' dequantisation gives, made when they are read.
 *
 * @throws FusedLoraError INVALID_CHECKPOINT where what belongs to a weight is missing or not as
 * bitsandbytes 0.50 and transformers 5 write it.
 */
export function dequantised(tensors: ReadonlyMap<string, TensorInfo>): Map<string, TensorInfo> {
  const out = new Map(tensors);
  const put = (parts: Parts, info: TensorInfo) => {
    for (const name of parts.names) out.delete(name);
    out.set(info.name, info);
  };
  for (const [name, info] of tensors) {
    const weightName = STATE_KEY.exec(name)?.[1];
    if (weightName !== undefined) {
      const weight = tensors.get(weightName);
      if (!weight) throw damaged(info, `is of a weight "${weightName}", which is missing`);
      const parts = new Parts(tensors, weight);
      put(parts, fourBits(parts, info));
    } else if (info.dtype === 'I8' && name.endsWith('.weight')) {
      const layer = name.slice(0, -'weight'.length);
      const parts = new Parts(tensors, info);
      put(parts, eightBits(parts, `${layer}SCB`));
      out.delete(`${layer}weight_format`);
    }
  }
  return out;
}
