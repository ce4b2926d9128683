import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { openOutput } from '../../src/cli/predict_output';
import { appendOwnLine, writeFileAtomic, writeFileAtomicWith, writeFolderAtomic } from '../../src/io/atomic';
import { errorMessage, temporaryFolder } from './temporary';

jest.mock('node:crypto', () => {
  const real = jest.requireActual<typeof import('node:crypto')>('node:crypto');
  return { ...real, randomUUID: jest.fn(real.randomUUID) };
});

const dir = temporaryFolder();
const read = (file: string) => fs.readFileSync(file, 'utf8');

describe('writeFileAtomic', () => {
  test('writes, replaces, follows links and leaves no other file', () => {
    const place = fs.mkdtempSync(path.join(dir, 'a-'));
    const file = path.join(place, 'f.json');
    writeFileAtomic(file, 'one é');
    expect(read(file)).toBe('one é');
    fs.symlinkSync('f.json', path.join(place, 'link'));
    writeFileAtomic(path.join(place, 'link'), Uint8Array.of(0x32));
    expect(read(file)).toBe('2');
    expect(fs.readdirSync(place).sort()).toEqual(['f.json', 'link']);
  });

  test('a failure on the way keeps the old file and no other', () => {
    const place = fs.mkdtempSync(path.join(dir, 'b-'));
    const file = path.join(place, 'f');
    writeFileAtomic(file, 'old');
    expect(() =>
      writeFileAtomicWith(file, (sink) => {
        sink(Buffer.from('new'));
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(read(file)).toBe('old');
    expect(fs.readdirSync(place)).toEqual(['f']);
  });

  test('a device is written directly', () => {
    writeFileAtomic('/dev/null', 'x');
    expect(fs.statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  test.each([
    ['a missing folder', () => path.join(dir, 'missing', 'f'), /does not exist; create it first/],
    ['a folder', () => fs.mkdtempSync(path.join(dir, 'c-')), /it is a folder/],
    [
      'a file as folder',
      () => {
        fs.writeFileSync(path.join(dir, 'plain'), '');
        return path.join(dir, 'plain', 'f');
      },
      /is a file, not a folder/,
    ],
    ['a name too long', () => path.join(dir, 'x'.repeat(300)), /too long/],
  ])('%s is an error that names the path', (_, make, message) => {
    const file = make();
    const text = errorMessage('FILE_NOT_WRITABLE', () => writeFileAtomic(file, 'x'));
    expect(text).toMatch(message);
    expect(text).toContain(file);
  });
});

describe('files of our own folders', () => {
  const place = () => {
    const folder = fs.mkdtempSync(path.join(dir, 'own-'));
    const outside = path.join(folder, 'outside.txt');
    fs.writeFileSync(outside, 'mine');
    return { folder, outside };
  };

  test('a link under the name is replaced, not followed', () => {
    const { folder, outside } = place();
    const file = path.join(folder, 'report.html');
    fs.symlinkSync(outside, file);
    writeFileAtomic(file, 'page', { own: true });
    expect([read(file), fs.lstatSync(file).isFile(), read(outside)]).toEqual(['page', true, 'mine']);
    const log = path.join(folder, 'events.jsonl');
    fs.symlinkSync(outside, log);
    appendOwnLine(log, 'one', true);
    appendOwnLine(log, 'two');
    expect([read(log), read(outside)]).toEqual(['one\ntwo\n', 'mine']);
    fs.rmSync(log);
    fs.symlinkSync(outside, log);
    // One that came while the log was written.
    errorMessage('FILE_NOT_WRITABLE', () => appendOwnLine(log, 'three'));
    expect(read(outside)).toBe('mine');
    const elsewhere = fs.mkdtempSync(path.join(dir, 'elsewhere-'));
    const checkpoint = path.join(folder, 'checkpoint-1');
    fs.symlinkSync(elsewhere, checkpoint);
    writeFolderAtomic(checkpoint, (at) => fs.writeFileSync(path.join(at, 'f'), 'x'), undefined, { own: true });
    expect([fs.lstatSync(checkpoint).isDirectory(), fs.readdirSync(elsewhere)]).toEqual([true, []]);
  });

  test('a line that a killed process left half is ended before the next', () => {
    const log = path.join(place().folder, 'events.jsonl');
    fs.writeFileSync(log, '{"a":1}\n{"b"');
    appendOwnLine(log, '{"c":2}', true);
    appendOwnLine(log, '{"d":3}');
    expect(read(log)).toBe('{"a":1}\n{"b"\n{"c":2}\n{"d":3}\n');
  });
});

test('temporary files have names that nobody can guess, and are never opened through a link', () => {
  const folder = fs.mkdtempSync(path.join(dir, 'guess-'));
  const target = path.join(folder, 'predictions.jsonl');
  const names = Array.from({ length: 3 }, () => {
    const output = openOutput(target);
    const [name = ''] = fs.readdirSync(folder);
    output.discard();
    expect(fs.readdirSync(folder)).toEqual([]);
    return name;
  });
  expect(new Set(names).size).toBe(3);
  for (const name of names) expect(name).toMatch(/^\.predictions\.jsonl\.tmp-[0-9a-f-]{36}$/);
});

test('whoever guesses a temporary name all the same gets nothing written through a link there', () => {
  const folder = fs.mkdtempSync(path.join(dir, 'guessed-'));
  const outside = path.join(dir, 'outside.txt');
  fs.writeFileSync(outside, 'mine');
  fs.symlinkSync(outside, path.join(folder, '.p.jsonl.tmp-guessed'));
  for (const write of [openOutput, (file: string) => writeFileAtomic(file, 'x')]) {
    jest.mocked(randomUUID).mockReturnValueOnce('guessed' as ReturnType<typeof randomUUID>);
    expect(errorMessage('FILE_NOT_WRITABLE', () => write(path.join(folder, 'p.jsonl')))).toContain('EEXIST');
    expect(fs.readFileSync(outside, 'utf8')).toBe('mine');
  }
});

test('predictions appear whole, or not at all', async () => {
  const folder = fs.mkdtempSync(path.join(dir, 'whole-'));
  const target = path.join(folder, 'p.jsonl');
  const output = openOutput(target);
  await output.write('one\n');
  expect(fs.existsSync(target)).toBe(false);
  await output.write('two\n');
  output.finish();
  output.discard();
  expect([read(target), fs.readdirSync(folder)]).toEqual(['one\ntwo\n', ['p.jsonl']]);
});

describe('writeFolderAtomic', () => {
  const fill = (content: string) => (folder: string) => {
    fs.writeFileSync(path.join(folder, 'one'), content);
    fs.mkdirSync(path.join(folder, 'sub'));
    fs.writeFileSync(path.join(folder, 'sub', 'two'), content);
  };

  test('makes a new folder and its parents; nothing is seen before the end', () => {
    const target = path.join(dir, 'p', 'q', 'model');
    writeFolderAtomic(target, (folder) => {
      fill('1')(folder);
      expect(fs.existsSync(target)).toBe(false);
    });
    expect(read(path.join(target, 'sub', 'two'))).toBe('1');
    expect(fs.readdirSync(path.dirname(target))).toEqual(['model']);
  });

  test('an existing folder keeps foreign files and loses obsolete ones', () => {
    const target = fs.mkdtempSync(path.join(dir, 'd-'));
    for (const name of ['notes.txt', 'one', 'shard-9']) fs.writeFileSync(path.join(target, name), 'old');
    writeFolderAtomic(target, fill('2'), (name) => name === 'one' || name.startsWith('shard-'));
    expect(fs.readdirSync(target).sort()).toEqual(['notes.txt', 'one', 'sub']);
    expect(read(path.join(target, 'one'))).toBe('2');
    expect(read(path.join(target, 'sub', 'two'))).toBe('2');
    expect(read(path.join(target, 'notes.txt'))).toBe('old');
  });

  test('a failure on the way changes nothing', () => {
    const target = fs.mkdtempSync(path.join(dir, 'e-'));
    fs.writeFileSync(path.join(target, 'one'), 'old');
    const stop = (folder: string) => {
      fill('3')(folder);
      throw new Error('stop');
    };
    expect(() => writeFolderAtomic(target, stop)).toThrow('stop');
    expect(fs.readdirSync(target)).toEqual(['one']);
    expect(read(path.join(target, 'one'))).toBe('old');
    expect(() => writeFolderAtomic(path.join(dir, 'never'), stop)).toThrow('stop');
    expect(fs.readdirSync(dir).filter((name) => name.includes('never'))).toEqual([]);
  });

  test('a file in the way is an error that names the path', () => {
    const target = path.join(dir, 'in-the-way');
    fs.writeFileSync(target, '');
    expect(errorMessage('FILE_NOT_WRITABLE', () => writeFolderAtomic(target, fill('4')))).toContain(target);
    expect(errorMessage('FILE_NOT_WRITABLE', () => writeFolderAtomic(path.join(target, 'x'), fill('4')))).toContain(
      target,
    );
  });
});
