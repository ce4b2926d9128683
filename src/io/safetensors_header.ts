/**
 * The JSON header of a safetensors file: parsed, and every offset, size and name checked.
 * The tensors behind it are read by safetensors.ts.
 */
import { FusedLoraError } from '../base/errors';
import { DTYPE_BYTES, isTensorDType, type TensorDType } from './dtypes';
import { isJsonObject } from './json';

/** The format's own limit on the length of the JSON header. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Far above any model, so that messages and products stay small. */
const MAX_DIMENSIONS = 64;

export interface HeaderTensor {
  name: string;
  dtype: TensorDType;
  shape: number[];
  /** Byte range [begin, end) within the data that follows the header. */
  begin: number;
  end: number;
}

export interface Header {
  tensors: HeaderTensor[];
  metadata: Record<string, string>;
}

const REMEDY = 'The file is damaged or was not written as safetensors: fetch or write it again.';

/** INVALID_CHECKPOINT for a file, with the remedy for damaged files. */
export function damaged(file: string, problem: string, cause?: unknown): FusedLoraError {
  return new FusedLoraError('INVALID_CHECKPOINT', `${file}: ${problem}. ${REMEDY}`, { cause });
}

/** The longest part of a name worth printing. */
function shown(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

/**
 * Refuses what JSON.parse would take in silence: a key given twice in one object (the last would
 * win), and nesting deeper than the format has (a header of a hundred million brackets would
 * exhaust the memory). Whether the text is JSON at all is left to JSON.parse.
 */
function scan(file: string, text: string): void {
  const maxDepth = 3;
  const keys: Set<string>[] = [];
  let lastString: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      const start = i++;
      while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
      lastString = text.slice(start, i + 1);
    } else if (c === 0x7b || c === 0x5b) {
      keys.push(new Set());
      if (keys.length > maxDepth) throw damaged(file, 'the header is nested deeper than the format allows');
    } else if (c === 0x7d || c === 0x5d) {
      keys.pop();
    } else if (c === 0x3a && lastString !== undefined) {
      let key: string;
      try {
        // The same key can be spelt in several ways: "\u0041" is "A".
        key = lastString.includes('\\') ? (JSON.parse(lastString) as string) : lastString.slice(1, -1);
      } catch {
        throw damaged(file, 'the header is not JSON');
      }
      const seen = keys.at(-1);
      if (seen?.has(key)) throw damaged(file, `the header names ${shown(key)} twice`);
      seen?.add(key);
    }
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parseTensor(file: string, name: string, value: unknown, dataBytes: number): HeaderTensor {
  const fail = (problem: string) => damaged(file, `tensor ${shown(name)} ${problem}`);
  if (!isJsonObject(value)) throw fail('is not described by an object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isTensorDType(dtype)) throw fail(`has the unknown dtype ${shown(String(dtype))}`);
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isSize)) {
    throw fail(`has a shape that is no list of at most ${MAX_DIMENSIONS} sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw fail('has data_offsets that are no pair of byte positions');
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    throw fail(`lies at bytes ${begin} to ${end}, but the file has ${dataBytes} bytes of data`);
  }
  let bytes: number = DTYPE_BYTES[dtype];
  for (const size of shape) {
    // Sizes after a zero do not matter; before it, a product
    // beyond the file is refused before it can lose digits.
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) throw fail(`has the shape [${shape.join(', ')}], larger than any file`);
  }
  if (bytes !== end - begin) {
    throw fail(`needs ${bytes} bytes for ${dtype} [${shape.join(', ')}], but its data_offsets span ${end - begin}`);
  }
  return { name, dtype, shape: shape as number[], begin, end };
}

/**
 * Checks and reads the JSON header of a safetensors file: every
 * size and offset, no tensor over another, no byte unused.
 *
 * @param dataBytes bytes of the file after the header.
 * @returns tensors in the order of the header.
 */
export function parseHeader(file: string, bytes: Uint8Array, dataBytes: number): Header {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw damaged(file, 'the header is not UTF-8 text', error);
  }
  if (!text.startsWith('{')) throw damaged(file, 'the header is not a JSON object');
  scan(file, text);
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw damaged(file, `the header is not JSON (${(error as Error).message.slice(0, 200)})`, error);
  }
  const header: Header = { tensors: [], metadata: {} };
  for (const [name, value] of Object.entries(root as object)) {
    if (name !== '__metadata__') {
      header.tensors.push(parseTensor(file, name, value, dataBytes));
      continue;
    }
    if (!isJsonObject(value) || !Object.values(value).every((v) => typeof v === 'string')) {
      throw damaged(file, '__metadata__ is no object of strings');
    }
    header.metadata = value as Record<string, string>;
  }
  let position = 0;
  let before = 'the header';
  for (const tensor of header.tensors.slice().sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (tensor.begin !== position) {
      const how = tensor.begin < position ? 'overlaps' : 'leaves unused bytes after';
      throw damaged(file, `tensor ${shown(tensor.name)} ${how} ${before}`);
    }
    position = tensor.end;
    before = `tensor ${shown(tensor.name)}`;
  }
  if (position !== dataBytes) throw damaged(file, `${dataBytes - position} bytes after the last tensor belong to none`);
  return header;
}
