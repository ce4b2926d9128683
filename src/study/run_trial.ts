/**
 * One trial: a run of fineTune, or one a fold, that reports each evaluation and may be stopped.
 * What it is begun with comes from phases.ts; where its reports go is the worker's (worker.ts).
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { COLUMN_KEYS } from '../data/read/columns';
import { type FineTuneOptions, fineTune } from '../task/fine_tune';
import { listCheckpoints } from '../train/checkpoint';
import type { EvaluationEvent } from '../train/events';
import { EVENTS } from '../train/output';
import { TENSORBOARD } from '../train/tensorboard';
import type { ResolvedStudy } from './options';
import type { Value } from './space/distribution';
import { type StudyData, subsetOf } from './study_data';
import { optionsOfTrial } from './trial_options';

/** What a trial is run with, and whom it tells. */
export interface TrialRequest {
  study: ResolvedStudy;
  data: StudyData;
  metric: string;
  params: Readonly<Record<string, Value>>;
  seed: number;
  /** Of a learning curve: how many training examples. */
  size: number | undefined;
  /** Of its files. */
  folder: string;
  /** Values of folds that are done, of a trial that goes on. */
  folds: readonly number[];
  /** @returns whether to stop. */
  report: (step: number, value: number) => Promise<boolean>;
  /** Told of the value of each fold. */
  foldDone: (values: readonly number[]) => Promise<void>;
  signal: AbortSignal | undefined;
}

/** What came out of a trial. */
export type TrialOutcome =
  | { state: 'complete'; value: number; facts: Record<string, unknown> }
  | { state: 'pruned' }
  | { state: 'failed'; reason: string };

/** Thrown through fineTune by a trial that falls behind; a run may end by no other way. */
class Stopped extends FusedLoraError {
  constructor() {
    super('ABORTED', 'the trial fell behind the others and was stopped');
  }
}

/** Which evaluation of a run it is, from 1: known from its place, for a run that was resumed. */
function ordinal({ step, epoch }: EvaluationEvent, every: number | 'epoch'): number {
  return Math.max(1, every === 'epoch' ? Math.ceil(epoch - 1e-9) : Math.ceil(step / every));
}

/** Folder of a trial's run, or of that of a fold. */
export const folderOfPart = (folder: string, part: number, parts: number) =>
  parts === 1 ? folder : path.join(folder, `fold-${part}`);

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

/** Errors that say something of a setting, and nothing of the study. */
const OF_SETTING: readonly string[] = ['NON_FINITE_LOSS', 'OUT_OF_MEMORY'];

/**
 * @throws FusedLoraError ABORTED by the signal, after a checkpoint; what fineTune throws for
 * options, data and model: the trial is not over then.
 */
export async function runTrial(request: TrialRequest): Promise<TrialOutcome> {
  const { data, folder, report, foldDone } = request;
  const { parts } = data;
  const values = [...request.folds];
  try {
    let facts: Record<string, unknown> = {};
    if (parts.length === 1) {
      const { value, ...more } = await runPart(request, 0, (step, metric) => report(step, metric));
      return { state: 'complete', value, facts: more };
    }
    for (let part = values.length; part < parts.length; part++) {
      const { value, ...more } = await runPart(request, part, async () => false);
      facts = more;
      values.push(value);
      await foldDone(values);
      tidy(folderOfPart(folder, part, parts.length));
      // A fold is a point at which trials are compared.
      if (part + 1 < parts.length && (await report(part + 1, mean(values)))) throw new Stopped();
    }
    return { state: 'complete', value: mean(values), facts };
  } catch (error) {
    if (error instanceof Stopped) return { state: 'pruned' };
    if (error instanceof FusedLoraError && OF_SETTING.includes(error.code)) {
      return { state: 'failed', reason: `${error.code}: ${error.message}` };
    }
    throw error;
  }
}

interface PartOutcome {
  value: number;
  metrics: Record<string, number>;
  parameters: { total: number; learnable: number };
  steps: number;
  seconds: number;
}

async function runPart(
  request: TrialRequest,
  part: number,
  report: (step: number, value: number) => Promise<boolean>,
): Promise<PartOutcome> {
  const { study, data, metric, params, seed, size, folder, signal } = request;
  const { train, dev } = data.parts[part] as StudyData['parts'][number];
  const options = optionsOfTrial(study.common, params);
  const { evaluateEvery = 'epoch' } = options;
  const common = Object.fromEntries(Object.entries(options).filter(([name]) => !(name in COLUMN_KEYS)));
  const result = await fineTune({
    ...(common as Partial<FineTuneOptions>),
    train: size === undefined ? train : subsetOf(train, data.task, size, seed),
    dev,
    seed,
    outputDir: folderOfPart(folder, part, data.parts.length),
    resume: true,
    checkpointLimit: 1,
    metricForBest: metric,
    callbacks: [
      {
        async onEvaluate(event) {
          const value = event.metrics[metric];
          if (value !== undefined && (await report(ordinal(event, evaluateEvery), value))) throw new Stopped();
        },
      },
    ],
    ...(study.kept && { keepFrozen: study.kept }),
    ...(signal && { signal }),
  } as FineTuneOptions);
  const { textModel, metrics = {}, parameters, training } = result;
  textModel.model.dispose();
  const value = metrics[metric];
  if (value === undefined) {
    throw new FusedLoraError('INVALID_ARGUMENT', `metricForBest is ${metric}, which was not measured`);
  }
  return { value, metrics, parameters, steps: training.steps, seconds: training.seconds };
}

/** Removes checkpoints, which are for resuming alone. */
export function tidy(folder: string): void {
  for (const { path: checkpoint } of listCheckpoints(folder)) fs.rmSync(checkpoint, { recursive: true, force: true });
}

/** Removes what a run that is not kept leaves, but its log. */
export function removeWeights(folder: string, parts: number): void {
  for (let part = 0; part < parts; part++) {
    const own = folderOfPart(folder, part, parts);
    if (!fs.existsSync(own)) continue;
    tidy(own);
    for (const name of fs.readdirSync(own)) {
      if (name !== EVENTS && name !== TENSORBOARD && !/^fold-\d+$/.test(name))
        fs.rmSync(path.join(own, name), { recursive: true, force: true });
    }
  }
}
