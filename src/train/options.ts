/**
 * Options of the trainer: steps, evaluation, checkpoints, with their defaults and checks.
 * Rates and decay are in parameter_groups.ts, the schedule in schedule.ts.
 */
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import type { Group } from '../distributed/group';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import type { BackendName } from '../graph/parameter';
import type { PrecisionOption } from '../graph/precision';
import type { Graph } from '../graph/value';
import type { TrainerCallbacks } from './events';
import { type AdamWOptions, checkAdamW } from './parameter_groups';
import { checkSchedule, type ScheduleOptions } from './schedule';

/** Of {@link Trainer}. */
export interface TrainerOptions extends AdamWOptions, ScheduleOptions {
  /** The training graph: dropout active, ending in a loss. `(o) => trace(model, o)` for a Model. */
  trace: (options: { training: boolean; loss: boolean }) => Graph;
  /** Default cpu. */
  backend?: BackendName;
  /** Of products: fp32, bf16, or bf16 where the device has instructions for it. Default auto. */
  precision?: PrecisionOption;
  /** Of the frozen weights of layers: fp32, or int8 codes. Default fp32. */
  baseWeights?: BaseWeights;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights;
  /**
   * Whether LoRA layers, activations and norms run as fused ops. Default true; false is for
   * comparison.
   */
  fused?: boolean;
  /**
   * Passes over the data; a fraction stops inside one. Default 3. Ignored when maxSteps is given.
   */
  epochs?: number;
  /** Optimizer steps. */
  maxSteps?: number;
  /** Micro-batches an optimizer step. Default 1. */
  gradientAccumulation?: number;
  /** Global gradient norm to clip to; 0: no clipping. Default 1. */
  maxGradNorm?: number;
  /** Seed of the dropout masks. Default 0. */
  seed?: number;
  /** Measures the model: called every `evaluateEvery` and at the end. */
  evaluate?: (step: number) => Promise<Record<string, number>>;
  /** Optimizer steps between evaluations, or 'epoch'. Default 'epoch'. */
  evaluateEvery?: number | 'epoch';
  /** The metric that decides which state is best. Default: none is. */
  metricForBest?: string;
  /** Whether more of it is better. Default true, false for names that end in loss or mse. */
  greaterIsBetter?: boolean;
  /** Bring back the best state at the end. Default true when metricForBest is given. */
  loadBestAtEnd?: boolean;
  /** Stop after this many evaluations in a row without a new best. */
  earlyStoppingPatience?: number;
  /** Where checkpoints go. Without it none are written. */
  outputDir?: string;
  /** Optimizer steps between checkpoints, or 'epoch'. Default 'epoch'. */
  checkpointEvery?: number | 'epoch';
  /** Newest checkpoints kept. Default 2. */
  checkpointLimit?: number;
  /** Go on from the newest checkpoint in outputDir if there is one. Default false. */
  resume?: boolean;
  /**
   * What must be the same to go on from a checkpoint, beside what the trainer knows itself: the
   * model that was begun with, say.
   */
  identity?: Readonly<Record<string, string | number>>;
  callbacks?: readonly TrainerCallbacks[];
  /**
   * Parts of each batch whose gradients are computed by themselves and summed in order: a run on
   * several ranks and one of one process with as many shares end with the same bytes. Default: the
   * number of ranks, or what the checkpoint that is gone on from has.
   */
  shares?: number;
  /** The ranks of the run, each with its own trainer. Default: this process alone. */
  group?: Group;
  /** Stops the run between two ops; a checkpoint of the last whole step is written first. */
  signal?: AbortSignal;
}

/** What commands that train pass on as it is given to them. */
export const TRAINING_KEYS = {
  epochs: true,
  maxSteps: true,
  gradientAccumulation: true,
  learningRate: true,
  schedule: true,
  warmupSteps: true,
  warmupRatio: true,
  weightDecay: true,
  beta1: true,
  beta2: true,
  eps: true,
  ratePatterns: true,
  maxGradNorm: true,
  seed: true,
  precision: true,
  baseWeights: true,
  embeddingWeights: true,
  fused: true,
  evaluateEvery: true,
  metricForBest: true,
  greaterIsBetter: true,
  loadBestAtEnd: true,
  earlyStoppingPatience: true,
  checkpointEvery: true,
  checkpointLimit: true,
  resume: true,
  callbacks: true,
  shares: true,
  signal: true,
} as const satisfies Partial<Record<keyof TrainerOptions, true>>;

const TRAINER_KEYS: Record<keyof TrainerOptions, true> = {
  backend: true,
  evaluate: true,
  group: true,
  identity: true,
  outputDir: true,
  trace: true,
  ...TRAINING_KEYS,
};

/** Those of a larger set of options that a trainer takes. */
export function trainerOptionsOf<T extends object>(options: T): Pick<T, keyof T & keyof TrainerOptions> {
  return Object.fromEntries(Object.entries(options).filter(([key]) => Object.hasOwn(TRAINER_KEYS, key))) as never;
}

/** Throws INVALID_ARGUMENT naming the option, its value and what it takes. */
export function checkTrainerOptions(options: TrainerOptions): void {
  checkKeys('Trainer', options, TRAINER_KEYS);
  checkTrainerValues(options, options.evaluate !== undefined);
}

/**
 * What can be told of a trainer's options before there is a graph.
 *
 * @param measured whether there will be something that measures.
 * @throws FusedLoraError INVALID_ARGUMENT naming the option, its value and what it takes.
 */
export function checkTrainerValues(options: Omit<TrainerOptions, 'trace' | 'evaluate'>, measured: boolean): void {
  checkAdamW(options);
  checkSchedule(options);
  const whole = (name: keyof typeof options, low: number) => {
    const value = options[name];
    if (value === undefined || value === 'epoch') return;
    if (!(typeof value === 'number' && Number.isSafeInteger(value) && value >= low)) {
      throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${String(value)}, expected a whole number from ${low}`);
    }
  };
  whole('maxSteps', 1);
  whole('gradientAccumulation', 1);
  whole('shares', 1);
  whole('seed', 0);
  whole('evaluateEvery', 1);
  whole('checkpointEvery', 1);
  whole('checkpointLimit', 1);
  whole('earlyStoppingPatience', 1);
  const { epochs = 3, maxGradNorm = 1 } = options;
  if (!(epochs > 0 && Number.isFinite(epochs))) {
    throw new FusedLoraError('INVALID_ARGUMENT', `epochs is ${epochs}, expected a number above 0`);
  }
  if (!(maxGradNorm >= 0)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `maxGradNorm is ${maxGradNorm}, expected 0 (off) or more`);
  }
  if (options.earlyStoppingPatience !== undefined && options.metricForBest === undefined) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'earlyStoppingPatience needs metricForBest: which metric must improve?',
    );
  }
  if (options.metricForBest !== undefined && !measured) {
    throw new FusedLoraError('INVALID_ARGUMENT', 'metricForBest needs evaluate: there is nothing that measures it');
  }
}
