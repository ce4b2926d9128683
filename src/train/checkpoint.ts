/**
 * Training checkpoints: `checkpoint-<step>/` holds trainable.safetensors, optimizer.safetensors
 * (AdamW's moments), best.safetensors where a best state is kept, and state.json (counters). A
 * resumed run continues to the same bytes as an uninterrupted one: data order and dropout masks are
 * functions of the seed and these counters. What must be the same to resume: trainer.ts and
 * run_identity.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import type { Parameter } from '../graph/parameter';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic';
import { readJsonObject } from '../io/json';
import { SafetensorsFile, writeSafetensors } from '../io/safetensors';
import { expected, validate } from '../io/validate';
import type { StepProgram } from './step_program';

/** Where a run stands, apart from tensors. */
export interface RunState {
  /** Optimizer steps done. */
  step: number;
  /** Epoch and micro-batch within it that come next. */
  epoch: number;
  microBatch: number;
  /** Number of the next forward pass: which dropout masks it draws. */
  forwardNumber: number;
  /** Best value of metricForBest so far, and the step it was seen at. */
  bestMetric: number | null;
  bestStep: number | null;
  /** Evaluations since then. */
  evaluationsWithoutBest: number;
  /** Sum and number of step losses, for the mean that is reported at the end. */
  lossSum: number;
  /** Parts of each batch whose gradients are summed; absent: batches are whole. */
  shares?: number | undefined;
}

interface StateFile extends RunState {
  formatVersion: 1;
  /** What must be the same to go on: seed, data, schedule length, precision, trained tensors. */
  identity: Record<string, string | number>;
}

export type TensorSnapshot = Map<string, Float32Array>;

/** What held for checkpoints that do not say it. */
const BEFORE_IT_WAS_SAVED: Readonly<Record<string, string | number>> = {
  precision: 'fp32',
  'initial adapter (a checksum)': 'null',
};

const TRAINED = 'trainable.safetensors';
const NAME = /^checkpoint-(\d+)$/;

export function takeSnapshot(parameters: readonly Parameter[]): TensorSnapshot {
  return new Map(parameters.map((p) => [p.name, p.data().slice()]));
}

export function restoreSnapshot(parameters: readonly Parameter[], snapshot: TensorSnapshot): void {
  for (const parameter of parameters) parameter.setData(snapshot.get(parameter.name) as Float32Array);
}

