import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Worker } from 'node:worker_threads';
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

(fs.existsSync('/proc/self/stat') ? test : test.skip)(
  'a process that ended counts no more, also while its parent does not ask about it',
  async () => {
    // The second sleep takes the place of the shell before the first ends, and knows of no child.
    const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 30']);
    const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
    const stat = () => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    while (stat()[0] !== 'Z') await new Promise((resolve) => setTimeout(resolve, 10));
    write({ pid, host: os.hostname(), begin: stat()[19] });
    expect(free()).toEqual([]);
    parent.kill('SIGKILL');
  },
);

(fs.existsSync('/proc/thread-self') ? test : test.skip)(
  'the lock of a worker counts as long as the worker runs, not its process',
  async () => {
    // What a run in a worker writes: its thread's number, and when that began.
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
      const tid = Number(require('node:fs').readlinkSync('/proc/thread-self').split('/')[2]);
      const stat = require('node:fs').readFileSync('/proc/self/task/' + tid + '/stat', 'utf8');
      parentPort.postMessage({ tid, begin: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] });
      setInterval(() => {}, 1000);`,
      { eval: true },
    );
    const { tid, begin } = await new Promise<{ tid: number; begin: string }>((resolve) =>
      worker.once('message', resolve),
    );
    expect(tid).not.toBe(process.pid);
    write({ pid: process.pid, tid, begin, host: os.hostname() });
    errorMessage('BUSY', () => OutputLock.take(dir));
    await worker.terminate();
    expect(free()).toEqual([]);
  },
);

test('a lock names its thread, and is unlike any other', () => {
  const contents = [1, 2].map(() => {
    const lock = OutputLock.take(dir);
    const json = JSON.parse(fs.readFileSync(file, 'utf8')) as { pid: number; tid?: number; id: string };
    lock.release();
    return json;
  });
  expect(contents[0]?.id).not.toBe(contents[1]?.id);
  if (fs.existsSync('/proc/thread-self')) {
    expect(contents[0]?.tid).toBe(Number(fs.readlinkSync('/proc/thread-self').split('/')[2]));
  }
});

test('a link in place of a lock is taken away, and what it leads to stays', () => {
  const outside = path.join(temporaryFolder(), 'outside.json');
  fs.writeFileSync(outside, JSON.stringify({ pid: process.pid, host: os.hostname() }));
  fs.symlinkSync(outside, file);
  expect(free()).toEqual([]);
  expect(fs.readFileSync(outside, 'utf8')).toContain('pid');
});

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
