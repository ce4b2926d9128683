/**
 * Tensors in a safetensors file: found, read whole or in part with checks, and written.
 * The header, checked before anything is trusted: safetensors_header.ts. Conversions: dtypes.ts.
 */
import * as fs from 'node:fs';
import { crc32 } from 'node:zlib';
import { FusedLoraError } from '../base/errors';
import { writeFileAtomicWith } from './atomic';
import { DTYPE_BYTES, FLOAT_DTYPES, type TensorDType, toBfloat16, toFloat16, toFloat32 } from './dtypes';
import { type OpenOptions, openToRead } from './open';
import { damaged, type Header, MAX_HEADER_BYTES, parseHeader } from './safetensors_header';

export type { TensorDType } from './dtypes';

/** Where a tensor lies on disk, and what its file was when the header was read. */
export interface TensorInfo {
  name: string;
  dtype: TensorDType;
  shape: number[];
  /** Absolute byte offset in the file. */
  offset: number;
  byteLength: number;
  file: string;
  /** Bytes of the whole file. */
  fileSize: number;
  /** Modification time of the file, in milliseconds. */
  fileMtimeMs: number;
  /** CRC-32 of the tensor's bytes, set by its first read and verified by every later one. */
  checksum?: number;
  /** What gives its values where it is made of several. @internal quantised_tensors.ts */
  source?: TensorSource;
}

/** Reads the values of a tensor, as a parameter takes them (ParameterSource). */
export interface TensorSource {
  read(): Float32Array;
  readParts(visit: (values: Float32Array, at: number) => void): void;
  readSample(every: number): Float32Array;
  readonly description: string;
}

/**
 * What {@link writeSafetensors} takes for one tensor. `data`
 * may be a function, called when its turn to be written comes.
 */
export interface TensorData {
  dtype: 'F32' | 'F16' | 'BF16' | 'F64' | 'I64';
  shape: readonly number[];
  data: TensorValues | (() => TensorValues);
}

/** Values to write, before they are rounded to the dtype. */
export type TensorValues = Float32Array | Float64Array | BigInt64Array;

/** Fills `into` from the file; false where the file ends too soon. */
function readFully(fd: number, into: Uint8Array, offset: number): boolean {
  const most = 1 << 30;
  for (let done = 0; done < into.byteLength; ) {
    const got = fs.readSync(fd, into, done, Math.min(most, into.byteLength - done), offset + done);
    if (got === 0) return false;
    done += got;
  }
  return true;
}

function sourceChanged(info: TensorInfo, what: string): FusedLoraError {
  return new FusedLoraError(
    'SOURCE_CHANGED',
    `${info.file}: ${what} since the model was loaded, so tensor "${info.name}" can not be read again. ` +
      'Load the model again, or restore the file.',
  );
}

/**
 * Reads the bytes of a tensor from its file (never mapped: a
 * file that shrinks must not kill the process).
 *
 * The file must still be what it was when its header was read: of the same size, and either not
 * modified or, once the first read has noted the checksum, with the same bytes.
 *
 * @throws FusedLoraError SOURCE_CHANGED, or FILE_NOT_FOUND when the file is gone.
 */
export function readTensorBytes(info: TensorInfo): Uint8Array {
  let whole = new Uint8Array(0);
  readParts(info, info.byteLength, (bytes) => {
    whole = bytes;
  });
  return whole;
}

