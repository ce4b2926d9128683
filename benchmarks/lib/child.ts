/**
 * Long-lived child processes that answer JSON lines: our own worker and the peers, all under one
 * protocol, so that one run can take turns between them.
 * The children's side: serve.ts, and peers/serve.py in Python.
 *
 *     → {"id": 1, "call": "train", "args": {…}}
 *     ← {"id": 1, "result": {…}}  or  {"id": 1, "error": "…"}
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as readline from 'node:readline';

const MEBIBYTE = 2 ** 20;
const running = new Set<Child>();

interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

export class Child {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private calls = 0;
  private stderr = '';
  private ended: string | undefined;
  private peak = 0;

  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ) {
    this.process = spawn(command, args, { env: { ...process.env, ...env }, stdio: 'pipe' });
    this.process.stderr.on('data', (data: Buffer) => {
      this.stderr = (this.stderr + data.toString()).slice(-4000);
    });
    this.process.on('error', (error) => this.end(error.message));
    this.process.on('exit', (code, signal) => this.end(`ended with ${signal ?? `exit code ${code}`}`));
    this.process.stdin.on('error', () => undefined);
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => this.answer(line));
    running.add(this);
  }

  /**
   * Calls a function of the child. Rejects with its error, or with its last output when it dies.
   */
  call<R>(call: string, args: object = {}): Promise<R> {
    if (this.ended) return Promise.reject(new Error(`${this.name}: ${this.ended}`));
    const id = ++this.calls;
    return new Promise<R>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.process.stdin.write(`${JSON.stringify({ id, call, args })}\n`);
    });
  }

  /** Most resident memory so far, in MiB; undefined where /proc has none. */
  peakMemory(): number | undefined {
    try {
      const status = fs.readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
      this.peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
    } catch {
      // Ended, or no Linux: what was seen last.
    }
    return this.peak || undefined;
  }

  close(): void {
    running.delete(this);
    this.peakMemory();
    this.ended ??= 'was closed';
    this.process.kill('SIGKILL');
  }

  private answer(line: string): void {
    let answer: Answer;
    try {
      answer = JSON.parse(line) as Answer;
    } catch {
      this.stderr = `${this.stderr}${line}\n`.slice(-4000);
      return;
    }
    const waiting = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if (answer.error === undefined) waiting?.resolve(answer.result);
    else waiting?.reject(new Error(`${this.name}: ${answer.error}`));
  }

  private end(how: string): void {
    this.ended ??= how;
    running.delete(this);
    const error = new Error(`${this.name} ${how}\n${this.stderr}`);
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** Ends every child that is still there: none outlives its benchmark. */
export function closeChildren(): void {
  for (const child of [...running]) child.close();
}

export const mebibytes = (bytes: number) => bytes / MEBIBYTE;
