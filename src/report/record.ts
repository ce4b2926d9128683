/**
 * A training run as its event log (events.jsonl) tells it:
 * what reports are made of. docs/cli.md describes the lines.
 * The log is written by src/train/event_log.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { isJsonObject } from '../io/json';
import { readWhole } from '../io/open';
import { validate } from '../io/validate';
import type { ErrorAnalysis } from '../metrics/error_analysis';
import type { CheckpointEvent, EvaluationEvent, StepEvent } from '../train/events';
import { EVENTS } from '../train/output';
import { EVENT_SCHEMAS } from './event_schemas';

/** Of the log's lines; raised when a field changes its meaning. */
export const LOG_VERSION = 1;

/** Of a log: a line a step of a run of a million steps. */
const MOST_BYTES = 400 << 20;

/** How many examples have so many tokens: `counts[n]` of n tokens, special tokens counted. */
export interface DataFacts {
  examples: number;
  tokens: number;
  lengthCounts: number[];
}

/** Where a run took place. */
export interface MachineFacts {
  node: string;
  platform: string;
  /** Processor name, and how many of them the system shows. */
  cpu: string;
  cores: number;
  memoryBytes: number;
  /** Instruction set and threads that the addon uses. */
  isa: string;
  threads: number;
  gpu?: string;
  compiler: string;
}

/** What a model means, and who said so; all of it may be missing in a log of another version. */
export interface MeaningFacts {
  task?: string;
  /** In the order of the outputs, with rows (of token labels: words) where they were counted. */
  labels?: readonly { name: string; train?: number; dev?: number }[];
  numLabels?: number;
  maxLength?: number;
  truncationSide?: string;
  threshold?: number;
  pairs?: boolean;
  /** Texts that are longer than maxLength. */
  cut?: { train?: number; dev?: number };
  tokenizer?: string;
  newWeights?: readonly { path: string; reason: string }[];
  sources?: Readonly<Record<string, string>>;
  notes?: readonly string[];
}

/** What a run begins with: settings, data, parameters, machine. */
export interface StartEvent {
  event: 'start';
  logVersion: number;
  /** ISO 8601. */
  time: string;
  version: string;
  /** What is trained for; `masked-lm` for pretraining. */
  task: string;
  method: string;
  seed: number;
  /** What was chosen, and why. */
  device: string;
  /** Every option with the value that it had, defaults filled in. */
  settings: Record<string, unknown>;
  labelNames: string[];
  /** What the model means, and who said so; absent in logs of earlier versions. */
  meaning?: MeaningFacts;
  parameters: { total: number; learnable: number };
  /** [name, 1 trained or 0 frozen, count] */
  parameterTable: [string, 0 | 1, number][];
  data: { train: DataFacts; dev?: DataFacts };
  machine: MachineFacts;
}

/** The error analysis of the saved state on the dev set. */
export interface DetailsEvent extends ErrorAnalysis {
  event: 'details';
  step: number;
}

/** The end of a run whose output is written. */
export interface EndEvent {
  event: 'end';
  time: string;
  /** Of the saved state on dev. */
  metrics?: Record<string, number>;
  output: { kind: string; folder: string; bytes: number };
  training: Record<string, unknown>;
  /** Seconds of each part of the run, by name. */
  seconds: Record<string, number>;
}

/** A run that ended in an error. */
export interface StopEvent {
  event: 'stop';
  time: string;
  /** Code of the error that ended it: ABORTED, NON_FINITE_LOSS, … */
  code: string;
  message: string;
}

/** What events.jsonl says about a run. */
export interface RunRecord {
  /** Name of the folder. */
  name: string;
  start: StartEvent | undefined;
  steps: StepEvent[];
  evaluations: EvaluationEvent[];
  checkpoints: CheckpointEvent[];
  details: DetailsEvent | undefined;
  end: EndEvent | undefined;
  stop: StopEvent | undefined;
}

/**
 * Steps that a stopped process had done after its last checkpoint
 * come again when it is resumed: the later line counts.
 */
function byStep<T extends { step: number }>(events: readonly T[]): T[] {
  return [...new Map(events.map((event) => [event.step, event])).values()].sort((a, b) => a.step - b.step);
}

/**
 * @param name what reports call the run. Lines that are not JSON (the last one of a run that was
 *   killed) and unknown events are passed over.
 * @param file for errors.
 * @throws FusedLoraError INVALID_DATA naming file, line and field of an event that is none of ours.
 */
export function parseRecord(text: string, name: string, file = EVENTS): RunRecord {
  const events = new Map<string, object[]>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    let event: unknown;
    try {
      event = JSON.parse(line);
    } catch {
      continue;
    }
    const kind = isJsonObject(event) ? event['event'] : undefined;
    if (typeof kind !== 'string' || !isJsonObject(event)) continue;
    const schema = Object.hasOwn(EVENT_SCHEMAS, kind) ? EVENT_SCHEMAS[kind] : undefined;
    if (schema) validate(schema, event, `${file}:${i + 1}`, 'INVALID_DATA');
    const known = events.get(kind);
    if (known) known.push(event);
    else events.set(kind, [event]);
  }
  const all = <T>(kind: string) => (events.get(kind) ?? []) as T[];
  const end = all<EndEvent>('end').at(-1);
  return {
    name,
    start: all<StartEvent>('start').at(-1),
    steps: byStep(all<StepEvent>('step')),
    evaluations: byStep(all<EvaluationEvent>('evaluate')),
    checkpoints: byStep(all<CheckpointEvent>('checkpoint')),
    details: all<DetailsEvent>('details').at(-1),
    end,
    // A resumed run has ended although it was stopped before.
    stop: end ? undefined : all<StopEvent>('stop').at(-1),
  };
}

/**
 * Reads the record of a run.
 *
 * @param run its output folder, or an event log.
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA for a file with no step in it.
 */
export function readRecord(run: string): RunRecord {
  const file = fs.statSync(run, { throwIfNoEntry: false })?.isDirectory() ? path.join(run, EVENTS) : run;
  const text = readWhole(file, {
    inFolder: file !== run,
    maxBytes: MOST_BYTES,
    remedy: 'Give the output folder of a training run, which has an events.jsonl.',
  }).toString('utf8');
  const record = parseRecord(text, path.basename(file === run ? path.resolve(file, '..') : path.resolve(run)), file);
  if (record.start === undefined && record.steps.length === 0) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `${file}: is no event log of a training run: no line tells of a start or a step.`,
    );
  }
  return record;
}
