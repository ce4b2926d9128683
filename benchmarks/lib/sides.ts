/**
 * The processes that take part: fused-lora's worker and the
 * peers, started, compared and tuned the same way everywhere.
 * The calls are those of protocol.ts; they take turns in measure.ts.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { TokenBatch } from './batches';
import { Child } from './child';
import { repository } from './folders';
import type { Precision } from './precision';
import type { LoadArguments, LoadResult, PredictResult, TrainResult } from './protocol';
import { isMissing, type Missing } from './result';
import {
  type Blas,
  type BlasChoice,
  blasEnvironment,
  chooseBlas,
  peersFolder,
  peersPython,
  physicalCores,
} from './torch_blas';

/**
 * Most that two sides' losses may differ by over a few steps without dropout, relative to the loss.
 */
const LOSS_TOLERANCE = 2e-3;
const LOGIT_TOLERANCE = 1e-3;

/** A model on one side with its batches in place. */
export interface Side {
  child: Child;
  loaded: LoadResult;
}

export function startOurs(): Child {
  const worker = path.join(repository, 'benchmarks', 'workers', 'fused_lora.ts');
  return new Child('fused-lora', process.execPath, ['--require', require.resolve('tsx/cjs'), worker]);
}

let torchBlas: Blas = 'mkl';

/**
 * Lets all Python peers from now on run with the fastest
 * BLAS. @returns it, with what the others gave.
 */
export async function tuneBlas(): Promise<BlasChoice | Missing> {
  const choice = await chooseBlas();
  if (!isMissing(choice)) torchBlas = choice.blas;
  return choice;
}

/** @param script a file of benchmarks/peers. */
export function startPython(script: string, name: string): Child | Missing {
  const python = peersPython();
  if (isMissing(python)) return python;
  const products = script === 'torch_linear.py';
  return new Child(name, python, [path.join(peersFolder, script)], blasEnvironment(torchBlas, python, products));
}

/** @param script a file of benchmarks/peers, which finds its packages beside it. */
export function startNodePeer(script: string, name: string): Child | Missing {
  const packages = ['onnxruntime-node', '@huggingface/transformers'];
  if (!packages.every((name) => fs.existsSync(path.join(peersFolder, 'node_modules', name)))) {
    return { missing: 'the Node peers are not set up (npm run bench:peers)' };
  }
  // tsx lets them share lib/serve.ts.
  return new Child(name, process.execPath, ['--import', 'tsx', path.join(peersFolder, script)]);
}

export async function loadSide(child: Child, model: LoadArguments, batches: readonly TokenBatch[]): Promise<Side> {
  const loaded = await child.call<LoadResult>('load', model);
  await child.call('batches', { batches });
  return { child, loaded };
}

export const openOurs = (model: LoadArguments, batches: readonly TokenBatch[]) => loadSide(startOurs(), model, batches);

/**
 * PyTorch in one precision, untuned: whose values are
 * compared with ours before it takes its first steps.
 */
export async function openTorch(
  model: LoadArguments & { precision: Precision },
  batches: readonly TokenBatch[],
): Promise<Side | Missing> {
  const child = startPython('torch_peer.py', `PyTorch ${model.precision}`);
  return isMissing(child) ? child : loadSide(child, model, batches);
}

/**
 * Sets a peer's number of threads to that at which
 * `workload` is fastest. @returns its versions and settings.
 */
export async function tunePeer(
  { child }: Side,
  workload: () => Promise<{ seconds: number }>,
  quick: boolean,
): Promise<object> {
  const tuned = await tuneThreads(child, async () => (await workload()).seconds, quick);
  return { ...(await child.call<object>('info')), ...tuned };
}

export const trainSteps = (side: Side, steps: readonly number[], options: object = {}) =>
  side.child.call<TrainResult>('train', { steps, dropout: true, learningRate: 1e-5, ...options });

/** @param adapterNames of a peer: by batch, the adapter of each sentence. */
export const predictBatches = (side: Side, steps: readonly number[], adapterNames?: readonly string[][]) =>
  side.child.call<PredictResult>('predict', { steps, ...(adapterNames && { adapterNames }) });

/** Losses of a few steps without dropout, which change the weights. */
export const lossesOf = async (side: Side, steps: readonly number[], learningRate = 1e-3) =>
  (await trainSteps(side, steps, { dropout: false, learningRate })).losses;

/**
 * Every fp32 side must give the same losses from the same
 * values, or the times mean nothing: before any other step.
 * @returns the largest relative difference.
 */
export async function compareLosses(sides: readonly Side[], steps: readonly number[]): Promise<number> {
  const losses = [];
  for (const side of sides) losses.push(await lossesOf(side, steps));
  const names = sides.map(({ child }) => child.name);
  return largestDifference(names, losses, 'loss', LOSS_TOLERANCE);
}

/** compareLosses for two sides that are not open at the same time. */
export const compareTwo = (names: [string, string], losses: [number[], number[]]) =>
  largestDifference(names, losses, 'loss', LOSS_TOLERANCE);

/** The same logits for the same sentences, before predictions are timed. */
export function compareLogits(sides: readonly Side[], runs: readonly PredictResult[]): number {
  return largestDifference(
    sides.map(({ child }) => child.name),
    runs.map(({ logits }) => logits.flat()),
    'logit',
    LOGIT_TOLERANCE,
  );
}

function largestDifference(
  names: readonly string[],
  values: readonly number[][],
  what: string,
  tolerance: number,
): number {
  const [ours = []] = values;
  const scale = Math.max(...ours.map(Math.abs));
  let largest = 0;
  values.forEach((theirs, s) => {
    ours.forEach((value, i) => {
      const difference = Math.abs(value - (theirs[i] ?? Number.NaN)) / scale;
      if (!(difference <= tolerance)) {
        throw new Error(
          `${what} ${i} is ${value} for ${names[0]} and ${theirs[i]} for ${names[s]}: they do not compute the same`,
        );
      }
      largest = Math.max(largest, difference);
    });
  });
  return largest;
}

export interface Tuned {
  threads: number;
  /**
   * Seconds of the workload at each setting that was tried;
   * `default` is what the peer chose itself.
   */
  tried: Record<string, number>;
}

const TUNING_ROUNDS = 2;

/**
 * Runs a workload under the peer's own number of threads and
 * others, in turns, and leaves the fastest set.
 *
 * @param quick tries no less than one a physical core, and one number where that is the peer's own.
 */
export async function tuneThreads(child: Child, workload: () => Promise<number>, quick: boolean): Promise<Tuned> {
  const { threads: own } = await child.call<{ threads: number }>('info');
  const all = [own, os.cpus().length, physicalCores()];
  const counts = [...new Set(quick ? all : [...all, Math.ceil(physicalCores() / 2)])];
  const seconds = new Map<number, number>(counts.map((count) => [count, Number.POSITIVE_INFINITY]));
  if (counts.length === 1) return { threads: own, tried: {} };
  await workload();
  for (let round = 0; round < TUNING_ROUNDS; round++) {
    for (const count of counts) {
      await child.call('threads', { count });
      seconds.set(count, Math.min(seconds.get(count) as number, await workload()));
    }
  }
  const [threads] = [...counts].sort((a, b) => (seconds.get(a) as number) - (seconds.get(b) as number)) as [number];
  await child.call('threads', { count: threads });
  const tried = counts.map((count) => [count === own ? `${count} (default)` : String(count), seconds.get(count)]);
  return { threads, tried: Object.fromEntries(tried) };
}
