/**
 * A file that is larger than the heap is passed over in
 * bounded memory, which reading it whole can not do.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { temporaryFolder } from '../../io/temporary';

jest.setTimeout(300_000);

const MB = 1e6;
const HEAP_MB = 64;
const dir = temporaryFolder();

/** Rows of about 1,000 characters. */
function write(name: string, rows: number): string {
  const file = path.join(dir, name);
  const fd = fs.openSync(file, 'w');
  for (let from = 0; from < rows; from += 1000) {
    const part = Array.from({ length: Math.min(1000, rows - from) }, (_, i) => {
      const text = `${from + i} ${'a film with a story and music that goes on '.repeat(23)}`;
      return `${JSON.stringify({ text, label: i % 2 ? 'good' : 'bad' })}\n`;
    });
    fs.writeSync(fd, part.join(''));
  }
  fs.closeSync(fd);
  return file;
}

function run(file: string, mode: 'stream' | 'memory'): Promise<{ code: number | null; output: string }> {
  const worker = path.join(__dirname, 'stream_worker.ts');
  const args = [`--max-old-space-size=${HEAP_MB}`, '--require', 'tsx/cjs', worker, file, mode];
  const child = spawn(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  child.stderr.resume();
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

test('peak memory does not grow with the file', async () => {
  const small = JSON.parse((await run(write('small.jsonl', 3000), 'stream')).output);
  const large = write('large.jsonl', 80_000);
  expect(fs.statSync(large).size).toBeGreaterThan(80 * MB);
  const { code, output } = await run(large, 'stream');
  expect(code).toBe(0);
  const { examples, peakBytes } = JSON.parse(output);
  expect(examples).toBe(80_000);
  expect(peakBytes).toBeLessThan(small.peakBytes + 50 * MB);
  // The same rows in memory are more than the heap: the process ends.
  const whole = await run(large, 'memory');
  expect(whole.output).toBe('');
  expect(whole.code).not.toBe(0);
});
