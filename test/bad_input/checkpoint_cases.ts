/**
 * safetensors files and sharded folders. The format's own table
 * is test/io/safetensors.test.ts; here through loadModel.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { loadModel } from '../../src';
import { type BadInput, editJson, goodModel, rawSafetensors, withTensor } from './support';

const load = (dir: string) => loadModel(path.join(dir, 'model'), { task: 'masked-lm' });
const FILE = 'model.safetensors';
const REFETCH = 'fetch or write it again';

/** The good model, its weights replaced. */
const weights = (write: (file: string) => void) => (dir: string) => write(path.join(goodModel(dir), FILE));
const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

function damaged(name: string, says: string | RegExp, write: (file: string) => void): BadInput {
  return { name, code: 'INVALID_CHECKPOINT', says: [FILE, says, REFETCH], prepare: weights(write), run: load };
}

/** The good model in two shards with an index, changed. */
function sharded(change: (index: { weight_map: Record<string, unknown> }, folder: string) => unknown) {
  return (dir: string) => {
    const folder = goodModel(dir);
    const whole = path.join(folder, FILE);
    const { SafetensorsFile, writeModelFolder } = require('../../src') as typeof import('../../src');
    const opened = SafetensorsFile.open(whole);
    const config = JSON.parse(fs.readFileSync(path.join(folder, 'config.json'), 'utf8')) as never;
    const tensors = [...opened.tensors].map(([name, info]): [string, never] => [
      name,
      { dtype: 'F32', shape: info.shape, data: opened.readFloat32(name) } as never,
    ]);
    writeModelFolder(folder, config, tensors, { maxShardBytes: 200_000 });
    editJson(path.join(folder, `${FILE}.index.json`), (json) => change(json as never, folder));
  };
}

const first = (map: Record<string, unknown>) => Object.keys(map)[0] as string;

export const CHECKPOINT_CASES: readonly BadInput[] = [
  damaged('an empty file', '0 bytes', (file) => fs.writeFileSync(file, '')),
  damaged('truncated in the header', 'claims a header', (file) => fs.truncateSync(file, 100)),
  damaged('truncated in the data', 'but the file has', (file) => fs.truncateSync(file, fs.statSync(file).size - 100)),
  damaged('a header of 2^60 bytes', '100 MB is the limit', (file) => rawSafetensors(file, '{}', 0, 1n << 60n)),
  damaged('a header that is not JSON', 'not JSON', (file) => rawSafetensors(file, '{"a": nope}', 0)),
  damaged('a pickle under the name of safetensors', 'not a JSON object', (file) =>
    rawSafetensors(file, '\x80\x02}q\x00.', 100),
  ),
  damaged('overlapping offsets', '"b" overlaps tensor "a"', (file) =>
    rawSafetensors(file, { a: f32(0, 8), b: f32(4, 12) }, 12),
  ),
  damaged('offsets out of range', 'bytes 0 to 8', (file) => rawSafetensors(file, { a: f32(0, 8) }, 4)),
  damaged('an unknown dtype', 'unknown dtype "Q4"', (file) =>
    rawSafetensors(file, { a: { dtype: 'Q4', shape: [1], data_offsets: [0, 1] } }, 1),
  ),
  damaged('a key twice', 'names "a" twice', (file) =>
    rawSafetensors(file, `{"a":${JSON.stringify(f32(0, 4))},"a":${JSON.stringify(f32(4, 8))}}`, 8),
  ),
  damaged('a shape that its bytes do not fill', 'needs 12 bytes', (file) =>
    rawSafetensors(file, { a: f32(0, 8, [3]) }, 8),
  ),
  {
    name: 'an empty folder',
    code: 'FILE_NOT_FOUND',
    says: ['model', 'config.json'],
    prepare: (dir) => void fs.mkdirSync(path.join(dir, 'model')),
    run: load,
  },
  {
    name: 'no folder at all',
    code: 'FILE_NOT_FOUND',
    says: ['model', 'is not a folder', 'Give the folder'],
    run: load,
  },
  {
    name: 'a pickle alone',
    code: 'INVALID_CHECKPOINT',
    says: ['pytorch_model.bin', 'can run code', 'save_pretrained'],
    prepare: (dir) => {
      const folder = goodModel(dir);
      fs.renameSync(path.join(folder, FILE), path.join(folder, 'pytorch_model.bin'));
    },
    run: load,
  },
  {
    name: 'no weights',
    code: 'INVALID_CHECKPOINT',
    says: ['holds neither', FILE, 'Fetch the weights'],
    prepare: (dir) => fs.rmSync(path.join(goodModel(dir), FILE)),
    run: load,
  },
  {
    name: 'a tensor of another shape',
    code: 'STATE_MISMATCH',
    says: ['word_embeddings.weight', '7,16|7, 16'].map((text) => new RegExp(text)),
    prepare: withTensor('roberta.embeddings.word_embeddings.weight', { shape: [7, 16] }),
    run: load,
  },
  {
    name: 'a tensor of the encoder is missing',
    code: 'INVALID_CHECKPOINT',
    says: ['model', 'encoder.layer.1.output.dense.weight', 'Fetch the whole checkpoint'],
    prepare: withTensor('roberta.encoder.layer.1.output.dense.weight', { drop: true }),
    run: load,
  },
  {
    name: 'an index without a weight map',
    code: 'INVALID_CHECKPOINT',
    says: ['index.json', 'weight_map', 'Fetch or write'],
    prepare: sharded(() => ({ metadata: {} })),
    run: load,
  },
  {
    name: 'an index that leads out of the folder',
    code: 'INVALID_CHECKPOINT',
    says: ['index.json', '../', 'no safetensors file of this folder'],
    prepare: sharded(({ weight_map: map }) => {
      map[first(map)] = '../model-00001-of-00002.safetensors';
    }),
    run: load,
  },
  {
    name: 'a missing shard',
    code: 'INVALID_CHECKPOINT',
    says: ['index.json', 'shard', 'is missing'],
    prepare: sharded(({ weight_map: map }, folder) => fs.rmSync(path.join(folder, String(map[first(map)])))),
    run: load,
  },
  {
    name: 'a shard without the tensor that the index sees there',
    code: 'INVALID_CHECKPOINT',
    says: ['index.json', 'lacks the tensor "phantom"'],
    prepare: sharded(({ weight_map: map }) => {
      map['phantom'] = map[first(map)];
    }),
    run: load,
  },
];
