/**
 * The native addon, typed by hand; load_addon.ts finds and loads it.
 * Everything here is internal; users see Program, Parameter and the kernels.
 * The C++ side of each of these functions: native/addon.
 */
import { isNativeError } from 'node:util/types';
import { type ErrorCode, FusedLoraError } from './base/errors';
import { type Loaded, loadAddon } from './load_addon';

export type Slot = 'value' | 'gradient' | 'firstMoment' | 'secondMoment';

export interface NativeParameter {
  has(slot: Slot): boolean;
  /**
   * Writes fp32 values (f64 parameters take Float64Array too); makes packed copies be made again.
   */
  write(slot: Slot, values: Float32Array | Float64Array): void;
  /** Writes a released value back, the same as before: packed copies stay as they are. */
  restore(values: Float32Array | Float64Array): void;
  /**
   * The same of a part of the values, `at` the place of the
   * first; a value that was not there is zero elsewhere.
   */
  restorePart(values: Float32Array, at: number): void;
  /** f64 parameters are rounded; `readDouble` gives them whole. */
  read(slot: Slot): Float32Array;
  readDouble(slot: Slot): Float64Array;
  release(slot: Slot): void;
  /** Bytes on the device, packed copies left out. */
  readonly bytes: number;
  dispose(): void;
}

export interface NativeValueSpec {
  name: string;
  kind: 'input' | 'parameter' | 'gradient' | 'computed';
  dtype: 'float' | 'i32';
  /** Numbers, or T, S, S+1, M. */
  shape: (number | string)[];
  /** Index into `parameters` for parameter and gradient. */
  parameter?: number;
  /** Read by the caller after a run: kept until the next one. */
  output?: boolean;
}

export interface NativeInstructionSpec {
  op: string;
  /** Value indices; -1 for an absent operand. */
  inputs: number[];
  outputs: number[];
  attributes: Record<string, number | string>;
  path: string;
}

export interface NativeProgramSpec {
  backend: string;
  compute: 'f32' | 'f64';
  parameters: NativeParameter[];
  values: NativeValueSpec[];
  instructions: NativeInstructionSpec[];
  /** Instructions before this index are the forward pass. */
  forwardCount: number;
  /** Keeps every value to the end of the run: for `inspect`. */
  keepAll?: boolean;
  /** Steps may be recorded and replayed where the device can. Default true. */
  record?: boolean;
  /**
   * Called while the program is built, when the values of a
   * parameter are first needed: puts them in place.
   */
  fill?: (parameter: number) => void;
  /**
   * Called while the program is built: only packed copies of that parameter are read from now on.
   */
  packed?: (parameter: number) => void;
}

export interface NativeStep {
  seed: bigint;
  forwardNumber: number;
  lossScale: number;
}

export interface NativeSizes {
  T: number;
  S: number;
  M: number;
}

/**
 * Batch inputs by name: Int32Array for indices; Float32Array,
 * in f64 programs also Float64Array, for floats.
 */
export type NativeBatch = Record<string, Int32Array | Float32Array | Float64Array>;

/** AdamW's settings for some of the parameters; as OptimizerGroup of native/ops/optimizer.h. */
export interface OptimizerGroup {
  learningRate: number;
  beta1: number;
  beta2: number;
  eps: number;
  /** Decoupled: p ← p · (1 − learningRate · weightDecay). */
  weightDecay: number;
}

export interface NativeOptimizerStep {
  groups: OptimizerGroup[];
  /** One group index a trained parameter, in the order of `trained`. */
  groupOf: number[];
  /** t of AdamW's bias correction, from 1. */
  step: number;
  /** 0: no clipping. */
  maxGradNorm: number;
}

