/**
 * Downloads from a server that speaks the hub's protocol: what is asked for, the cache that Python
 * shares, failures, resuming, offline.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type FusedLoraError, fetchModel, openTextModel, readExamples } from '../../../src';
import { findBaseModel } from '../../../src/io/find_model';
import { hubModelOf, parseHubUrl } from '../../../src/io/hub/ids';
import { hubSettings } from '../../../src/io/hub/settings';
import { findOwnBase } from '../../../src/task/adapter_store';
import { temporaryFolder } from '../temporary';
import { commitOf, gitBlob, HubServer, sha256 } from './server';

const server = new HubServer();
const MAIN = commitOf('main');
const OLD = commitOf('old');
const weights = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 31) % 251));
const files = {
  'README.md': Buffer.from('a model'),
  'config.json': Buffer.from('{"model_type": "roberta"}'),
  'merges.txt': Buffer.from('#version: 0.2\n'),
  'model.safetensors': weights,
  'pytorch_model.bin': Buffer.alloc(5000, 7),
  'tokenizer.json': Buffer.from('{}'),
  'tokenizer_config.json': Buffer.from('{"a": 1}'),
  'vocab.json': Buffer.from('{"b": 1}'),
};
/** The weights at the origin of large files. */
const LARGE = /^\/models\/someone\/tiny\/model\.safetensors$/;
const VARIABLES = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_HUB_OFFLINE',
  'FUSED_LORA_OFFLINE',
  'HF_TOKEN',
];
const saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
let cache: string;

beforeAll(() => server.start());
afterAll(async () => {
  await server.stop();
  for (const [name, value] of Object.entries(saved)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});
beforeEach(() => {
  for (const name of VARIABLES) delete process.env[name];
  cache = temporaryFolder();
  process.env['HF_ENDPOINT'] = server.endpoint;
  process.env['HF_HOME'] = cache;
  server.faults.clear();
  server.repositories.clear();
  server.repositories.set('models/someone/tiny', { files, refs: { main: MAIN, 'v1/x': OLD } });
  server.requests.length = 0;
});

const paths = () => server.requests.filter(({ storage }) => !storage).map(({ path: p }) => p);
const filesBelow = (dir: string) =>
  fs
    .readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => !fs.statSync(path.join(dir, name)).isDirectory())
    .sort();
const failure = async (promise: Promise<unknown>): Promise<FusedLoraError> => {
  try {
    await promise;
  } catch (error) {
    expect((error as Error).name).toBe('FusedLoraError');
    return error as FusedLoraError;
  }
  throw new Error('nothing was thrown');
};

