/** What may be opened to be read: files alone, and none that a link brings into a folder. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { loadModel, loadTokenizer, SafetensorsFile } from '../../src';
import { loadExamples } from '../../src/data/read/load';
import { readDocuments } from '../../src/data/read/text_documents';
import { readJsonObject } from '../../src/io/json';
import { openToRead, readWhole } from '../../src/io/open';
import { readRecord } from '../../src/report';
import { copyTokenizer, readRecord as readSettings } from '../../src/task/meaning/record';
import { goodModel, makeTemplate } from '../bad_input/support';
import { errorMessage, temporaryFolder } from './temporary';

const dir = temporaryFolder();
const secret = path.join(dir, 'secret.json');
fs.writeFileSync(secret, '{"secret": "words"}');
makeTemplate(fs.mkdtempSync(path.join(dir, 'template-')));

const modelFolder = () => goodModel(fs.mkdtempSync(path.join(dir, 'm-')));
const pipe = (file: string) => {
  fs.rmSync(file, { force: true });
  execFileSync('mkfifo', [file]);
  return file;
};

describe('what is no regular file', () => {
  test('is refused at once, with what it is', async () => {
    const fifo = pipe(path.join(dir, 'pipe.csv'));
    for (const [file, kind] of [
      [fifo, 'a pipe'],
      ['/dev/zero', 'a device'],
      [dir, 'a folder'],
    ] as const) {
      const says = new RegExp(`^${file}: is ${kind}, not a file, and nothing was read`);
      expect(errorMessage('FILE_NOT_FOUND', () => openToRead(file))).toMatch(says);
      expect(errorMessage('FILE_NOT_FOUND', () => SafetensorsFile.open(file))).toMatch(says);
      expect(errorMessage('FILE_NOT_FOUND', () => readJsonObject(file, 'here', 'INVALID_CONFIG'))).toMatch(/ is a /);
    }
    await expect(loadExamples({ task: 'sequence-classification', data: fifo, options: {} })).rejects.toThrow(
      /pipe\.csv: is a pipe/,
    );
    const text = pipe(path.join(dir, 'pipe.txt'));
    await expect(readDocuments([text]).next()).rejects.toThrow(/pipe\.txt: is a pipe/);
    expect(() => readRecord(fifo)).toThrow(/pipe\.csv: is a pipe/);
  });

  test.each([
    ['config.json', (folder: string) => loadModel(folder, { task: 'masked-lm' })],
    ['model.safetensors', (folder: string) => loadModel(folder, { task: 'masked-lm' })],
    ['tokenizer.json', loadTokenizer],
    ['tokenizer_config.json', loadTokenizer],
    ['special_tokens_map.json', loadTokenizer],
    ['fused_lora.json', readSettings],
  ])('%s as a pipe does not hold who opens the folder', (name, open) => {
    const folder = modelFolder();
    pipe(path.join(folder, name));
    expect(() => open(folder)).toThrow(new RegExp(`${name}: is a pipe`));
  });
});

describe('links', () => {
  test.each([
    ['config.json', (folder: string) => loadModel(folder, { task: 'masked-lm' })],
    ['model.safetensors', (folder: string) => loadModel(folder, { task: 'masked-lm' })],
    ['tokenizer.json', loadTokenizer],
    ['tokenizer_config.json', loadTokenizer],
    ['added_tokens.json', loadTokenizer],
    ['fused_lora.json', readSettings],
  ])('%s as a link that leaves the folder is refused', (name, open) => {
    const folder = modelFolder();
    fs.rmSync(path.join(folder, name), { force: true });
    fs.symlinkSync(secret, path.join(folder, name));
    let message = '';
    try {
      open(folder);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(`${name}: is a link to ${fs.realpathSync(secret)}, which is outside of its folder`);
    expect(message).not.toContain('words');
  });

  test('a tokenizer is copied file by file as it is read: no link, nothing beside it', () => {
    const folder = modelFolder();
    fs.symlinkSync(secret, path.join(folder, 'vocab.json'));
    const to = fs.mkdtempSync(path.join(dir, 'to-'));
    copyTokenizer(folder, to);
    expect(fs.readdirSync(to).sort()).toEqual(['tokenizer.json', 'tokenizer_config.json']);
    fs.symlinkSync(secret, path.join(folder, 'special_tokens_map.json'));
    const other = fs.mkdtempSync(path.join(dir, 'to-'));
    expect(errorMessage('INVALID_TOKENIZER', () => copyTokenizer(folder, other))).toMatch(
      /special_tokens_map.* a link/,
    );
    expect(
      fs.readFileSync(path.join(folder, 'tokenizer.json')).equals(readWhole(path.join(to, 'tokenizer.json'))),
    ).toBe(true);
  });

  test('one that stays inside, a linked folder and the layout of the hub cache are read', () => {
    const folder = modelFolder();
    fs.renameSync(path.join(folder, 'config.json'), path.join(folder, 'config-1.json'));
    fs.symlinkSync('config-1.json', path.join(folder, 'config.json'));
    const linked = path.join(dir, 'linked');
    fs.symlinkSync(folder, linked);
    expect(loadModel(linked, { task: 'masked-lm' }).model.config.hiddenSize).toBe(16);

    const repository = path.join(dir, 'models--o--n');
    const snapshot = path.join(repository, 'snapshots', 'a'.repeat(40));
    for (const at of [snapshot, path.join(repository, 'blobs')]) fs.mkdirSync(at, { recursive: true });
    const hash = 'b'.repeat(64);
    fs.copyFileSync(path.join(folder, 'config-1.json'), path.join(repository, 'blobs', hash));
    fs.symlinkSync(path.join('..', '..', 'blobs', hash), path.join(snapshot, 'config.json'));
    expect(
      readJsonObject(path.join(snapshot, 'config.json'), 'here', 'INVALID_CONFIG', { inFolder: true }),
    ).toHaveProperty('hidden_size');
    // A blob that leads on, or one by another name, is none of the cache.
    const outside = path.join(repository, 'blobs', 'c'.repeat(40));
    fs.symlinkSync(secret, outside);
    fs.writeFileSync(path.join(repository, 'blobs', 'notes'), '{}');
    for (const target of ['c'.repeat(40), 'notes']) {
      const file = path.join(snapshot, 'tokenizer.json');
      fs.rmSync(file, { force: true });
      fs.symlinkSync(path.join('..', '..', 'blobs', target), file);
      expect(errorMessage('FILE_NOT_FOUND', () => openToRead(file, { inFolder: true }))).toContain('is a link to');
    }
  });

  test('of a file that the user named may lead anywhere', () => {
    const file = path.join(dir, 'mine.json');
    fs.symlinkSync(secret, file);
    expect(readJsonObject(file, 'here', 'INVALID_CONFIG')).toEqual({ secret: 'words' });
  });
});

test('a file larger than its kind may be is refused unread', () => {
  const file = path.join(dir, 'large.json');
  fs.writeFileSync(file, '');
  fs.truncateSync(file, 65 << 20);
  expect(errorMessage('FILE_NOT_FOUND', () => readJsonObject(file, 'here', 'INVALID_CONFIG'))).toMatch(
    /large\.json: has 68157440 bytes; 67108864 is the limit/,
  );
});

test('JSON nested deeper than code should follow is refused', () => {
  const file = path.join(dir, 'deep.json');
  fs.writeFileSync(file, `{"a": ${'['.repeat(101)}${']'.repeat(101)}, "b": "[[[["}`);
  expect(errorMessage('INVALID_CONFIG', () => readJsonObject(file, 'here', 'INVALID_CONFIG'))).toMatch(
    /deep\.json: is nested deeper than 100 levels/,
  );
  fs.writeFileSync(file, `{"a": "${'['.repeat(1000)}\\"${'{'.repeat(1000)}"}`);
  expect(readJsonObject(file, 'here', 'INVALID_CONFIG')).toHaveProperty('a');
});

test('nothing in src reads or writes files in another way', () => {
  // Files of this package and of the system, and what a file was made for.
  const allowed: Record<string, RegExp> = {
    'io/open.ts': /./,
    'io/atomic.ts': /./,
    'io/system.ts': /openSync/,
    'io/output_lock.ts': /\/proc\/|'wx'/,
    'io/hub/settings.ts': /HF_TOKEN_PATH/,
    'io/hub/download.ts': /\bfd: |APPEND/,
    'io/hub/cache.ts': /COPYFILE_EXCL/,
    'report/document.ts': /readFileSync\($/,
    'serve/routes/page.ts': /readFileSync\(ownFile\(/,
    'study/journal/journal_file.ts': /\(this\.file, OPEN \||\(file, OPEN\)/,
    'distributed/find_mpi.ts': /\/proc\//,
    'task/meaning/record.ts': /flag: 'wx'/,
    'train/kept_states.ts': /'wx\+'/,
    'train/tensorboard.ts': /flag: 'wx'|openSync\(file, APPEND\)|writeFileSync\(fd,/,
    'data/read/text_documents.ts': /fd: openToRead/,
    'cli/predict_input.ts': /fd: openToRead/,
  };
  const files = fs.readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const calls =
    /\b(readFileSync|openSync|readFile|writeFile|writeFileSync|appendFileSync|copyFileSync|createReadStream|createWriteStream|promises\.open|cpSync)\(/;
  const others = files.flatMap((name) =>
    fs
      .readFileSync(path.join('src', name), 'utf8')
      .split('\n')
      .filter((line) => calls.test(line.replace('handle.createReadStream', '')) && !allowed[name]?.test(line))
      .map((line) => `${name}: ${line.trim()}`),
  );
  expect(others).toEqual([]);
});
