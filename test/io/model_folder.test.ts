import * as fs from 'node:fs';
import * as path from 'node:path';
import { openModelFolder, writeModelFolder } from '../../src/io/model_folder';
import { readTensorFloat32, type TensorData, writeSafetensors } from '../../src/io/safetensors';
import { errorMessage, temporaryFolder } from './temporary';

const dir = temporaryFolder();
let count = 0;
const newFolder = () => path.join(dir, `model-${count++}`);

const config = { model_type: 'roberta', hidden_size: 2 };
const tensor = (...values: number[]): TensorData => ({
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});
const three: [string, TensorData][] = [
  ['x', tensor(1, 2)],
  ['y', tensor(3, 4, 5, 6)],
  ['z', tensor(7)],
];

test('one file: what is written is read', () => {
  const folder = newFolder();
  writeModelFolder(folder, config, three, { extra: (at) => fs.writeFileSync(path.join(at, 'vocab.json'), '{}') });
  expect(fs.readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'vocab.json']);
  const read = openModelFolder(folder);
  expect(read.config).toEqual(config);
  expect([...read.tensors.keys()].sort()).toEqual(['x', 'y', 'z']);
  expect(readTensorFloat32(read.tensors.get('y')!)).toEqual(Float32Array.of(3, 4, 5, 6));
});

test('shards: cut above the limit, read through the index, replaced by a later save', () => {
  const folder = newFolder();
  writeModelFolder(folder, config, three, { maxShardBytes: 17 });
  const shards = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
  expect(fs.readdirSync(folder).sort()).toEqual(['config.json', ...shards, 'model.safetensors.index.json']);
  const index = JSON.parse(fs.readFileSync(path.join(folder, 'model.safetensors.index.json'), 'utf8'));
  expect(index).toEqual({ metadata: { total_size: 28 }, weight_map: { x: shards[0], y: shards[1], z: shards[2] } });
  const read = openModelFolder(folder);
  expect([...read.tensors.values()].map((info) => [info.name, path.basename(info.file)])).toEqual([
    ['x', shards[0]],
    ['y', shards[1]],
    ['z', shards[2]],
  ]);
  expect(readTensorFloat32(read.tensors.get('z')!)).toEqual(Float32Array.of(7));
  writeModelFolder(folder, config, three);
  expect(fs.readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
});

describe('refuses', () => {
  function sharded(change: (folder: string, index: { weight_map: Record<string, unknown> }) => void): string {
    const folder = newFolder();
    writeModelFolder(folder, config, three, { maxShardBytes: 17 });
    const indexFile = path.join(folder, 'model.safetensors.index.json');
    const index = JSON.parse(fs.readFileSync(indexFile, 'utf8'));
    change(folder, index);
    fs.writeFileSync(indexFile, JSON.stringify(index));
    return folder;
  }
  function only(...files: [string, string][]): string {
    const folder = newFolder();
    fs.mkdirSync(folder);
    for (const [name, text] of files) fs.writeFileSync(path.join(folder, name), text);
    return folder;
  }
  const good: [string, string] = ['config.json', '{}'];

  test.each([
    ['FILE_NOT_FOUND', 'no folder', () => newFolder(), /is not a folder/],
    ['FILE_NOT_FOUND', 'no config.json', () => only(['model.safetensors', '']), /config\.json.*ENOENT/],
    ['INVALID_CONFIG', 'a config.json that is no JSON', () => only(['config.json', '{']), /config\.json: is not JSON/],
    ['INVALID_CONFIG', 'a config.json that is no object', () => only(['config.json', '[]']), /no JSON object/],
    ['INVALID_CHECKPOINT', 'no weights', () => only(good), /neither model\.safetensors nor/],
    [
      'INVALID_CHECKPOINT',
      'a pickle only',
      () => only(good, ['pytorch_model.bin', 'x']),
      /pytorch_model\.bin.*safe_serialization=True/,
    ],
    [
      'INVALID_CHECKPOINT',
      'an index that is no JSON',
      () => only(good, ['model.safetensors.index.json', '']),
      /not JSON/,
    ],
    [
      'INVALID_CHECKPOINT',
      'an index without a map',
      () => only(good, ['model.safetensors.index.json', '{}']),
      /weight_map/,
    ],
    [
      'INVALID_CHECKPOINT',
      'a missing shard',
      () => sharded((folder) => fs.rmSync(path.join(folder, 'model-00002-of-00003.safetensors'))),
      /shard model-00002-of-00003\.safetensors \(tensor "y"\) is missing/,
    ],
    [
      'INVALID_CHECKPOINT',
      'a tensor that its shard lacks',
      () => sharded((_, index) => (index.weight_map['w'] = 'model-00001-of-00003.safetensors')),
      /lacks the tensor "w"/,
    ],
    [
      'INVALID_CHECKPOINT',
      'a damaged shard',
      () => sharded((folder) => fs.truncateSync(path.join(folder, 'model-00002-of-00003.safetensors'), 50)),
      /model-00002-of-00003\.safetensors: claims a header/,
    ],
    [
      'INVALID_CHECKPOINT',
      'a shard elsewhere',
      () => sharded((_, index) => (index.weight_map['x'] = '../x.safetensors')),
      /no safetensors file of this/,
    ],
    [
      'INVALID_CHECKPOINT',
      'a shard that is no name',
      () => sharded((_, index) => (index.weight_map['x'] = 3)),
      /is said to be in 3/,
    ],
  ] as const)('%s: %s', (code, _, make, message) => {
    expect(errorMessage(code, () => openModelFolder(make()))).toMatch(message);
  });

  test('a tensor that two shards hold', () => {
    const folder = sharded((at) =>
      writeSafetensors(path.join(at, 'model-00002-of-00003.safetensors'), three.slice(0, 2)),
    );
    const message = errorMessage('INVALID_CHECKPOINT', () => openModelFolder(folder));
    expect(message).toContain(
      '"x" is both in model-00001-of-00003.safetensors and in model-00002-of-00003.safetensors',
    );
  });

  test('writing: a name twice, over shards', () => {
    const folder = newFolder();
    const twice: [string, TensorData][] = [...three, ['x', tensor(1)]];
    expect(
      errorMessage('INVALID_ARGUMENT', () => writeModelFolder(folder, config, twice, { maxShardBytes: 8 })),
    ).toContain('"x"');
    expect(
      errorMessage('INVALID_ARGUMENT', () => writeModelFolder(folder, config, three, { maxShardBytes: 0 })),
    ).toContain('maxShardBytes');
    expect(fs.existsSync(folder)).toBe(false);
  });
});
