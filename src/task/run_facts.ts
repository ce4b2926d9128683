/**
 * What a run's log says at its start: options, data, parameters, machine. The log is written by
 * src/report/run_log.ts; what its lines hold is defined in src/report/record.ts.
 */
import * as os from 'node:os';
import { VERSION } from '../base/version';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import { parameterTable } from '../lora';
import { native } from '../native';
import type { Module } from '../nn';
import { type DataFacts, LOG_VERSION, type MachineFacts, type StartEvent } from '../report';

/**
 * Options of a run that are no settings: data, functions, where things go and come from, and what
 * is secret.
 */
const NO_SETTINGS = [
  ...['train', 'dev', 'callbacks', 'signal', 'onNotice', 'report', 'resume', 'overwrite'],
  ...['token', 'cacheDir', 'offline'],
];

/**
 * Options as JSON can hold them; later ones win, and an explicit undefined takes a default away.
 */
export function settingsFrom(...options: readonly object[]): Record<string, unknown> {
  const settings: Record<string, unknown> = Object.assign({}, ...options);
  return Object.fromEntries(
    Object.entries(settings).filter(
      ([name, value]) => value !== undefined && typeof value !== 'function' && !NO_SETTINGS.includes(name),
    ),
  );
}

export function machineFacts(): MachineFacts {
  const { isa, threads, cuda, compiler } = native().info();
  const cpus = os.cpus();
  return {
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus[0]?.model.trim() || 'unknown',
    cores: cpus.length,
    memoryBytes: os.totalmem(),
    isa,
    threads,
    ...(cuda.available && cuda.device !== undefined && { gpu: cuda.device }),
    compiler,
  };
}

export function dataFacts(lengths: Iterable<number>): DataFacts {
  const lengthCounts: number[] = [];
  let [examples, tokens] = [0, 0];
  for (const length of lengths) {
    while (lengthCounts.length <= length) lengthCounts.push(0);
    lengthCounts[length] = (lengthCounts[length] as number) + 1;
    examples++;
    tokens += length;
  }
  return { examples, tokens, lengthCounts };
}

export function* lengthsOf(examples: readonly EncodedExample[]): Generator<number> {
  for (const { inputIds } of examples) yield inputIds.length;
}

/** The first line of a run's log. */
export function startEvent(
  model: Module,
  facts: Pick<StartEvent, 'task' | 'method' | 'seed' | 'device' | 'settings' | 'labelNames' | 'meaning' | 'data'>,
): StartEvent {
  const { rows, total, learnable } = parameterTable(model);
  return {
    event: 'start',
    logVersion: LOG_VERSION,
    time: new Date().toISOString(),
    version: VERSION,
    ...facts,
    parameters: { total, learnable },
    parameterTable: rows.map(({ name, learnable, count }) => [name, learnable ? 1 : 0, count]),
    machine: machineFacts(),
  };
}
