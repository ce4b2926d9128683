/**
 * A plan built on a device: one native call a step, off the event loop. Batches are checked before
 * the step, so a step can not fail on a shape or an index half-way.
 * What it is made from: plan.ts. Its native side: native/program.
 */
import { FusedLoraError } from '../base/errors';
import {
  type NativeBatch,
  type NativeGradientSum,
  type NativeParameter,
  type NativeProgram,
  type NativeStep,
  native,
  type OptimizerGroup,
  wrapNativeError,
} from '../native';
import type { BackendName, ComputeType, Parameter } from './parameter';
import type { Plan } from './plan';
import type { Node, Sizes } from './value';

export type { OptimizerGroup };

/** Where and in what a program runs. */
export interface ProgramOptions {
  backend: BackendName;
  /** f64 runs on the reference backend only. Default f32. */
  compute?: ComputeType;
  /**
   * Whether a GPU's steps may be recorded and replayed as CUDA graphs. Default true; false launches
   * kernel by kernel, for comparison: the same kernels, the same bits. FUSED_LORA_CUDA_GRAPHS=off
   * does so for all programs of the process.
   */
  cudaGraphs?: boolean;
}

/** The batch inputs of a graph by name, with the row counts they have. */
export interface BatchTensors {
  tensors: NativeBatch;
  sizes: Sizes;
}

/** What a forward pass depends on beside its batch. */
export interface StepOptions {
  /** Seed of every dropout mask. Default 0. */
  seed?: bigint;
  /**
   * Which forward pass of the run this is, micro-batches
   * included: another number, other masks. Default 0.
   */
  forwardNumber?: number;
  signal?: AbortSignal | undefined;
}

/** Of {@link Program.accumulate}. */
export interface AccumulateOptions extends StepOptions {
  /** Factor on the loss's gradient: this micro-batch's share of the step. Default 1. */
  lossScale?: number;
  /** Start the gradients from zero: the first micro-batch of a step. */
  zeroGradients: boolean;
  /** Told of gradients as they are finished: they leave for other ranks meanwhile. @internal */
  sum?: NativeGradientSum | undefined;
}

/** Of {@link Program.apply}. */
export interface ApplyOptions {
  groups: OptimizerGroup[];
  /** Index into `groups` for a trained parameter. */
  groupOf: (parameter: Parameter) => number;
  /** Number of this optimizer step, from 1. */
  step: number;
  /** Global gradient norm to clip to; 0 or absent: no clipping. */
  maxGradNorm?: number;
  /** Steps what this rank has of a sum that is divided, and tells how far it is. @internal */
  sum?: NativeGradientSum | undefined;
}

/** Of one of several programs, see {@link Program.accumulateSideBySide}. */
export interface SideStep {
  program: Program;
  batch: BatchTensors;
  options: Omit<AccumulateOptions, 'sum'>;
}

const nativeStep = (options: StepOptions & { lossScale?: number }): NativeStep => ({
  seed: options.seed ?? 0n,
  forwardNumber: options.forwardNumber ?? 0,
  lossScale: options.lossScale ?? 1,
});

/** A plan on a device: one native call a step, off the event loop. */
export class Program {
  private nativeProgram: NativeProgram | undefined;
  private readonly valueIndex = new Map<string, number>();
  private readonly handles;

