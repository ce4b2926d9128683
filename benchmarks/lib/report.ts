/**
 * Tables on the console, and the facts of the machine that every result carries.
 * The HTML page: html.ts.
 */
import { execFileSync } from 'node:child_process';
import * as os from 'node:os';
import { native } from '../../src/native';

export interface MachineFacts {
  cpu: string;
  cores: number;
  memoryGiB: number;
  isa: string;
  threads: number;
  node: string;
  compiler: string;
  device: string;
  commit: string;
  date: string;
}

export function machineFacts(backend: string): MachineFacts {
  const info = native().info();
  return {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    isa: info.isa,
    threads: info.threads,
    node: process.versions.node,
    compiler: info.compiler,
    device: backend === 'cuda' ? (info.cuda.device ?? 'cuda') : 'cpu',
    commit: commit(),
    date: new Date().toISOString(),
  };
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: __dirname, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((h, i) => Math.max(h.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  console.log(line(header));
  console.log(widths.map((w) => '-'.repeat(w)).join('  '));
  for (const row of rows) console.log(line(row));
}

export const milliseconds = (seconds: number) => (seconds * 1e3).toFixed(3);
export const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
