import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  readTensorFloat32,
  readTensorParts,
  SafetensorsFile,
  type TensorData,
  writeSafetensors,
} from '../../src/io/safetensors';
import { errorMessage, sharedData, temporaryFolder } from './temporary';

const dir = temporaryFolder();
let count = 0;
const newFile = () => path.join(dir, `file-${count++}.safetensors`);

/**
 * A file of this header (text or object) and this many bytes
 * of data, with any claimed header length.
 */
function rawFile(header: unknown, dataBytes: number, claimed?: bigint): string {
  const text = Buffer.from(
    Buffer.isBuffer(header) ? header : typeof header === 'string' ? header : JSON.stringify(header),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(text.length));
  const file = newFile();
  fs.writeFileSync(file, Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return file;
}

function emptyFile(): string {
  const file = newFile();
  fs.writeFileSync(file, '');
  return file;
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('writeSafetensors', () => {
  const some: [string, TensorData][] = [
    ['b', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, -2.5, 3e-40, Number.POSITIVE_INFINITY) }],
    ['a', { dtype: 'F32', shape: [], data: Float32Array.of(7) }],
    ['half', { dtype: 'F16', shape: [3], data: Float32Array.of(1, 65504, -0.25) }],
    ['brain', { dtype: 'BF16', shape: [1, 3], data: () => Float32Array.of(1, -2, 0.5) }],
    ['double', { dtype: 'F64', shape: [2], data: Float64Array.of(Math.PI, -1) }],
    ['ids', { dtype: 'I64', shape: [2], data: BigInt64Array.of(-5n, 1n << 40n) }],
    ['none', { dtype: 'F32', shape: [0, 4], data: new Float32Array(0) }],
    ['__proto__', { dtype: 'F32', shape: [1], data: Float32Array.of(9) }],
  ];

  test('what is written is read', () => {
    const file = newFile();
    writeSafetensors(file, some, { format: 'pt', note: 'é "quoted"' });
    const read = SafetensorsFile.open(file);
    expect(read.metadata).toEqual({ format: 'pt', note: 'é "quoted"' });
    expect(new Set(read.tensors.keys())).toEqual(new Set(some.map(([name]) => name)));
    expect(read.readFloat32('b')).toEqual(Float32Array.of(1, -2.5, 3e-40, Number.POSITIVE_INFINITY));
    expect(read.tensors.get('b')!.shape).toEqual([2, 2]);
    expect(read.readFloat32('a')).toEqual(Float32Array.of(7));
    expect(read.readFloat32('half')).toEqual(Float32Array.of(1, 65504, -0.25));
    expect(read.readFloat32('brain')).toEqual(Float32Array.of(1, -2, 0.5));
    expect(read.readFloat32('double')).toEqual(Float32Array.of(Math.PI, -1));
    expect(read.readFloat32('none')).toEqual(new Float32Array(0));
    expect(read.readFloat32('__proto__')).toEqual(Float32Array.of(9));
    expect(new BigInt64Array(read.readBytes('ids').buffer)).toEqual(BigInt64Array.of(-5n, 1n << 40n));
    for (const info of read.tensors.values()) expect(info.byteLength).toBe(read.readBytes(info.name).length);
  });

  test('the bytes do not depend on the order of the tensors, and data is aligned to 8', () => {
    const [one, two] = [newFile(), newFile()];
    writeSafetensors(one, some);
    writeSafetensors(two, some.slice().reverse());
    expect(fs.readFileSync(one).equals(fs.readFileSync(two))).toBe(true);
    expect(SafetensorsFile.open(one).tensors.get('ids')!.offset % 8).toBe(0);
    expect(SafetensorsFile.open(one).metadata).toEqual({ format: 'pt' });
  });

  test('a file without tensors is read again', () => {
    const file = newFile();
    writeSafetensors(file, [], {});
    expect(SafetensorsFile.open(file).tensors.size).toBe(0);
  });

  test('refuses bad tensors and leaves nothing behind', () => {
    const file = newFile();
    const one = (shape: number[], data = new Float32Array(3)): [string, TensorData] => [
      'x',
      { dtype: 'F32', shape, data },
    ];
    expect(errorMessage('INVALID_SHAPE', () => writeSafetensors(file, [one([2])]))).toContain('"x" has 3 values');
    errorMessage('INVALID_SHAPE', () => writeSafetensors(file, [one([-3])]));
    errorMessage('INVALID_SHAPE', () => writeSafetensors(file, [one([1.5, 2])]));
    expect(errorMessage('INVALID_ARGUMENT', () => writeSafetensors(file, [one([3]), one([3])]))).toContain('twice');
    const reserved: [string, TensorData] = ['__metadata__', one([3])[1]];
    expect(errorMessage('INVALID_ARGUMENT', () => writeSafetensors(file, [reserved]))).toContain('reserved');
    const wrong: [string, TensorData] = ['x', { dtype: 'I64', shape: [3], data: new Float32Array(3) }];
    expect(errorMessage('INVALID_ARGUMENT', () => writeSafetensors(file, [wrong]))).toContain('Float32Array');
    expect(fs.readdirSync(dir).filter((name) => name.includes(path.basename(file)))).toEqual([]);
  });
});