  /**
   * Packs frozen weights and checks every op against its
   * contract; throws what does not fit, with the module's path.
   */
  constructor(
    readonly plan: Plan,
    readonly options: ProgramOptions,
  ) {
    const compute = options.compute ?? 'f32';
    try {
      const handles = plan.parameters.map((p) => p.onDevice(options.backend, compute));
      this.handles = handles;
      const spec = plan.toNativeSpec(options.backend, compute);
      // Outputs go by the caller's name for them, whatever
      // made them: 'loss' is the one that must stay finite.
      for (const [name, index] of plan.outputIndices) {
        const value = spec.values[index];
        if (value) value.name = name;
      }
      const record = options.cudaGraphs ?? true;
      // One weight after the other is read, packed and released: a model is never in memory twice.
      const on = (act: (parameter: Parameter, device: NativeParameter) => void) => (index: number) => {
        const [parameter, device] = [plan.parameters[index], handles[index]];
        if (parameter && device) act(parameter, device);
      };
      this.nativeProgram = new (native().Program)({
        ...spec,
        parameters: handles,
        record,
        fill: on((parameter, device) => parameter.fillOn(device)),
        packed: on((parameter, device) => parameter.releaseOn(device)),
      });
      spec.values.forEach((value, index) => {
        if (value.output || spec.keepAll) this.valueIndex.set(value.name, index);
      });
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  private get running(): NativeProgram {
    if (!this.nativeProgram) throw new FusedLoraError('DISPOSED', 'this program was disposed; build a new one');
    return this.nativeProgram;
  }

  /**
   * Allocates the memory that batches up to these sizes need, so that a lack of it shows before the
   * first step. Larger batches may come all the same.
   *
   * @throws FusedLoraError OUT_OF_MEMORY with what is needed and what is free on the device.
   */
  async reserve(sizes: Sizes): Promise<void> {
    await this.run(undefined, (program) => program.reserve(sizes));
  }

  /** Runs the forward pass; then `read` gives logits, loss and the other outputs. */
  async forward(batch: BatchTensors, options: StepOptions = {}): Promise<void> {
    await this.run(options.signal, (program) => program.forward(batch.tensors, batch.sizes, nativeStep(options)));
  }

  /**
   * Runs forward and backward and adds to the gradients of every trained parameter. A GPU may still
   * be at it when the promise is fulfilled; `read` and `gradient` wait for it, and block the event
   * loop meanwhile. `apply` gives the loss without that.
   */
  async accumulate(batch: BatchTensors, options: AccumulateOptions): Promise<void> {
    const step = nativeStep(options);
    await this.run(options.signal, (program) =>
      program.accumulate(batch.tensors, batch.sizes, step, options.zeroGradients, options.sum),
    );
  }

  /**
   * `accumulate` of several programs at once, on batches of their own. Each has the bits that it
   * has alone; on a CPU products of one frozen weight run together, on a GPU they take turns. What
   * lives within a step is in memory for all of them at a time.
   *
   * @returns of each what it threw, which ends no other.
   */
  static async accumulateSideBySide(steps: readonly SideStep[]): Promise<unknown[]> {
    const errors: unknown[] = steps.map(() => undefined);
    const started: { at: number; signal: AbortSignal | undefined; end: () => void }[] = [];
    try {
      for (const [at, { program, options }] of steps.entries()) {
        try {
          started.push({ at, signal: options.signal, end: program.begin(options.signal) });
        } catch (error) {
          errors[at] = error;
        }
      }
      const own = started.map(({ at }) => steps[at] as SideStep);
      const results = await native().Program.accumulateSideBySide(
        own.map(({ program, batch: { tensors, sizes }, options }) => ({
          ...{ program: program.running, batch: tensors, sizes, step: nativeStep(options) },
          zeroGradients: options.zeroGradients,
        })),
      );
      for (const [i, { at, signal }] of started.entries()) errors[at] = results[i] && asThrown(results[i], signal);
      return errors;
    } catch (error) {
      // One that could not even be started.
      const thrown = asThrown(error, undefined);
      return errors.map((known) => known ?? thrown);
    } finally {
      for (const { end } of started) end();
    }
  }

  /**
   * Clips by the global norm and takes one AdamW step. When the accumulated loss or the norm is not
   * finite, no byte changes and `applied` is false.
   *
   * @returns loss: Σ loss · lossScale of what was accumulated since
   *   `zeroGradients`. On a GPU this is where a step waits, once.
   */
  async apply(options: ApplyOptions): Promise<{ applied: boolean; gradientNorm: number; loss: number }> {
    const groupOf = this.plan.trained.map(options.groupOf);
    const result = await this.run(undefined, (program) =>
      program.apply(
        { groups: options.groups, groupOf, step: options.step, maxGradNorm: options.maxGradNorm ?? 0 },
        options.sum,
      ),
    );
    if (result.applied) {
      for (const parameter of this.plan.trained) parameter.changedOn(this.handleOf(parameter));
    }
    return result;
  }

  /** An output of the last run (of a `keepAll` plan: any value by its name). A copy. */
  read(name: string): Float32Array | Int32Array | Float64Array {
    const index = this.valueIndex.get(name);
    if (index === undefined) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `the program has no output '${name}'; it has ${[...this.plan.outputIndices.keys()].join(', ')}`,
      );
    }
    try {
      return this.running.read(index);
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  /** A scalar output, such as the loss. */
  scalar(name: string): number {
    return this.read(name)[0] as number;
  }

  /** The gradient of a trained parameter after `accumulate`; f64 programs give it whole. */
  gradient(parameter: Parameter): Float32Array | Float64Array {
    const handle = this.handleOf(parameter);
    try {
      return this.options.compute === 'f64' ? handle.readDouble('gradient') : handle.read('gradient');
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  /** Puts another gradient in place, as `apply` shall see it: the sum over ranks. */
  writeGradient(parameter: Parameter, values: Float32Array): void {
    const handle = this.handleOf(parameter);
    try {
      handle.write('gradient', values);
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  /** For sums of the gradients over ranks, which leave them where they are. @internal */
  gradientSum(): NativeGradientSum {
    try {
      return new (native().GradientSum)(this.running);
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  /** AdamW's moments of a trained parameter, for checkpoints. */
  readMoments(parameter: Parameter): { first: Float32Array; second: Float32Array } {
    const handle = this.handleOf(parameter);
    try {
      return { first: handle.read('firstMoment'), second: handle.read('secondMoment') };
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  /** Sets AdamW's moments of a trained parameter, as a resumed run does. */
  writeMoments(parameter: Parameter, moments: { first: Float32Array; second: Float32Array }): void {
    const handle = this.handleOf(parameter);
    try {
      handle.write('firstMoment', moments.first);
      handle.write('secondMoment', moments.second);
    } catch (error) {
      throw wrapNativeError(error);
    }
  }

  /**
   * Seconds spent in each instruction of the plan since the last call, and in the optimizer step.
   * On a CPU only: a GPU gives the times of its launches.
   */
  takeTimings(): { instructions: { node: Node; seconds: number }[]; optimizer: number } {
    const seconds = this.running.takeTimings();
    const instructions = this.plan.instructions.map((node, i) => ({ node, seconds: seconds[i] as number }));
    return { instructions, optimizer: seconds[instructions.length] as number };
  }

  /**
   * How the steps so far were launched on a device that records them
   * as CUDA graphs: replayed as recorded, recorded and an older graph
   * updated to them, or recorded and made a graph of. All 0 elsewhere.
   */
  recordedSteps(): { replayed: number; updated: number; made: number } {
    return this.running.recorded();
  }

  /** Bytes of the arena that a batch of these sizes needs on the device. */
  arenaBytes(sizes: Sizes): number {
    return this.running.arenaBytes(sizes);
  }

  /** Frees the arena; a running step stops at its next op. Parameters stay. */
  dispose(): void {
    this.nativeProgram?.dispose();
    this.nativeProgram = undefined;
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private handleOf(parameter: Parameter) {
    const handle = this.handles[this.plan.parameters.indexOf(parameter)];
    if (!handle) throw new FusedLoraError('INVALID_ARGUMENT', `${parameter.name} is not a parameter of this program`);
    return handle;
  }

  /** Before a step. @returns what is to be done after it. */
  private begin(signal: AbortSignal | undefined): () => void {
    const program = this.running;
    const gone = this.plan.parameters.find((p, i) => !p.isOn(this.handles[i] as NativeParameter));
    if (gone) {
      throw new FusedLoraError(
        'DISPOSED',
        `the model of this program was disposed (${gone.name} is not on the device any more). Dispose of a model after its last step, or build a new program`,
      );
    }
    if (signal?.aborted) throw abortError(signal);
    const stop = () => program.abort();
    signal?.addEventListener('abort', stop, { once: true });
    for (const parameter of this.plan.parameters) parameter.countStep(1);
    return () => {
      for (const parameter of this.plan.parameters) parameter.countStep(-1);
      signal?.removeEventListener('abort', stop);
    };
  }

  private async run<R>(signal: AbortSignal | undefined, start: (program: NativeProgram) => Promise<R>): Promise<R> {
    const end = this.begin(signal);
    try {
      return await start(this.running);
    } catch (error) {
      throw asThrown(error, signal);
    } finally {
      end();
    }
  }
}

function asThrown(error: unknown, signal: AbortSignal | undefined): unknown {
  const wrapped = wrapNativeError(error);
  const stopped = wrapped instanceof FusedLoraError && wrapped.code === 'ABORTED' && signal?.aborted;
  return stopped ? abortError(signal) : wrapped;
}

function abortError(signal: AbortSignal): FusedLoraError {
  return new FusedLoraError('ABORTED', 'stopped by the AbortSignal', { cause: signal.reason });
}
