/**
 * predict in a pipe: output while input is open, readers
 * that leave or are slow, Ctrl-C; and the second Ctrl-C.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fineTune } from '../../src/task/fine_tune';
import { temporaryFolder } from '../io/temporary';
import { reviews, TINY } from '../task/tasks';
import { run, start } from './command';

jest.setTimeout(300_000);

const dir = temporaryFolder();
const adapter = path.join(dir, 'adapter');

beforeAll(async () => {
  const train = reviews(64, 1);
  const { textModel } = await fineTune({ model: TINY, train, outputDir: adapter, maxSteps: 1, checkpointEvery: 1000 });
  textModel.model.dispose();
});

const predict = ['predict', '--adapter', adapter];

/** Resolves when the text that came so far fits. */
function until(stream: NodeJS.ReadableStream, fits: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const onData = (chunk: Buffer) => {
      text += chunk.toString();
      if (!fits(text)) return;
      stream.off('data', onData);
      resolve(text);
    };
    stream.on('data', onData);
    stream.once('end', () => reject(new Error(`ended with "${text}"`)));
  });
}

/** What the model means: all that a run without a fault says. */
const BLOCK = expect.stringMatching(/^task: .*\nlabels: .*\nlength: .*\n$/);

test('answers while its input is still open, then ends with it', async () => {
  const { child, outcome } = start(predict, { input: null });
  child.stdin!.write('the story is good .\n');
  const first = await until(child.stdout!, (text) => text.endsWith('\n'));
  expect(JSON.parse(first)).toMatchObject({
    text: 'the story is good .',
    label: expect.any(String),
    probability: expect.any(Number),
  });
  child.stdin!.write('the music is bad .\nthe end');
  expect((await until(child.stdout!, (text) => text.endsWith('\n'))).split('\n')).toHaveLength(2);
  child.stdin!.end();
  expect(await outcome).toMatchObject({ code: 0, stderr: BLOCK });
});

test('a reader that leaves (head) ends it quietly', async () => {
  const { child, outcome } = start(predict, { input: null });
  const write = () => {
    if (child.exitCode !== null || child.stdin!.destroyed) return;
    child.stdin!.write('the story is good .\n'.repeat(100), () => setTimeout(write, 5));
  };
  child.stdin!.on('error', () => {});
  write();
  await until(child.stdout!, (text) => text.includes('\n'));
  child.stdout!.destroy();
  expect(await outcome).toMatchObject({ code: 0, stderr: BLOCK });
});

test('a reader that does not read stops it: lines do not pile up in memory', async () => {
  const { child, outcome } = start(predict, { input: null });
  child.stdin!.on('error', () => {});
  child.stdout!.pause();
  const line = 'the story is good .\n'.repeat(200);
  let accepted = 0;
  let drained: Promise<boolean> | undefined;
  // Written until nothing is taken for two seconds.
  for (let taken = true; taken && accepted < 64e6; ) {
    if (child.stdin!.write(line)) accepted += line.length;
    else {
      drained = once(child.stdin!, 'drain').then(() => true);
      taken = await Promise.race([drained, sleep(2000, false, { ref: false })]);
    }
  }
  expect(accepted).toBeLessThan(4e6);
  child.kill('SIGKILL');
  await outcome;
});

test('Ctrl-C ends it while it waits for input', async () => {
  const { child, outcome } = start(predict, { input: null });
  child.stdin!.write('the story is good .\n');
  await until(child.stdout!, (text) => text.endsWith('\n'));
  child.kill('SIGINT');
  const { code, stderr } = await outcome;
  expect(code).toBe(130);
  expect(stderr).toMatch(/stopped by SIGINT\n$/);
});

test('the second Ctrl-C ends a command that does not stop', async () => {
  // A command that never looks at its signal.
  const script = path.join(dir, 'stubborn.ts');
  const source = path.join(__dirname, '..', '..', 'src', 'cli', 'run.ts');
  fs.writeFileSync(
    script,
    `import { Command } from ${JSON.stringify(require.resolve('commander'))};
     import { action, runProgram } from ${JSON.stringify(source)};
     const program = new Command('x').addCommand(new Command('wait').action(action(async () => {
       console.log('ready');
       await new Promise((resolve) => setTimeout(resolve, 60000));
     })));
     void runProgram(program, ['wait']);`,
  );
  const child = spawn(process.execPath, ['--require', 'tsx/cjs', script], { cwd: path.join(__dirname, '..', '..') });
  const exit = once(child, 'exit');
  await until(child.stdout, (text) => text.includes('ready'));
  child.kill('SIGINT');
  await until(child.stderr, (text) => text.includes('once more ends at once'));
  const before = performance.now();
  child.kill('SIGINT');
  expect(await exit).toEqual([130, null]);
  expect(performance.now() - before).toBeLessThan(20_000);
});

test('files, several of them, and objects on standard input; --output appears whole', async () => {
  fs.writeFileSync(path.join(dir, 'a.txt'), 'one\r\ntwo\n');
  fs.writeFileSync(path.join(dir, 'b.tsv'), 'sentence\nthree\n');
  const output = path.join(dir, 'predictions.jsonl');
  const files = ['--file', path.join(dir, 'a.txt'), path.join(dir, 'b.tsv'), '--output', output];
  expect(await run([...predict, ...files])).toMatchObject({ code: 0, stderr: BLOCK, stdout: '' });
  const texts = fs
    .readFileSync(output, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
  expect(texts).toEqual(['one', 'two', 'three']);

  const bad = await run([...predict, '--format', 'jsonl', '--output', path.join(dir, 'none.jsonl')], {
    input: '{"text": "good"}\nno object\n',
  });
  expect(bad.code).toBe(1);
  expect(bad.stderr).toMatch(/^error \[INVALID_DATA\]: standard input:2: is not JSON/m);
  expect(fs.readdirSync(dir).filter((name) => name.includes('none.jsonl'))).toEqual([]);
});
