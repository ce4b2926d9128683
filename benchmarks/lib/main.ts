/** The command line that all benchmarks share. */
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { closeChildren } from './child';
import { machineFacts } from './report';
import { type Benchmark, type BenchmarkOptions, printResult, type Result, resultFile, writeResult } from './result';

export async function measure(benchmark: Benchmark, options: BenchmarkOptions): Promise<Result> {
  try {
    const measured = await benchmark.run(options);
    const { name, question } = benchmark;
    return { benchmark: name, question, quick: options.quick, machine: machineFacts(options.device), ...measured };
  } finally {
    closeChildren();
  }
}

/** Runs a benchmark as a command: table on the console, JSON into --json or runs/bench. */
export function main(benchmark: Benchmark): void {
  start(async () => {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        device: { type: 'string', default: 'cpu' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(
        `${benchmark.question}\n\n  npm run bench:${benchmark.name} -- [--quick] [--json FILE] [--device cpu|cuda]`,
      );
      return;
    }
    if (values.device !== 'cpu' && !(values.device === 'cuda' && benchmark.name === 'linear')) {
      throw new Error(`--device ${values.device}: bench:${benchmark.name} runs on cpu (bench:linear on cuda too)`);
    }
    const result = await measure(benchmark, { quick: values.quick, device: values.device });
    printResult(result);
    const file = values.json ?? resultFile(benchmark.name);
    writeResult(result, file);
    console.log(`\nwritten to ${path.relative(process.cwd(), file)}`);
  });
}

/** Runs a command's body; a failure is one line, and the stack where it is no message of ours. */
export function start(body: () => Promise<void>): void {
  body().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