/** Checkpoint folders in `dir`, oldest first. */
export function listCheckpoints(dir: string): { step: number; path: string }[] {
  if (!fs.existsSync(dir)) return [];
  return fs
    .readdirSync(dir)
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match ? [{ step: Number(match[1]), path: path.join(dir, name) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

/** Names of what a checkpoint has values for. */
export function trainedIn(folder: string): string[] {
  const file = path.join(folder, TRAINED);
  return fs.existsSync(file) ? [...SafetensorsFile.open(file).tensors.keys()] : [];
}

/**
 * Removes what was left of checkpoints in whose midst a process was killed. Of a folder that no
 * other run writes to.
 */
export function removeUnfinished(dir: string): void {
  for (const name of fs.readdirSync(dir)) {
    if (/^\.checkpoint-\d+\.tmp-/.test(name)) fs.rmSync(path.join(dir, name), { recursive: true, force: true });
  }
}

/** Writes `dir/checkpoint-<step>`, whole or not at all, then removes the oldest beyond `limit`. */
export function saveCheckpoint(
  dir: string,
  program: StepProgram,
  state: RunState,
  identity: Record<string, string | number>,
  best: TensorSnapshot | undefined,
  limit: number,
): string {
  const trained = program.plan.trained;
  const target = path.join(dir, `checkpoint-${state.step}`);
  const fill = (folder: string) => {
    const shapeOf = new Map(trained.map((p) => [p.name, p.shape]));
    writeSafetensors(
      path.join(folder, TRAINED),
      trained.map((p) => [p.name, { dtype: 'F32', shape: p.shape, data: () => p.data() }]),
    );
    writeSafetensors(
      path.join(folder, 'optimizer.safetensors'),
      trained.flatMap((p) => {
        const moments = program.readMoments(p);
        return [
          [`${p.name}:first`, { dtype: 'F32' as const, shape: p.shape, data: moments.first }],
          [`${p.name}:second`, { dtype: 'F32' as const, shape: p.shape, data: moments.second }],
        ];
      }),
    );
    if (best) {
      writeSafetensors(
        path.join(folder, 'best.safetensors'),
        [...best].map(([name, data]) => [name, { dtype: 'F32', shape: shapeOf.get(name) as readonly number[], data }]),
      );
    }
    const file: StateFile = { formatVersion: 1, ...state, identity };
    writeFileAtomic(path.join(folder, 'state.json'), `${JSON.stringify(file, null, 2)}\n`);
  };
  writeFolderAtomic(target, fill, undefined, { own: true });
  const all = listCheckpoints(dir);
  for (const old of all.slice(0, Math.max(0, all.length - limit)))
    fs.rmSync(old.path, { recursive: true, force: true });
  return target;
}

/** How a checkpoint's run divides its batches: 1 where they are whole. */
export const sharesIn = (folder: string): number => readState(folder).shares ?? 1;

/**
 * Loads a checkpoint into the program's parameters and moments.
 * @throws INVALID_CHECKPOINT when a file is damaged or missing, STATE_MISMATCH when it is of
 * another run: other model, data, seed, precision or length. Nothing is changed then.
 */
export function loadCheckpoint(
  folder: string,
  program: StepProgram,
  identity: Record<string, string | number>,
): { state: RunState; best: TensorSnapshot | undefined } {
  const { formatVersion, identity: saved, ...state } = readState(folder);
  if (formatVersion !== 1) {
    throw new FusedLoraError(
      'INVALID_CHECKPOINT',
      `${folder}/state.json has formatVersion ${String(formatVersion)}, this version reads 1; resume with the version that wrote it`,
    );
  }
  for (const [key, value] of Object.entries(identity)) {
    const before = saved[key] ?? BEFORE_IT_WAS_SAVED[key];
    if (before !== value) {
      throw new FusedLoraError(
        'STATE_MISMATCH',
        `${folder} is of another run: its ${key} is ${before ?? 'not said'}, here it is ${value}. ${remedyFor(key)}`,
      );
    }
  }
  const trained = program.plan.trained;
  const values = readTensors(path.join(folder, TRAINED), trained, ['']);
  const moments = readTensors(path.join(folder, 'optimizer.safetensors'), trained, [':first', ':second']);
  const bestFile = path.join(folder, 'best.safetensors');
  const best = fs.existsSync(bestFile) ? readTensors(bestFile, trained, ['']) : undefined;
  for (const p of trained) {
    p.setData(values.get(p.name) as Float32Array);
    program.writeMoments(p, {
      first: moments.get(`${p.name}:first`) as Float32Array,
      second: moments.get(`${p.name}:second`) as Float32Array,
    });
  }
  return { state, best };
}

function remedyFor(key: string): string {
  // The rate falls over the steps that were planned, so a longer run is another run from its first
  // step on.
  return key === 'totalSteps' || key === 'warmupSteps'
    ? 'Steps come from epochs, maxSteps, batch sizes and the data, and the schedule of the rate is made for them: resume with the same epochs ' +
        '(--epochs, --max-steps); to train longer, start anew in another output folder'
    : 'Resume with the settings it was made with, or start anew in another output folder';
}

const counter = expected.integer(0);
const number = z.number({ error: 'a number' });
/** JSON writes NaN as null. */
const stateFields = z.object({
  formatVersion: number,
  step: counter,
  epoch: counter,
  microBatch: counter,
  forwardNumber: counter,
  bestMetric: number.nullable(),
  bestStep: counter.nullable(),
  evaluationsWithoutBest: counter,
  lossSum: number.nullable().transform((sum) => sum ?? Number.NaN),
  shares: expected.integer(1).optional(),
  identity: z.record(z.string(), z.union([z.string(), z.number()], { error: 'a string or a number' }), {
    error: 'an object',
  }),
});

function readState(folder: string): z.output<typeof stateFields> {
  const file = path.join(folder, 'state.json');
  try {
    const json = readJsonObject(file, 'to go on from it', 'INVALID_CHECKPOINT', { inFolder: true });
    return validate(stateFields, json, file, 'INVALID_CHECKPOINT');
  } catch (cause) {
    throw new FusedLoraError(
      'INVALID_CHECKPOINT',
      `${file} can not be used (${(cause as Error).message}); delete the folder to resume from an older checkpoint`,
      { cause },
    );
  }
}

function readTensors(file: string, trained: readonly Parameter[], suffixes: readonly string[]): TensorSnapshot {
  const tensors = SafetensorsFile.open(file, { inFolder: true });
  const result: TensorSnapshot = new Map();
  for (const p of trained) {
    for (const suffix of suffixes) {
      const info = tensors.tensors.get(p.name + suffix);
      if (!info || info.shape.join() !== p.shape.join()) {
        throw new FusedLoraError(
          'STATE_MISMATCH',
          `${file}: ${p.name}${suffix} is ${info ? `[${info.shape}]` : 'missing'}, the model has [${p.shape}]; resume with the model it was made with`,
        );
      }
      result.set(p.name + suffix, tensors.readFloat32(p.name + suffix));
    }
  }
  return result;
}
