import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { OutputLock } from '../../src/io/output_lock';
import { errorMessage, temporaryFolder } from './temporary';

const dir = temporaryFolder();
const file = path.join(dir, '.lock');
const write = (lock: object) => fs.writeFileSync(file, JSON.stringify(lock));
afterEach(() => fs.rmSync(file, { force: true }));

const free = () => {
  OutputLock.take(dir).release();
  return fs.readdirSync(dir);
};

test('one run a folder: the second is told who has it, and comes in when that is done', () => {
  const lock = OutputLock.take(dir);
  const message = errorMessage('BUSY', () => OutputLock.take(dir));
  expect(message).toContain(`process ${process.pid}`);
  expect(message).toContain(file);
  lock.release();
  expect(free()).toEqual([]);
});

test('the lock of a run that was killed does not count, nor one of another machine, nor what is none', () => {
  const host = os.hostname();
  // The largest number that Linux gives is 2^22.
  for (const lock of [{ pid: 2 ** 22 + 1, host }, { pid: process.pid, host: `not-${host}` }, { no: 'lock' }]) {
    write(lock);
    expect(free()).toEqual([]);
  }
  fs.writeFileSync(file, 'torn{');
  expect(free()).toEqual([]);
});

(fs.existsSync('/proc/self/stat') ? test : test.skip)(
  'a process number that came round again is another process',
  () => {
    write({ pid: process.pid, host: os.hostname(), begin: '1' });
    expect(free()).toEqual([]);
  },
);

test('a lock that another run has taken over is left to it', () => {
  const lock = OutputLock.take(dir);
  write({ pid: process.pid, host: os.hostname() });
  lock.release();
  expect(fs.existsSync(file)).toBe(true);
});

test('a folder made for a run that wrote nothing goes with its lock', () => {
  const made = path.join(dir, 'made');
  fs.mkdirSync(made);
  OutputLock.take(made, true).release();
  expect(fs.existsSync(made)).toBe(false);
  fs.mkdirSync(made);
  const lock = OutputLock.take(made, true);
  fs.writeFileSync(path.join(made, 'events.jsonl'), '');
  lock.release();
  expect(fs.readdirSync(made)).toEqual(['events.jsonl']);
  fs.rmSync(made, { recursive: true });
  fs.mkdirSync(made);
  OutputLock.take(made).release();
  expect(fs.existsSync(made)).toBe(true);
  fs.rmSync(made, { recursive: true });
});