describe('a model', () => {
  it('comes with the files that are needed, in the layout of the cache of Python', async () => {
    const folder = await fetchModel('someone/tiny');
    const repository = path.join(cache, 'hub', 'models--someone--tiny');
    expect(folder).toBe(path.join(repository, 'snapshots', MAIN));
    const wanted = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'] as const;
    expect(filesBelow(folder)).toEqual(wanted);
    expect(fs.readFileSync(path.join(repository, 'refs', 'main'), 'utf8')).toBe(MAIN);
    for (const name of wanted) {
      const blob = name === 'model.safetensors' ? sha256(files[name]) : gitBlob(files[name]);
      expect(fs.readlinkSync(path.join(folder, name))).toBe(path.join('..', '..', 'blobs', blob));
      expect(fs.readFileSync(path.join(folder, name))).toEqual(files[name]);
    }
    expect(fs.readdirSync(path.join(repository, 'blobs'))).toHaveLength(wanted.length);
  });

  it('comes once: the second time only its revision is looked up', async () => {
    await fetchModel('someone/tiny');
    server.requests.length = 0;
    await fetchModel('someone/tiny');
    expect(paths().every((p) => p.startsWith('/api/'))).toBe(true);
  });

  it('in a revision, by name or address', async () => {
    expect(await fetchModel('someone/tiny', { revision: 'v1/x' })).toMatch(`snapshots/${OLD}`);
    expect(fs.readFileSync(path.join(cache, 'hub', 'models--someone--tiny', 'refs', 'v1', 'x'), 'utf8')).toBe(OLD);
    expect(await fetchModel('someone/tiny', { revision: OLD })).toMatch(`snapshots/${OLD}`);
    expect(parseHubUrl('hf://someone/tiny@v1%2Fx')).toMatchObject({ revision: 'v1/x', path: '' });
  });

  it('in shards: those that the index names', async () => {
    const index = { weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } };
    server.repositories.set('models/someone/large', {
      refs: { main: MAIN },
      files: {
        'config.json': files['config.json'],
        'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
        'model-00001-of-00002.safetensors': weights,
        'model-00002-of-00002.safetensors': weights.subarray(1),
        'model-00003-of-00002.safetensors': weights.subarray(2),
        'tokenizer.json': Buffer.from('{}'),
      },
    });
    expect(filesBelow(await fetchModel('someone/large'))).toEqual([
      'config.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
      'tokenizer.json',
    ]);
  });

  it('that is an adapter', async () => {
    server.repositories.set('models/someone/adapter', {
      refs: { main: MAIN },
      files: {
        'adapter_config.json': Buffer.from('{}'),
        'adapter_model.safetensors': weights,
        'x.md': Buffer.from('x'),
      },
    });
    expect(filesBelow(await fetchModel('someone/adapter'))).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
    ]);
  });

  it('of pickles alone is refused before anything is downloaded', async () => {
    const { 'model.safetensors': _, ...others } = files;
    server.repositories.set('models/someone/old', { files: others, refs: { main: MAIN } });
    const error = await failure(fetchModel('someone/old'));
    expect(error).toMatchObject({ code: 'INVALID_CHECKPOINT' });
    expect(error.message).toMatch(
      /only as pytorch_model\.bin.*a pickle can run code.*AutoModel\.from_pretrained\("someone\/old"\)/s,
    );
    expect(paths().filter((p) => p.includes('/resolve/'))).toEqual([]);
  });
});

