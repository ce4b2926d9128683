/**
 * The machine's measured peaks, of which other figures are shares; the program is compiled at
 * first use.
 * The loops that it times: peak.cc.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheFolder } from './folders';

export type Rate = 'f32' | 'bf16' | 'copy';

let program: string | undefined;

function build(): string {
  if (program) return program;
  const source = path.join(__dirname, 'peak.cc');
  const hash = createHash('sha256').update(fs.readFileSync(source)).digest('hex').slice(0, 12);
  const file = path.join(cacheFolder, `peak-${hash}`);
  if (!fs.existsSync(file)) {
    fs.mkdirSync(cacheFolder, { recursive: true });
    execFileSync(process.env['CXX'] ?? 'c++', ['-std=c++20', '-O2', '-pthread', source, '-o', file]);
  }
  program = file;
  return file;
}

/**
 * FLOP/s of multiply-adds (f32, bf16: AMX or AVX512_BF16) or bytes/s
 * of copying, measured for `seconds` on so many threads.
 * @returns undefined where the processor lacks the instructions.
 */
export function measurePeak(rate: Rate, threads: number, seconds = 0.1): number | undefined {
  const output = execFileSync(build(), [rate, String(threads), String(seconds)], { encoding: 'utf8' }).trim();
  return output === 'unsupported' ? undefined : Number(output);
}