describe('F16 and BF16', () => {
  function roundTrip(dtype: 'F16' | 'BF16', values: number[]): Float32Array {
    const file = newFile();
    writeSafetensors(file, [['x', { dtype, shape: [values.length], data: Float32Array.from(values) }]]);
    return SafetensorsFile.open(file).readFloat32('x');
  }

  test('every value of 16 bits survives reading and writing', () => {
    for (const dtype of ['F16', 'BF16'] as const) {
      const file = rawFile({ x: { dtype, shape: [65536], data_offsets: [0, 131072] } }, 131072);
      const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
      const bytes = fs.readFileSync(file);
      bytes.set(new Uint8Array(bits.buffer), bytes.length - 131072);
      fs.writeFileSync(file, bytes);
      const values = SafetensorsFile.open(file).readFloat32('x');
      const copy = newFile();
      writeSafetensors(copy, [['x', { dtype, shape: [65536], data: values }]]);
      const written = new Uint16Array(SafetensorsFile.open(copy).readBytes('x').buffer);
      const differing = Array.from(bits).filter((i) => written[i] !== i);
      // Not a number may come back as another not a number.
      expect(differing.every((i) => Number.isNaN(values[i]))).toBe(true);
      expect(Array.from(written).filter((b, i) => Number.isNaN(values[i]!) && b === 0)).toEqual([]);
    }
  });

  test('rounds to nearest, ties to even', () => {
    const ulp = 2 ** -10;
    expect(
      roundTrip('F16', [
        1 + ulp / 2,
        1 + 1.5 * ulp,
        1 + 0.51 * ulp,
        65519,
        65520,
        -1e9,
        2 ** -25,
        2 ** -24 * 1.5,
        1e-30,
      ]),
    ).toEqual(
      Float32Array.of(
        1,
        1 + 2 * ulp,
        1 + ulp,
        65504,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        0,
        2 ** -23,
        0,
      ),
    );
    // The largest subnormal half rounds up into the smallest normal one.
    expect(roundTrip('F16', [2 ** -14 - 2 ** -26, 2 ** -14])).toEqual(Float32Array.of(2 ** -14, 2 ** -14));
    const b = 2 ** -7;
    expect(roundTrip('BF16', [1 + b / 2, 1 + 1.5 * b, -(1 + 0.51 * b), Number.NaN, 3.4e38])).toEqual(
      Float32Array.of(1, 1 + 2 * b, -(1 + b), Number.NaN, Number.POSITIVE_INFINITY),
    );
  });
});