describe('the token', () => {
  it('goes to the hub and never to where it redirects', async () => {
    server.repositories.get('models/someone/tiny')!.token = 'secret';
    await fetchModel('someone/tiny', { token: 'secret' });
    expect(server.requests.some(({ storage }) => storage)).toBe(true);
    for (const { storage, token } of server.requests) expect(token).toBe(storage ? undefined : 'secret');
  });

  it('comes from HF_TOKEN, or the file that a login leaves', () => {
    fs.writeFileSync(path.join(cache, 'token'), 'from the file\n');
    expect(hubSettings({}).token).toBe('from the file');
    process.env['HF_TOKEN'] = 'from the environment';
    expect(hubSettings({}).token).toBe('from the environment');
    expect(hubSettings({ token: 'given' }).token).toBe('given');
  });

  it.each([
    ['missing', {}, /401.*private or gated.*Set HF_TOKEN/s],
    ['wrong', { token: 'other' }, /401.*Check the token/s],
  ])('is %s', async (_, options, message) => {
    server.repositories.get('models/someone/tiny')!.token = 'secret';
    const error = await failure(fetchModel('someone/tiny', options));
    expect(error.code).toBe('DOWNLOAD_FAILED');
    expect(error.message).toMatch(message);
  });

  it('is never sent for a name that a file gives, and the request is told before', async () => {
    process.env['HF_TOKEN'] = 'secret';
    const adapter = temporaryFolder();
    const file = path.join(adapter, 'adapter_config.json');
    fs.writeFileSync(file, JSON.stringify({ base_model_name_or_path: 'someone/tiny' }));
    const notices: string[] = [];
    const onNotice = (line: string) => {
      // Before the first request, or before that of a later one.
      notices.push(`${server.requests.length}: ${line}`);
    };
    for (const options of [{}, { token: 'given' }]) await findBaseModel(adapter, { ...options, onNotice });
    expect(server.requests.length).toBeGreaterThan(3);
    expect(server.requests.filter(({ token }) => token !== undefined)).toEqual([]);
    expect(notices[0]).toBe(
      `0: base model of ${adapter}: someone/tiny, as its adapter_config.json says, from ${server.endpoint}, asked without your token`,
    );
    server.repositories.get('models/someone/tiny')!.token = 'secret';
    const message = (await failure(findBaseModel(adapter, { cacheDir: temporaryFolder() }))).message;
    expect(message).toContain(`${file} names it, so it was asked for without your token`);
    expect(message).toContain('--model someone/tiny with --adapter');
    // Named by the user it goes with the token.
    expect(fs.existsSync(await fetchModel('someone/tiny', { cacheDir: temporaryFolder() }))).toBe(true);
  });

  it('nothing that a file names is followed where the user says so', async () => {
    const adapter = temporaryFolder();
    fs.writeFileSync(path.join(adapter, 'adapter_config.json'), '{"base_model_name_or_path": "someone/tiny"}');
    const { code, message } = await failure(openTextModel(adapter, { requireBaseModel: true }));
    expect([code, message]).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining('adapter_config.json: names the base model "someone/tiny", which is not followed'),
    ]);
    expect(server.requests).toEqual([]);
  });

  it('nor for the base that the manifest of a store of adapters names', async () => {
    const adapter = temporaryFolder();
    const base = { name: 'someone/tiny', sha256: '0', sample: '0' };
    const manifest = { name: 'a', added: '2026-01-01', files: {}, base };
    fs.writeFileSync(path.join(adapter, 'adapter_config.json'), '{"base_model_name_or_path": "elsewhere"}');
    fs.writeFileSync(path.join(adapter, 'fused_lora_kept.json'), JSON.stringify(manifest));
    process.env['HF_TOKEN'] = 'secret';
    const notices: string[] = [];
    await findOwnBase(adapter, { cacheDir: temporaryFolder(), onNotice: (line) => notices.push(line) });
    expect(server.requests.length).toBeGreaterThan(3);
    expect(server.requests.filter(({ token }) => token !== undefined)).toEqual([]);
    expect(notices[0]).toContain('someone/tiny, as its fused_lora_kept.json says');
    server.requests.length = 0;
    const { code, message } = await failure(openTextModel(adapter, { requireBaseModel: true }));
    expect([code, message]).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining('fused_lora_kept.json: names the base model "someone/tiny", which is not followed'),
    ]);
    expect(server.requests).toEqual([]);
  });

  it('has no access', async () => {
    server.repositories.get('models/someone/tiny')!.denied = true;
    const error = await failure(fetchModel('someone/tiny', { token: 'hf_x' }));
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringMatching(/403.*Accept the terms/s) });
  });
});

