/**
 * Starts benchmarks as processes, so that each has its memory and its threads to itself.
 * The suite is in benchmarks/bench.ts; what they share once started: main.ts.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { repository } from './folders';
import type { Result } from './result';

const tsx = require.resolve('tsx/cli');

/**
 * Runs `benchmarks/<name>.ts` with its options; what it
 * prints goes to our standard error or is dropped.
 *
 * @param run "step" or "linear --precision bf16".
 * @param show whether its tables are shown.
 * @throws Error with the end of its output where it failed.
 */
export async function runBenchmark(
  run: string,
  options: readonly string[],
  json: string,
  show: boolean,
): Promise<Result> {
  const [name, ...own] = run.split(' ');
  const script = path.join(repository, 'benchmarks', `${name}.ts`);
  fs.rmSync(json, { force: true });
  const child = spawn(process.execPath, [tsx, script, ...own, ...options, '--json', json], {
    cwd: repository,
    stdio: ['ignore', show ? 'inherit' : 'pipe', 'pipe'],
  });
  let last = '';
  child.stdout?.resume();
  child.stderr?.on('data', (data: Buffer) => {
    process.stderr.write(data);
    last = (last + data.toString()).slice(-2000);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) {
    const message = last.split('\n').find((line) => /error/i.test(line)) ?? last.trim();
    throw new Error(`bench:${run} ended with exit code ${code}: ${message}`);
  }
  return JSON.parse(fs.readFileSync(json, 'utf8')) as Result;
}