/** Opens the file of a tensor if it can still be the one whose header was read. */
function openSource(info: TensorInfo): { fd: number; modified: boolean } {
  const fd = openToRead(info.file);
  try {
    const stat = fs.fstatSync(fd);
    if (stat.size !== info.fileSize)
      throw sourceChanged(info, `its size changed from ${info.fileSize} to ${stat.size} bytes`);
    const modified = stat.mtimeMs !== info.fileMtimeMs;
    if (modified && info.checksum === undefined) throw sourceChanged(info, 'it was modified');
    return { fd, modified };
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** Parts of at most `most` bytes, in order; each lies in memory that the next one overwrites. */
function readParts(info: TensorInfo, most: number, visit: (bytes: Uint8Array<ArrayBuffer>, at: number) => void): void {
  const { fd } = openSource(info);
  try {
    const space = new Uint8Array(Math.min(most, info.byteLength));
    let checksum = 0;
    for (let at = 0; at < info.byteLength; at += space.length) {
      const bytes = space.subarray(0, Math.min(space.length, info.byteLength - at));
      if (!readFully(fd, bytes, info.offset + at)) throw sourceChanged(info, 'it became shorter');
      checksum = crc32(bytes, checksum);
      visit(bytes, at);
    }
    info.checksum ??= checksum;
    if (checksum !== info.checksum) throw sourceChanged(info, 'its bytes changed');
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Reads a tensor as float32, row-major: F32, F16 and BF16 exactly, F64 rounded.
 *
 * @throws FusedLoraError SOURCE_CHANGED (see {@link readTensorBytes}),
 *   INVALID_CHECKPOINT for integers and other types.
 */
export function readTensorFloat32(info: TensorInfo): Float32Array {
  requireFloats(info);
  return toFloat32(info.dtype, readTensorBytes(info));
}

/** Bytes of the file read at a time. */
const PART = 1 << 20;

/**
 * The values of {@link readTensorFloat32}, in parts for which
 * little memory is needed: each overwrites the one before.
 *
 * @param visit gets values and the place of the first among
 *   all. What it got is void when this throws.
 */
export function readTensorParts(info: TensorInfo, visit: (values: Float32Array, at: number) => void): void {
  requireFloats(info);
  readParts(info, PART, (bytes, at) => visit(toFloat32(info.dtype, bytes), at / DTYPE_BYTES[info.dtype]));
}

/**
 * Values that lie closer than this are read with what is
 * between them: a system call costs more than so many bytes.
 */
const NEAR_BYTES = 512;

/**
 * Every `every`-th value of {@link readTensorFloat32}, from
 * the first on; values far apart are read one by one.
 *
 * @throws FusedLoraError as {@link readTensorFloat32}. Of a file that was modified all bytes are
 *   read, to see whether they are the same.
 */
export function readTensorSample(info: TensorInfo, every: number): Float32Array {
  requireFloats(info);
  const bytes = DTYPE_BYTES[info.dtype];
  const count = Math.ceil(info.byteLength / bytes / every);
  const { fd, modified } = openSource(info);
  try {
    if (!modified && every * bytes > NEAR_BYTES) {
      const sampled = new Uint8Array(count * bytes);
      for (let i = 0; i < count; i++) {
        const into = sampled.subarray(i * bytes, (i + 1) * bytes);
        if (!readFully(fd, into, info.offset + i * every * bytes)) throw sourceChanged(info, 'it became shorter');
      }
      return toFloat32(info.dtype, sampled);
    }
  } finally {
    fs.closeSync(fd);
  }
  const values = readTensorFloat32(info);
  return Float32Array.from({ length: count }, (_, i) => values[i * every] as number);
}

/** A tensor of a file as the source of a parameter. */
export const tensorSource = (info: TensorInfo): TensorSource =>
  info.source ?? {
    read: () => readTensorFloat32(info),
    readParts: (visit) => readTensorParts(info, visit),
    readSample: (every) => readTensorSample(info, every),
    description: `${info.file}: ${info.name}`,
  };

function requireFloats(info: TensorInfo): void {
  if (!FLOAT_DTYPES.includes(info.dtype)) {
    throw new FusedLoraError(
      'INVALID_CHECKPOINT',
      `${info.file}: tensor "${info.name}" is ${info.dtype}, but a parameter must be one of ${FLOAT_DTYPES.join(', ')}. ` +
        'Convert the checkpoint to one of these types.',
    );
  }
}

/** How a file is opened. */
export interface SafetensorsOpenOptions extends Pick<OpenOptions, 'inFolder'> {
  /** Default 100 MB, the format's own limit. */
  maxHeaderBytes?: number;
}

/**
 * A safetensors file whose header was read and checked; tensors are read one by one when asked for.
 */
export class SafetensorsFile {
  private constructor(
    readonly file: string,
    /** By name, in the order of the header. */
    readonly tensors: Map<string, TensorInfo>,
    readonly metadata: Record<string, string>,
  ) {}

  /**
   * Reads and checks the header only.
   *
   * @throws FusedLoraError FILE_NOT_FOUND; INVALID_CHECKPOINT when the file is truncated, holds
   * offsets out of range, overlapping or leaving gaps, sizes that do not fit their shape, a name
   * twice, or no JSON header within the limit.
   */
  static open(file: string, options: SafetensorsOpenOptions = {}): SafetensorsFile {
    const { maxHeaderBytes = MAX_HEADER_BYTES, ...opening } = options;
    const fd = openToRead(file, opening);
    try {
      const stat = fs.fstatSync(fd);
      const start = new Uint8Array(8);
      if (stat.size < 8 || !readFully(fd, start, 0))
        throw damaged(file, `has ${stat.size} bytes, too few for a header`);
      const length = new DataView(start.buffer).getBigUint64(0, true);
      if (length > BigInt(maxHeaderBytes))
        throw damaged(file, `claims a header of ${length} bytes; ${maxHeaderBytes / 1e6} MB is the limit`);
      const headerBytes = Number(length);
      if (8 + headerBytes > stat.size) {
        throw damaged(file, `claims a header of ${headerBytes} bytes, but has ${stat.size} bytes in all`);
      }
      const bytes = new Uint8Array(headerBytes);
      if (!readFully(fd, bytes, 8)) throw damaged(file, 'became shorter while it was read');
      const base = 8 + headerBytes;
      const header: Header = parseHeader(file, bytes, stat.size - base);
      const tensors = new Map<string, TensorInfo>();
      for (const { name, dtype, shape, begin, end } of header.tensors) {
        const place = { offset: base + begin, byteLength: end - begin, file };
        tensors.set(name, { name, dtype, shape, ...place, fileSize: stat.size, fileMtimeMs: stat.mtimeMs });
      }
      return new SafetensorsFile(file, tensors, header.metadata);
    } finally {
      fs.closeSync(fd);
    }
  }

  private info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    const known = [...this.tensors.keys()];
    const some = known.slice(0, 8).join(', ') + (known.length > 8 ? `, … (${known.length} in all)` : '');
    throw new FusedLoraError('INVALID_CHECKPOINT', `${this.file}: has no tensor "${name}". It has: ${some || 'none'}.`);
  }

  /** The values of a tensor of floats, as fp32. */
  readFloat32(name: string): Float32Array {
    return readTensorFloat32(this.info(name));
  }

  /**
   * The bytes of a tensor as they are in the file; SOURCE_CHANGED when the file is not what it was.
   */
  readBytes(name: string): Uint8Array {
    return readTensorBytes(this.info(name));
  }
}

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function encode(name: string, { dtype, shape, data }: TensorData): Uint8Array {
  const values = typeof data === 'function' ? data() : data;
  if (values.length !== product(shape)) {
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `tensor "${name}" has ${values.length} values, but its shape [${shape.join(', ')}] takes ${product(shape)}.`,
    );
  }
  if ((dtype === 'I64') !== values instanceof BigInt64Array) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `tensor "${name}": ${dtype} can not be written from a ${values.constructor.name}.`,
    );
  }
  const float32 = () => (values instanceof Float32Array ? values : Float32Array.from(values as Float64Array));
  const stored = {
    F32: float32,
    F16: () => toFloat16(float32()),
    BF16: () => toBfloat16(float32()),
    F64: () => (values instanceof Float64Array ? values : Float64Array.from(values as Float32Array)),
    I64: () => values,
  }[dtype]();
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/** Orders names as the reference writer does: by code point, independent of the locale. */
function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Writes a safetensors file, whole or not at all. The same tensors give the same bytes in whatever
 * order they come: widest type first, then by name; metadata by key.
 *
 * @param tensors values are rounded to nearest even where the type is narrower than the data.
 * @param metadata strings for the header; PyTorch programs expect `{ format: 'pt' }`, the default.
 * @throws FusedLoraError FILE_NOT_WRITABLE, INVALID_SHAPE when values do not fit the shape,
 *   INVALID_ARGUMENT for a name given twice.
 */
export function writeSafetensors(
  file: string,
  tensors: Iterable<[string, TensorData]>,
  metadata: Record<string, string> = { format: 'pt' },
): void {
  const list = [...tensors].sort(([a, x], [b, y]) => DTYPE_BYTES[y.dtype] - DTYPE_BYTES[x.dtype] || byName(a, b));
  const entries: [string, unknown][] = [];
  const keys = Object.keys(metadata).sort(byName);
  if (keys.length > 0) entries.push(['__metadata__', Object.fromEntries(keys.map((k) => [k, metadata[k]]))]);
  const names = new Set<string>(['__metadata__']);
  let position = 0;
  for (const [name, { dtype, shape }] of list) {
    if (names.has(name)) {
      const why = name === '__metadata__' ? 'is reserved by the format' : 'is given twice';
      throw new FusedLoraError('INVALID_ARGUMENT', `${file}: the tensor name "${name}" ${why}.`);
    }
    names.add(name);
    const bytes = DTYPE_BYTES[dtype] * product(shape);
    if (!Number.isSafeInteger(bytes) || shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
      throw new FusedLoraError(
        'INVALID_SHAPE',
        `${file}: tensor "${name}" has the impossible shape [${shape.join(', ')}].`,
      );
    }
    entries.push([name, { dtype, shape, data_offsets: [position, position + bytes] }]);
    position += bytes;
  }
  const text = new TextEncoder().encode(
    `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`,
  );
  // Spaces after the JSON align the data to 8 bytes.
  const header = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(text, 8);
  writeFileAtomicWith(file, (sink) => {
    sink(header);
    for (const [name, tensor] of list) sink(encode(name, tensor));
  });
}