describe('failures', () => {
  it('a name that is not there, a revision that is not there', async () => {
    const unknown = await failure(fetchModel('someone/nothing', { token: 'hf_x' }));
    expect(unknown).toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringMatching(/no such model/) });
    expect((await failure(fetchModel('someone/nothing'))).message).toMatch(/there is no such model, or it is private/);
    const revision = await failure(fetchModel('someone/tiny', { revision: 'nope' }));
    expect(revision).toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringMatching(/revision nope/) });
  });

  it('of the server are tried again; of too many the message says so', async () => {
    server.faults.set(/config\.json$/, ['500', '429', 'hang up']);
    await fetchModel('someone/tiny');
    cache = temporaryFolder();
    server.faults.set(/revision/, Array(10).fill('500'));
    const error = await failure(fetchModel('someone/tiny', { cacheDir: cache }));
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringMatching(/answered 500.*4 tries/) });
    expect(fs.readdirSync(cache)).toEqual([]);
  });

  it('a connection that is cut goes on from there, in the same call', async () => {
    server.faults.set(LARGE, ['cut', 'cut']);
    const folder = await fetchModel('someone/tiny');
    expect(fs.readFileSync(path.join(folder, 'model.safetensors'))).toEqual(weights);
    const ranges = server.requests.filter(({ storage }) => storage).map(({ range }) => range);
    expect(ranges).toEqual([undefined, `bytes=20000-39999`, `bytes=30000-39999`]);
  });

  it('and in the next call, also of what another process left', async () => {
    const blobs = path.join(cache, 'hub', 'models--someone--tiny', 'blobs');
    fs.mkdirSync(blobs, { recursive: true });
    // As a process that was killed leaves it: its number is nobody's now.
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    fs.writeFileSync(path.join(blobs, `${sha256(weights)}.incomplete.${pid}-1`), weights.subarray(0, 1234));
    const folder = await fetchModel('someone/tiny');
    expect(fs.readFileSync(path.join(folder, 'model.safetensors'))).toEqual(weights);
    expect(server.requests.filter(({ storage }) => storage).map(({ range }) => range)).toEqual(['bytes=1234-39999']);
    expect(fs.readdirSync(blobs).some((name) => name.includes('incomplete'))).toBe(false);
  });

  it('an abort leaves what was got, which the next call goes on from', async () => {
    const controller = new AbortController();
    server.faults.set(LARGE, ['stall']);
    const blobs = path.join(cache, 'hub', 'models--someone--tiny', 'blobs');
    const halfThere = () =>
      fs.existsSync(blobs) && fs.readdirSync(blobs).some((name) => fs.statSync(path.join(blobs, name)).size === 20_000);
    const timer = setInterval(() => halfThere() && controller.abort(), 20);
    const error = await failure(fetchModel('someone/tiny', { signal: controller.signal }));
    clearInterval(timer);
    expect(error.code).toBe('ABORTED');
    const folder = await fetchModel('someone/tiny');
    expect(fs.readFileSync(path.join(folder, 'model.safetensors'))).toEqual(weights);
    expect(server.requests.filter(({ storage }) => storage).at(-1)?.range).toBe('bytes=20000-39999');
  });

  it('a damaged file is downloaded again, and twice damaged is an error that leaves nothing', async () => {
    server.faults.set(LARGE, ['damaged']);
    const folder = await fetchModel('someone/tiny');
    expect(fs.readFileSync(path.join(folder, 'model.safetensors'))).toEqual(weights);
    server.faults.set(LARGE, ['damaged', 'damaged']);
    const other = temporaryFolder();
    const error = await failure(fetchModel('someone/tiny', { cacheDir: other }));
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringMatching(/checksum.*twice/) });
    const blobs = fs.readdirSync(path.join(other, 'models--someone--tiny', 'blobs'));
    expect(blobs.some((name) => name.startsWith(sha256(weights)))).toBe(false);
  });

  it('a server that gives no parts gives the whole', async () => {
    server.faults.set(LARGE, ['cut', 'no ranges']);
    const folder = await fetchModel('someone/tiny');
    expect(fs.readFileSync(path.join(folder, 'model.safetensors'))).toEqual(weights);
  });

  it.each(['W/"1234"', 'd41d8cd98f00b204e9800998ecf8427e-3', '', '../../outside', 'A'.repeat(40)])(
    'an id of another form, %j, is no checksum, and nothing is taken',
    async (id) => {
      server.repositories.get('models/someone/tiny')!.ids = { 'config.json': id };
      const { code, message } = await failure(fetchModel('someone/tiny'));
      expect(code).toBe('DOWNLOAD_FAILED');
      expect(message).toContain(`config.json has the size 25 and the id ${JSON.stringify(id)}, which is no checksum`);
      expect(server.requests.filter(({ path: p }) => p.includes('/resolve/'))).toEqual([]);
    },
  );

  it('a name that leads out of the cache', async () => {
    server.repositories.set('models/someone/evil', {
      refs: { main: MAIN },
      files: { ...files, '../../../../evil.json': Buffer.from('x'), 'model.safetensors.index.json': Buffer.from('{}') },
    });
    await fetchModel('someone/evil');
    server.repositories.set('datasets/someone/evil', {
      refs: { main: MAIN },
      files: { '../../../../../evil.csv': Buffer.from('x') },
    });
    const error = await failure(readExamples('hf://datasets/someone/evil'));
    expect(error).toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringMatching(/outside its repository/) });
  });
});