describe('SafetensorsFile.open refuses', () => {
  const cases: [string, () => string, RegExp][] = [
    ['an empty file', () => emptyFile(), /0 bytes, too few/],
    ['a folder', () => dir, /not a file/],
    ['a header over 100 MB', () => rawFile('{}', 0, 100_000_001n), /100000001 bytes; 100 MB/],
    ['a header length of 2^64-1', () => rawFile('{}', 0, (1n << 64n) - 1n), /100 MB is the limit/],
    ['a header longer than the file', () => rawFile('{}', 0, 1000n), /claims a header of 1000 bytes, but has 10 bytes/],
    ['a pickle', () => rawFile('\x80\x02}q\x00.', 100), /not a JSON object/],
    ['no JSON', () => rawFile('{"a": nope}', 0), /not JSON/],
    ['half a JSON', () => rawFile('{"a": {"dtype": "F32"', 0), /not JSON/],
    ['an unfinished string', () => rawFile('{"a\\', 0), /not JSON/],
    ['a list', () => rawFile([1], 0), /not a JSON object/],
    ['no UTF-8', () => rawFile(Buffer.from([0x7b, 0xff, 0x7d]), 0), /not UTF-8/],
    ['a tensor that is no object', () => rawFile({ a: [1] }, 0), /"a" is not described/],
    [
      'an unknown dtype',
      () => rawFile({ a: { dtype: 'Q4', shape: [1], data_offsets: [0, 1] } }, 1),
      /"a" has the unknown dtype "Q4"/,
    ],
    [
      'a dtype from the prototype',
      () => rawFile({ a: { dtype: 'toString', shape: [], data_offsets: [0, 0] } }, 0),
      /unknown dtype/,
    ],
    ['no shape', () => rawFile({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), /"a" has a shape/],
    ['a negative size', () => rawFile({ a: f32(0, 4, [-1]) }, 4), /shape/],
    ['a broken size', () => rawFile({ a: f32(0, 4, [0.5, 2]) }, 4), /shape/],
    ['65 dimensions', () => rawFile({ a: f32(0, 4, new Array(65).fill(1)) }, 4), /at most 64/],
    ['a shape beyond 2^53', () => rawFile({ a: f32(0, 4, [2 ** 40, 2 ** 40]) }, 4), /larger than any file/],
    [
      'sizes that wrap around at 2^64',
      () => rawFile({ a: f32(0, 4, [2 ** 32, 2 ** 32, 1]) }, 4),
      /larger than any file/,
    ],
    [
      'too few bytes for the shape',
      () => rawFile({ a: f32(0, 8, [3]) }, 8),
      /needs 12 bytes for F32 \[3\], but its data_offsets span 8/,
    ],
    ['offsets out of order', () => rawFile({ a: f32(8, 4, [1]) }, 8), /bytes 8 to 4/],
    [
      'offsets beyond the end',
      () => rawFile({ a: f32(0, 8) }, 4),
      /"a" lies at bytes 0 to 8, but the file has 4 bytes/,
    ],
    ['three offsets', () => rawFile({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 4] } }, 4), /no pair/],
    ['overlapping tensors', () => rawFile({ a: f32(0, 8), b: f32(4, 12) }, 12), /"b" overlaps tensor "a"/],
    ['the same bytes twice', () => rawFile({ a: f32(0, 8), b: f32(0, 8) }, 8), /"b" overlaps tensor "a"/],
    ['a gap', () => rawFile({ a: f32(0, 4), b: f32(8, 12) }, 12), /"b" leaves unused bytes after tensor "a"/],
    ['bytes after the end', () => rawFile({ a: f32(0, 4) }, 12), /8 bytes after the last tensor/],
    [
      'a name twice',
      () => rawFile(`{"a":${JSON.stringify(f32(0, 4))},"a":${JSON.stringify(f32(4, 8))}}`, 8),
      /names "a" twice/,
    ],
    [
      'a name twice, spelt otherwise',
      () => rawFile(`{"a":${JSON.stringify(f32(0, 4))},"\\u0061" :${JSON.stringify(f32(4, 8))}}`, 8),
      /names "a" twice/,
    ],
    [
      'a field twice',
      () => rawFile('{"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}}', 4),
      /names "dtype" twice/,
    ],
    ['metadata that is no text', () => rawFile({ __metadata__: { a: 1 } }, 0), /__metadata__/],
    ['deep nesting', () => rawFile(`{"a":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`, 0), /nested deeper/],
  ];

  test.each(cases)('%s', (_, make, message) => {
    const file = make();
    // A folder is no file at all; the others are damaged ones.
    const code = fs.statSync(file).isDirectory() ? 'FILE_NOT_FOUND' : 'INVALID_CHECKPOINT';
    const text = errorMessage(code, () => SafetensorsFile.open(file));
    expect(text).toMatch(message);
    expect(text).toContain(file);
    expect(text).toMatch(/fetch or write it again|Give a file/);
  });

  test('every truncation and many byte changes of a small file: an error or a valid header, nothing else', () => {
    const file = newFile();
    writeSafetensors(file, [
      ['a', { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }],
      ['b', { dtype: 'F16', shape: [2, 1], data: Float32Array.of(1, 2) }],
    ]);
    const whole = fs.readFileSync(file);
    for (let length = 0; length < whole.length; length++) {
      fs.writeFileSync(file, whole.subarray(0, length));
      errorMessage('INVALID_CHECKPOINT', () => SafetensorsFile.open(file));
    }
    let survived = 0;
    for (let i = 0; i < whole.length; i++) {
      for (const value of [0, 0x22, 0x39, 0x7b, 0xff]) {
        const bytes = Buffer.from(whole);
        bytes[i] = value;
        fs.writeFileSync(file, bytes);
        try {
          const read = SafetensorsFile.open(file);
          for (const name of read.tensors.keys()) read.readBytes(name);
          survived++;
        } catch (error) {
          expect(error).toMatchObject({ name: 'FusedLoraError', code: 'INVALID_CHECKPOINT' });
        }
      }
    }
    expect(survived).toBeGreaterThan(0);
  });

  test('a missing file', () => {
    expect(errorMessage('FILE_NOT_FOUND', () => SafetensorsFile.open(path.join(dir, 'no-such')))).toContain('ENOENT');
  });
});