export interface NativeProgram {
  /** Bytes of the arena for a batch of these sizes. */
  arenaBytes(sizes: NativeSizes): number;
  /** Allocates for batches up to these sizes; rejects with OUT_OF_MEMORY. */
  reserve(sizes: NativeSizes): Promise<void>;
  forward(batch: NativeBatch, sizes: NativeSizes, step: NativeStep): Promise<void>;
  /**
   * Forward and backward; gradients are added to, or overwritten when `zeroGradients`. A GPU may
   * still be at it when the promise is fulfilled: what reads results waits for them.
   */
  accumulate(
    batch: NativeBatch,
    sizes: NativeSizes,
    step: NativeStep,
    zeroGradients: boolean,
    /** Told of gradients as they are finished, and of the end. */
    sum?: NativeGradientSum,
  ): Promise<void>;
  /**
   * Clip and AdamW over all trained parameters. When the norm or a loss is
   * not finite nothing changes and `applied` is false. `loss` is the sum of
   * loss · lossScale over what was accumulated since gradients were zeroed.
   */
  apply(
    options: NativeOptimizerStep,
    /** Where the step is divided among ranks: of the gradients that were summed. */
    sum?: NativeGradientSum,
  ): Promise<{ applied: boolean; gradientNorm: number; loss: number }>;
  /** An output (or any value of a keepAll program) of the last run. */
  read(value: number): Float32Array | Int32Array | Float64Array;
  /** Seconds in each instruction since the last call, and after them those in `apply`. */
  takeTimings(): Float64Array;
  /**
   * How steps were launched on a device that records them (CUDA
   * graphs): as recorded, recorded and updated, recorded anew.
   */
  recorded(): { replayed: number; updated: number; made: number };
  /** Stops the running call between two ops; it rejects with ABORTED. */
  abort(): void;
  dispose(): void;
}

/** Of one of several programs: what `accumulate` takes. */
export interface NativeSideStep {
  program: NativeProgram;
  batch: NativeBatch;
  sizes: NativeSizes;
  step: NativeStep;
  zeroGradients: boolean;
}

export interface NativeTensor {
  data: Float32Array | Int32Array | Float64Array;
  shape: number[];
}

/** What was found of CUDA. */
export interface CudaInfo {
  /** Whether this build has CUDA code. */
  built: boolean;
  available: boolean;
  /** Why it can not be used: 'none' where it can. */
  cause:
    | 'none'
    | 'notBuilt'
    | 'noDriver'
    | 'driverTooOld'
    | 'noDevice'
    | 'unsupportedDevice'
    | 'noKernelImage'
    | 'notWorking'
    | 'failed';
  /** The same for people, with what to do about it; empty where it can be used. */
  reason: string;
  /** Model, compute capability and memory; absent where no GPU was seen. */
  device?: string;
  /** 9 for 9.0. */
  computeCapability?: number;
  /**
   * CUDA versions: what the driver supports (0: there is none) and what this build has; 13000 is
   * 13.0. Absent without CUDA code.
   */
  driver?: number;
  runtime?: number;
  /** Memory of the device. */
  freeBytes?: number;
  totalBytes?: number;
  /** Of this process's tensors on it: now, and the most there were. */
  usedBytes?: number;
  peakBytes?: number;
  /** Kernels launched or recorded so far; a recorded step that is replayed adds none. */
  launches?: number;
  /** Whether steps run as CUDA graphs; FUSED_LORA_CUDA_GRAPHS=off turns that off. */
  graphs?: boolean;
}

/** A program's gradients, summed over ranks where they lie: native/distributed/gradient_sum.h. */
export interface NativeGradientSum {
  /**
   * Keeps a copy of the gradients: those of a share that is not the last one of its rank. `add`: to
   * the copy that is there, as the first rank that has shares does.
   */
  hold(add: boolean): Promise<void>;
  /** Whether each rank keeps the sum of a part, and steps that: UpdatePart of native/ops. */
  readonly isDivided: boolean;
  /** What is under way, the sum or values that are gathered, ends with this error. */
  cancel(code: string, message: string): void;
}

/** What a sum of gradients took. */
export interface NativeSumReport {
  /** What this rank sent to others. */
  sentBytes: number;
  /** Parts in which they left, and how many of these left while the program was computing. */
  buckets: number;
  early: number;
}

