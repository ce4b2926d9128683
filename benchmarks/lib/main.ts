/**
 * The command line that all benchmarks share: options, machine facts, tables, the JSON file.
 * What is measured is in each benchmark, such as benchmarks/step.ts; a result's form in result.ts.
 */
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { closeChildren } from './child';
import { disagreement } from './measure';
import { MODEL_NAMES, type ModelName } from './models';
import { machineFacts } from './report';
import { type Benchmark, type BenchmarkOptions, printResult, type Result, resultFile, writeResult } from './result';
import { tuneBlas } from './sides';

export async function measure(benchmark: Benchmark, options: BenchmarkOptions): Promise<Result> {
  try {
    const blas = benchmark.alone || options.device !== 'cpu' ? undefined : await tuneBlas();
    const { peers, ...measured } = await benchmark.run(options);
    const { name, question } = benchmark;
    return {
      benchmark: name,
      question,
      quick: options.quick,
      ...(options.model && { model: options.model }),
      machine: machineFacts(options.device),
      peers: { ...peers, ...(blas && { 'BLAS of PyTorch': blas }) },
      ...measured,
      disagreement: disagreement(),
    };
  } finally {
    closeChildren();
  }
}

function modelOption(name: string | undefined): ModelName | undefined {
  if (name === undefined) return undefined;
  const known = MODEL_NAMES.find((model) => model === name);
  if (!known) throw new Error(`--model ${name}: it must be one of ${MODEL_NAMES.join(', ')}`);
  return known;
}

/** Runs a benchmark as a command: table on the console, JSON into --json or runs/bench. */
export function main(benchmark: Benchmark): void {
  start(async () => {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        device: { type: 'string', default: 'cpu' },
        model: { type: 'string' },
        targets: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(
        `${benchmark.question}\n\n  npm run bench:${benchmark.name} -- [--quick] [--json FILE] [--device cpu|cuda] [--model NAME] [--targets]\n\n` +
          '  --quick    fewer sizes and rounds\n' +
          `  --model    ${MODEL_NAMES.join(', ')}, in place of what the benchmark takes (not in bench:linear)\n` +
          '  --targets  only what bench:check needs',
      );
      return;
    }
    if (values.device !== 'cpu' && !(values.device === 'cuda' && benchmark.name === 'linear')) {
      throw new Error(`--device ${values.device}: bench:${benchmark.name} runs on cpu (bench:linear on cuda too)`);
    }
    const { quick, device, targets } = values;
    const model = modelOption(values.model);
    const result = await measure(benchmark, { quick, device, targets, ...(model && { model }) });
    printResult(result);
    const file = values.json ?? resultFile(model ? `${benchmark.name}-${model}` : benchmark.name);
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