describe('offline', () => {
  it('uses what was downloaded, and no network', async () => {
    const folder = await fetchModel('someone/tiny');
    server.requests.length = 0;
    process.env['HF_HUB_OFFLINE'] = '1';
    expect(await fetchModel('someone/tiny')).toBe(folder);
    expect(server.requests).toEqual([]);
    const error = await failure(fetchModel('someone/tiny', { revision: 'v1/x' }));
    expect(error).toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(/revision v1\/x is not in the cache/),
    });
    expect(await failure(fetchModel('someone/other'))).toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(server.requests).toEqual([]);
  });

  it.each(['FUSED_LORA_OFFLINE', 'HF_HUB_OFFLINE'])('%s=1 says so for all', (name) => {
    process.env[name] = '1';
    expect(hubSettings({}).offline).toBe(true);
    expect(hubSettings({ offline: false }).offline).toBe(false);
  });

  it('says which file the cache lacks', async () => {
    const folder = await fetchModel('someone/tiny', { tokenizerOnly: true });
    const error = await failure(fetchModel('someone/tiny', { offline: true }));
    expect(error.code).toBe('INVALID_CHECKPOINT');
    expect(error.message).toMatch(/someone\/tiny: holds no model\.safetensors/);
    expect(filesBelow(folder)).toEqual(['tokenizer.json', 'tokenizer_config.json']);
  });

  it('the cache serves where the hub can not be reached, and a notice says so', async () => {
    const folder = await fetchModel('someone/tiny');
    server.faults.set(/./, Array(100).fill('500'));
    const notices: string[] = [];
    expect(await fetchModel('someone/tiny', { onNotice: (line) => notices.push(line) })).toBe(folder);
    expect(notices.join()).toMatch(/can not be reached; using what was downloaded before/);
  });
});

describe('data sets', () => {
  const csv = (rows: string) => Buffer.from(`text,label\n${rows}\n`);
  beforeEach(() => {
    server.repositories.set('datasets/someone/reviews', {
      refs: { main: MAIN, v2: OLD },
      files: {
        'README.md': Buffer.from('x'),
        'data/test.csv': csv('c,1'),
        'data/train-0.csv': csv('a,0'),
        'data/train-1.csv': csv('b,1'),
      },
    });
  });
  const texts = async (url: string) => (await readExamples(url)).map(({ text }) => text);

  it('by file, folder, glob and revision', async () => {
    expect(await readExamples('hf://datasets/someone/reviews/data/test.csv')).toEqual([
      { text: 'c', label: '1', place: 'hf://datasets/someone/reviews/data/test.csv:2' },
    ]);
    expect(await texts('hf://datasets/someone/reviews/data')).toEqual(['c', 'a', 'b']);
    expect(await texts('hf://datasets/someone/reviews/data/train-*.csv')).toEqual(['a', 'b']);
    expect(await texts('hf://datasets/someone/reviews@v2/data/test.csv')).toEqual(['c']);
    expect(fs.existsSync(path.join(cache, 'hub', 'datasets--someone--reviews', 'refs', 'v2'))).toBe(true);
  });

  it('a path that is not there', async () => {
    const error = await failure(readExamples('hf://datasets/someone/reviews/data/tset.csv'));
    expect(error).toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(/was "data\/test\.csv" meant/),
    });
    for (const url of [
      'hf://datasets/someone',
      'hf://datasets/a/b/../c',
      'hf://datasets/a/b@/c',
      'hf://datasets/a/b@%zz/c',
    ]) {
      expect(await failure(readExamples(url))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

describe('names', () => {
  it.each([
    ['roberta-base', 'roberta-base'],
    ['FacebookAI/roberta-base', 'FacebookAI/roberta-base'],
    ['hf://FacebookAI/roberta-base@v1', 'FacebookAI/roberta-base'],
    ['hf://roberta-base', 'roberta-base'],
    ['./roberta-base', undefined],
    ['--help', undefined],
    ['owner/-', undefined],
    ['/models/roberta-base', undefined],
    ['a/b/c', undefined],
    ['src', undefined],
    ['missing.json', undefined],
    ['pytorch_model.bin', undefined],
  ])('%s', (text, name) => {
    expect(hubModelOf(text)?.name).toBe(name);
  });
});