describe('reading tensors', () => {
  test('a tensor that is not there: the message lists those that are', () => {
    const file = SafetensorsFile.open(rawFile({ a: f32(0, 4) }, 4));
    expect(errorMessage('INVALID_CHECKPOINT', () => file.readFloat32('b'))).toMatch(/no tensor "b". It has: a/);
  });

  test('integers are no parameters', () => {
    const file = SafetensorsFile.open(rawFile({ a: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } }, 8));
    expect(errorMessage('INVALID_CHECKPOINT', () => file.readFloat32('a'))).toMatch(/"a" is I64.*Convert/);
    expect(file.readBytes('a')).toEqual(new Uint8Array(8));
  });

  test('a header padded with spaces or in any order is fine', () => {
    const file = SafetensorsFile.open(rawFile(`${JSON.stringify({ b: f32(4, 12), a: f32(0, 4) })}   `, 12));
    expect([...file.tensors.keys()]).toEqual(['b', 'a']);
    expect(file.readFloat32('b')).toEqual(new Float32Array(2));
  });

  test.each(['F32', 'F64', 'F16', 'BF16'] as const)('parts of %s are the whole', (dtype) => {
    const file = newFile();
    // More than one part of 1 MiB, the last one shorter.
    const data = Float32Array.from({ length: 600_001 }, (_, i) => Math.sin(i));
    writeSafetensors(file, new Map([['a', { dtype, shape: [data.length], data }]]));
    const info = SafetensorsFile.open(file).tensors.get('a')!;
    const whole = readTensorFloat32(info);
    const joined = new Float32Array(data.length);
    const places: number[] = [];
    readTensorParts(info, (values, at) => {
      joined.set(values, at);
      places.push(at);
    });
    expect(joined).toEqual(whole);
    expect(places.length).toBeGreaterThan(1);
    // A file that changed is told at the end of its parts.
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.of(1, 2, 3, 4), 0, 4, fs.fstatSync(fd).size - 4);
    fs.closeSync(fd);
    expect(errorMessage('SOURCE_CHANGED', () => readTensorParts(info, () => undefined))).toContain('bytes changed');
  });

  test('a source that changed is an error', () => {
    const file = rawFile({ a: f32(0, 4), b: f32(4, 8) }, 8);
    const whole = fs.readFileSync(file);
    const before = new Date(1_700_000_000_000);
    fs.utimesSync(file, before, before);
    const { tensors } = SafetensorsFile.open(file);
    const [a, b] = [tensors.get('a')!, tensors.get('b')!];
    readTensorFloat32(a);
    // Another time, the same bytes: only a tensor whose
    // bytes were noted can be told to be unchanged.
    fs.utimesSync(file, new Date(), new Date());
    expect(readTensorFloat32(a)).toEqual(Float32Array.of(0));
    expect(errorMessage('SOURCE_CHANGED', () => readTensorFloat32(b))).toMatch(/modified.*"b".*Load the model again/);
    // The time of before, other bytes.
    fs.writeFileSync(file, Buffer.concat([whole.subarray(0, -8), Buffer.alloc(8, 1)]));
    fs.utimesSync(file, before, before);
    expect(errorMessage('SOURCE_CHANGED', () => readTensorFloat32(a))).toContain('bytes changed');
    fs.writeFileSync(file, whole.subarray(0, -4));
    expect(errorMessage('SOURCE_CHANGED', () => readTensorFloat32(a))).toContain('size changed');
    fs.rmSync(file);
    errorMessage('FILE_NOT_FOUND', () => readTensorFloat32(a));
  });
});

test('reads adapters that other programs wrote', () => {
  const real = sharedData('pretrained', 'lora-ner-roberta-base-r8', 'adapter_model.safetensors');
  if (!real) return;
  const file = SafetensorsFile.open(real);
  expect(file.tensors.size).toBe(50);
  const name = 'base_model.model.roberta.encoder.layer.0.attention.self.query.lora_B.weight';
  expect(file.tensors.get(name)!.shape).toEqual([768, 8]);
  const values = file.readFloat32(name);
  const mean = values.reduce((sum, v) => sum + Math.abs(v), 0) / values.length;
  expect(mean).toBeGreaterThan(0.002);
  expect(mean).toBeLessThan(0.05);
  // Written by us from what was read: the same tensors, byte for byte.
  const copy = newFile();
  const shapes = [...file.tensors.values()].map((info): [string, TensorData] => [
    info.name,
    { dtype: 'F32', shape: info.shape, data: () => readTensorFloat32(info) },
  ]);
  writeSafetensors(copy, shapes);
  const again = SafetensorsFile.open(copy);
  for (const key of file.tensors.keys()) expect(Buffer.compare(again.readBytes(key), file.readBytes(key))).toBe(0);
});
