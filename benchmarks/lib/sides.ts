/** The processes that take part: fused-lora's worker and the peers, started, compared and tuned the same way everywhere. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { TokenBatch } from './batches';
import { Child } from './child';
import type { LoadArguments, LoadResult, PredictResult, TrainResult } from './protocol';
import { isMissing, type Missing, repository } from './result';

const peersFolder = path.join(repository, 'benchmarks', 'peers');

/** Most that two sides' losses may differ by over a few steps without dropout, relative to the loss. */
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

/** The interpreter that has the peers: FUSED_LORA_PEERS_PYTHON, or the environment of `npm run bench:peers`. */
export function peersPython(): string | Missing {
  const python = process.env['FUSED_LORA_PEERS_PYTHON'] ?? path.join(repository, '.cache', 'peers', 'bin', 'python');
  if (!fs.existsSync(python)) return { missing: 'the Python peers are not set up (npm run bench:peers)' };
  return python;
}

/** @param script a file of benchmarks/peers. */
export function startPython(script: string, name: string): Child | Missing {
  const python = peersPython();
  return isMissing(python) ? python : new Child(name, python, [path.join(peersFolder, script)]);
}

/** @param script a file of benchmarks/peers, which finds its packages beside it. */
export function startNodePeer(script: string, name: string): Child | Missing {
  if (!fs.existsSync(path.join(peersFolder, 'node_modules', 'onnxruntime-node'))) {
    return { missing: 'the Node peers are not set up (npm run bench:peers)' };
  }
  return new Child(name, process.execPath, [path.join(peersFolder, script)]);
}

export async function loadSide(child: Child, model: LoadArguments, batches: readonly TokenBatch[]): Promise<Side> {
  const loaded = await child.call<LoadResult>('load', model);
  await child.call('batches', { batches });
  return { child, loaded };
}

export const trainSteps = (side: Side, steps: readonly number[], options: object = {}) =>
  side.child.call<TrainResult>('train', { steps, dropout: true, learningRate: 1e-5, ...options });

/**
 * Three steps without dropout from the same values: every side must give the same losses, or the times mean nothing.
 * @returns the largest relative difference.
 */
export async function compareLosses(sides: readonly Side[], steps: readonly number[] = [0, 0, 0]): Promise<number> {
  const runs = [];
  for (const side of sides) runs.push(await trainSteps(side, steps, { dropout: false, learningRate: 1e-3 }));
  return largestDifference(
    sides,
    runs.map(({ losses }) => losses),
    'loss',
    LOSS_TOLERANCE,
  );
}

/** The same logits for the same sentences, before predictions are timed. */
export function compareLogits(sides: readonly Side[], runs: readonly PredictResult[]): number {
  return largestDifference(
    sides,
    runs.map(({ logits }) => logits.flat()),
    'logit',
    LOGIT_TOLERANCE,
  );
}

function largestDifference(
  sides: readonly Side[],
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
          `${what} ${i} is ${value} for ${sides[0]?.child.name} and ${theirs[i]} for ${sides[s]?.child.name}: they do not compute the same`,
        );
      }
      largest = Math.max(largest, difference);
    });
  });
  return largest;
}

export interface Tuned {
  threads: number;
  /** Seconds of the workload at each setting that was tried; `default` is what the peer chose itself. */
  tried: Record<string, number>;
}

/** Physical cores: two threads of one core share its arithmetic. */
function physicalCores(): number {
  try {
    const lines = execFileSync('lscpu', ['-p=CORE,SOCKET'], { encoding: 'utf8' }).split('\n');
    return new Set(lines.filter((line) => line && !line.startsWith('#'))).size;
  } catch {
    return os.cpus().length;
  }
}

/** Runs a workload under the peer's own thread setting and others, and leaves the fastest set. */
export async function tuneThreads(child: Child, workload: () => Promise<number>): Promise<Tuned> {
  const { threads: initial } = await child.call<{ threads: number }>('info');
  const tried: Record<string, number> = {};
  await workload();
  let best = { threads: initial, seconds: await workload() };
  tried[`${initial} (default)`] = best.seconds;
  for (const threads of new Set([os.cpus().length, physicalCores(), Math.ceil(physicalCores() / 2)])) {
    if (threads === initial) continue;
    await child.call('threads', { count: threads });
    const seconds = Math.min(await workload(), await workload());
    tried[String(threads)] = seconds;
    if (seconds < best.seconds) best = { threads, seconds };
  }
  await child.call('threads', { count: best.threads });
  return { threads: best.threads, tried };
}
