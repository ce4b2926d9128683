/** Which frozen values a checkpoint knows, and that no others are read for it. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Module, Parameter, SafetensorsFile, type Value, writeSafetensors } from '../../src';
import { tensorSource } from '../../src/io/safetensors';
import { runIdentity } from '../../src/train/run_identity';
import { errorMessage, temporaryFolder } from '../io/temporary';

jest.mock('node:fs', () => {
  const actual = jest.requireActual('node:fs');
  return { ...actual, readSync: jest.fn(actual.readSync) };
});

const dir = temporaryFolder();
const SHAPES = { small: [5, 7], middle: [40, 50], large: [600, 700], trained: [300, 100] } as const;
const DTYPES = { small: 'F32', middle: 'BF16', large: 'F32', trained: 'F32' } as const;
const values = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 37) % 1001) / 64 - 7);

class Tensors extends Module {
  readonly config = { hiddenDropout: 0.1, attentionDropout: 0, classifierDropout: null };
  [name: string]: unknown;

  constructor(file: string | undefined) {
    super();
    const tensors = file === undefined ? undefined : SafetensorsFile.open(file).tensors;
    for (const [name, shape] of Object.entries(SHAPES)) {
      const source = tensors ? tensorSource(tensors.get(name)!) : values(shape[0] * shape[1]);
      this[name] = new Parameter(shape, source, { requiresGrad: name === 'trained' });
    }
  }

  forward(x: Value): Value {
    return x;
  }
}

function write(name: string): string {
  const file = path.join(dir, name);
  writeSafetensors(
    file,
    Object.entries(SHAPES).map(([key, shape]) => [
      key,
      { dtype: DTYPES[key as keyof typeof DTYPES], shape, data: values(shape[0] * shape[1]) },
    ]),
  );
  return file;
}
const CHECKSUM = 'base model (a checksum)';

/** As version 0.1.0 computed it: all values are read, of which at most 1,024 are taken. */
function expectedChecksum(model: Tensors): string {
  const hash = createHash('sha256');
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter.requiresGrad) continue;
    const all = parameter.data();
    const every = Math.max(1, Math.ceil(all.length / 1024));
    hash.update(`${name}:${parameter.shape.join('x')}\n`);
    hash.update(Float32Array.from({ length: Math.ceil(all.length / every) }, (_, i) => all[i * every] as number));
  }
  return hash.digest('hex').slice(0, 16);
}

test('of a file and of memory the checksum is what it always was', () => {
  for (const file of [write('model.safetensors'), undefined]) {
    const model = new Tensors(file);
    const identity = runIdentity(model, { method: 'lora', classWeights: undefined });
    expect(identity).toEqual({
      [CHECKSUM]: expectedChecksum(model),
      method: '"lora"',
      classWeights: 'null',
      dropout: '[0.1,0,null]',
    });
  }
});

test('one other value among those that are sampled shows', () => {
  const model = new Tensors(undefined);
  const before = runIdentity(model, {})[CHECKSUM];
  const large = model['large'] as Parameter;
  const every = Math.ceil(large.count / 1024);
  const changed = (at: number) => {
    const all = values(large.count);
    all[at]! += 1;
    large.setData(all);
    return runIdentity(model, {})[CHECKSUM];
  };
  expect(changed(3 * every)).not.toBe(before);
  expect(changed(3 * every + 1)).toBe(before);
});

test('of a file no more is read than what is sampled', () => {
  const model = new Tensors(write('counted.safetensors'));
  const read = jest.mocked(fs.readSync).mockClear();
  runIdentity(model, {});
  const bytes = read.mock.results.reduce((sum, { value }) => sum + (value as number), 0);
  // small and middle lie close together; of large every 411th value is taken.
  expect(bytes).toBe(4 * 35 + 2 * 2000 + 4 * Math.ceil(420_000 / 411));
});

test('a file that was changed since the model was loaded is refused, one that was touched is read whole', () => {
  const file = write('changed.safetensors');
  const [fresh, known] = [new Tensors(file), new Tensors(file)];
  const before = runIdentity(known, {});
  for (const parameter of known.parameters()) parameter.data();
  fs.utimesSync(file, new Date(), new Date(Date.now() + 60_000));
  expect(errorMessage('SOURCE_CHANGED', () => runIdentity(fresh, {}))).toContain('was modified');
  expect(runIdentity(known, {})).toEqual(before);
  const bytes = fs.readFileSync(file);
  bytes[bytes.length - 20_000] = 1 + bytes[bytes.length - 20_000]!;
  fs.writeFileSync(file, bytes);
  fs.utimesSync(file, new Date(), new Date(Date.now() + 120_000));
  expect(errorMessage('SOURCE_CHANGED', () => known.parameters().map((one) => one.sample(7)))).toContain(
    'bytes changed',
  );
});