/** Ranks of one run, by an MPI library that is opened at run time: native/distributed. */
export interface NativeDistributed {
  /** Opens the library at its first call, and starts MPI; rejects with MPI_UNAVAILABLE. */
  join(file: string): Promise<{ rank: number; size: number; abi: string; version: string }>;
  /**
   * Sends parts[r] to rank r and gives what each rank sent here. All ranks call it in one order;
   * `lengths` are the bytes that come from each, where they are known.
   * Rejects with RANK_FAILED, also when nothing came for `seconds`.
   */
  exchange(
    parts: readonly Uint8Array[],
    lengths: readonly number[] | undefined,
    seconds: number,
  ): Promise<Uint8Array[]>;
  /**
   * Sums gradients over all ranks, in place. `summands`: of each rank, those held and the
   * program's; `isComputing`: a run of the program, which was given the sum, still has to say what
   * is finished. Rejects as `exchange`, and with what it was cancelled with.
   */
  sum(
    gradients: NativeGradientSum,
    summands: readonly number[],
    isComputing: boolean,
    seconds: number,
  ): Promise<NativeSumReport>;
  /**
   * Gives all ranks what each has stepped, beside a call of `apply` that was given the sum. Rejects
   * as `sum`.
   */
  gatherValues(gradients: NativeGradientSum, seconds: number): Promise<NativeSumReport>;
  /** Gives rank 0 the optimizer's moments of what each rank steps. Rejects as `exchange`. */
  gatherMoments(gradients: NativeGradientSum, seconds: number): Promise<void>;
  /** What others wait for ends with this message. @returns what each rank has told, '' for none. */
  tellFailure(message: string): Promise<string[]>;
  /** Waits for all others to leave, and stops MPI; false where one did not. Blocks. */
  leave(seconds: number): boolean;
  /** Ends the processes of all ranks. */
  abort(code: number): void;
  /** This machine's name, and the CPUs that the process may run on (`0,1`); '' where unknown. */
  place(): { host: string; cpus: string };
}

export interface NativeAddon {
  /** Of the package that it was built from: that of this one. */
  version: string;
  Parameter: new (backend: string, name: string, shape: number[], compute: 'f32' | 'f64') => NativeParameter;
  Program: {
    new (spec: NativeProgramSpec): NativeProgram;
    /**
     * `accumulate` of several programs at once, each with the bits that it has alone: products of a
     * frozen weight that several have are run together. Gives, of each, the error that ended it,
     * which ends no other. On a GPU they run in turns.
     */
    accumulateSideBySide(steps: readonly NativeSideStep[]): Promise<(Error | undefined)[]>;
  };
  GradientSum: new (program: NativeProgram) => NativeGradientSum;
  /**
   * Runs one op off the event loop, on typed arrays (copied in
   * and out) or device tensors. Outputs are written in place.
   * @returns the op's own seconds, copies left out; on a GPU between two events.
   */
  runOp(
    backend: string,
    op: string,
    inputs: readonly (NativeTensor | NativeParameter | undefined)[],
    outputs: readonly (NativeTensor | NativeParameter | undefined)[],
    attributes: Record<string, number | string>,
    step: NativeStep,
  ): Promise<number>;
  /**
   * Runs ops one after the other on device tensors. `flush`, a device tensor larger than the
   * device's cache, is set to zero before.
   * @returns the seconds of all of them together, on a GPU between two events.
   */
  timeOps(
    backend: string,
    ops: readonly (readonly [
      op: string,
      inputs: readonly (NativeTensor | NativeParameter | undefined)[],
      outputs: readonly (NativeTensor | NativeParameter | undefined)[],
      attributes: Record<string, number | string>,
    ])[],
    step: NativeStep,
    flush?: NativeParameter,
  ): Promise<number>;
  /** Peak bytes of an arena for buffers that live from instruction `first` to `last`. */
  arenaBytes(bytes: number[], first: number[], last: number[]): number;
  info(): {
    isa: string;
    /** Whether the CPU multiplies bf16 by instructions of its own (AVX512_BF16). */
    bf16: boolean;
    threads: number;
    cuda: CudaInfo;
    compiler: string;
  };
  setThreads(threads: number): void;
  distributed: NativeDistributed;
}

let loaded: Loaded<NativeAddon> | undefined;

/** The addon, loaded at first use. Throws ADDON_NOT_FOUND with what was tried. */
export function native(): NativeAddon {
  loaded ??= loadAddon<NativeAddon>();
  return loaded.addon;
}

/** Where the addon lies that {@link native} gives. */
export function addonFile(): string {
  native();
  return (loaded as Loaded<NativeAddon>).file;
}

/**
 * Native errors carry a `code`; this gives them the library's class. They may be of another realm
 * (a vm context), so no instanceof.
 */
export function wrapNativeError(error: unknown): unknown {
  if (!isNativeError(error) || error instanceof FusedLoraError) return error;
  const { code, message } = error as Error & { code?: unknown };
  // Where the addon could not even make an error of its own.
  if (message === 'std::bad_alloc') return new FusedLoraError('OUT_OF_MEMORY', 'not enough memory', { cause: error });
  return typeof code === 'string' ? new FusedLoraError(code as ErrorCode, message, { cause: error }) : error;
}
