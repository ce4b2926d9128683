/**
 * The training loop: batches → accumulate → clip and AdamW → evaluate → checkpoint. It knows
 * graphs, programs and batches (src/data/batch/batch.ts), never a model.
 */
import { FusedLoraError } from '../base/errors';
import { VERSION } from '../base/version';
import type { Batch, BatchSource, EpochBatches } from '../data/batch/batch';
import { agree, barrier } from '../distributed/collectives';
import { type Group, isCommon, SOLO, thrownByAll } from '../distributed/group';
import { checkedHeldWeights } from '../graph/base_weights';
import { plan } from '../graph/plan';
import { choosePrecision, type Precision } from '../graph/precision';
import { Program } from '../graph/program';
import { native } from '../native';
import { type RunState, restoreSnapshot, saveCheckpoint, type TensorSnapshot, takeSnapshot } from './checkpoint';
import type { StepEvent, TrainerCallbacks } from './events';
import { lossDenominatorOf } from './loss_share';
import { checkTrainerOptions, type TrainerOptions } from './options';
import { groupParameters, type ParameterGroups } from './parameter_groups';
import { agreeOnBits, resumeAll, sharesToResume } from './ranks';
import { checkSinglePass, totalStepsOf } from './run_length';
import { scheduleFactor, warmupStepsOf } from './schedule';
import { type SharedGradients, ShareSteps } from './share_steps';
import type { MakeProgram, StepProgram } from './step_program';
import { Throughput } from './throughput';

/** What a training run did. */
export interface TrainResult {
  steps: number;
  epochs: number;
  /** Mean loss over all steps. */
  meanLoss: number;
  /** Metrics of the last evaluation. */
  metrics: Record<string, number> | undefined;
  bestMetric: number | null;
  bestStep: number | null;
  /** Whether early stopping ended the run. */
  stoppedEarly: boolean;
  /**
   * Seconds spent in steps, evaluation and checkpoints left out; of this process alone when
   * resumed.
   */
  seconds: number;
  tokensPerSecond: number;
  samplesPerSecond: number;
}

/** What a step's forward and backward passes gave. */
type Accumulated = Pick<SharedGradients, 'microBatches' | 'forwards' | 'tokens' | 'samples' | 'examples'> & {
  /** Absent: the optimizer step tells it. */
  loss?: number;
};

/**
 * Trains what a graph holds on a source of batches: AdamW, schedules, evaluation, checkpoints with
 * exact resume.
 */
export class Trainer {
  /** What products are computed in. */
  readonly precision: Precision;
  private readonly program: StepProgram;
  private readonly parameterGroups: ParameterGroups;
  private readonly lossDenominator: (batch: Batch) => number;
  private readonly throughput = new Throughput();
  private readonly group: Group;
  private shareSteps: ShareSteps | undefined;
  private best: TensorSnapshot | undefined;
  private metrics: Record<string, number> | undefined;
  private lastEvaluated = -1;
  private state: RunState = {
    step: 0,
    epoch: 0,
    microBatch: 0,
    forwardNumber: 0,
    bestMetric: null,
    bestStep: null,
    evaluationsWithoutBest: 0,
    lossSum: 0,
  };

  /**
   * Builds the training program: throws what does not fit before anything runs.
   *
   * @param makeProgram another way to make it, for several that run together.
   */
  constructor(
    private readonly options: TrainerOptions,
    makeProgram: MakeProgram = (_, planned, { backend }) => new Program(planned, { backend }),
  ) {
    checkTrainerOptions(options);
    this.group = options.group ?? SOLO;
    const graph = options.trace({ training: true, loss: true });
    const { backend = 'cpu', fused = true } = options;
    this.precision = choosePrecision(options.precision, backend);
    const settings = {
      fused,
      precision: this.precision,
      ...checkedHeldWeights(options),
    };
    const planned = plan(graph, { train: true, ...settings });
    this.lossDenominator = lossDenominatorOf(planned);
    this.program = makeProgram(graph, planned, { backend, ...settings });
    this.parameterGroups = groupParameters(this.program.plan.trained, options);
  }

  /** The parameters that are trained, in the order of the graph. */
  get trained() {
    return this.program.plan.trained;
  }

  /**
   * Trains to the end, to early stopping, or until the signal.
   * @throws NON_FINITE_LOSS with step and example numbers (nothing was changed by that step);
   * ABORTED after a checkpoint.
   */
  async train(source: BatchSource): Promise<TrainResult> {
    const { options, state } = this;
    if (source.singlePass) checkSinglePass(options);
    const totalSteps = totalStepsOf(options, source);
    const identity = this.identity(source, totalSteps);
    await agree(this.group, { ...identity, ...this.machine() });
    await this.takeShares();
    if (options.resume && options.outputDir) await this.resume(options.outputDir, identity, totalSteps);
    await this.emit('onStart', { step: state.step, totalSteps });
    let stoppedEarly = false;
    let savedAt = state.step;
    const save = async () => {
      if (!options.outputDir || savedAt === state.step) return;
      const { outputDir, checkpointLimit = 2 } = options;
      await agreeOnBits(this.group, this.trained, state.step);
      await this.shareSteps?.gatherMoments();
      savedAt = state.step;
      if (this.group.rank === 0) {
        const path = saveCheckpoint(outputDir, this.program, state, identity, this.best, checkpointLimit);
        await this.emit('onCheckpoint', { step: state.step, path });
      }
      // Nobody goes on, or ends, before it is written.
      await barrier(this.group);
    };
    let batches = source.epoch(state.epoch);
    try {
      await this.reserve(batches);
      while (state.step < totalSteps && !stoppedEarly) {
        if (state.microBatch >= batches.length) {
          state.epoch++;
          state.microBatch = 0;
          await batches.close?.();
          batches = source.epoch(state.epoch);
        }
        await this.step(batches, totalSteps);
        const epochEnded = state.microBatch >= batches.length;
        // Data that can be read once alone may end before the last step.
        const last = state.step === totalSteps || (epochEnded && source.singlePass === true);
        if (options.evaluate && (last || due(options.evaluateEvery ?? 'epoch', state.step, epochEnded))) {
          stoppedEarly = await this.evaluate(batches.length);
        }
        if (last || stoppedEarly || due(options.checkpointEvery ?? 'epoch', state.step, epochEnded)) await save();
        if (last) break;
      }
    } catch (error) {
      // Of several ranks only where all of them are at the same step.
      const together = this.group.size === 1 || isCommon(error);
      if (error instanceof FusedLoraError && error.code === 'ABORTED' && together) await save();
      throw error;
    } finally {
      await batches.close?.();
    }
    if (this.best && (options.loadBestAtEnd ?? true)) restoreSnapshot(this.trained, this.best);
    return {
      steps: state.step,
      epochs: state.epoch + (state.microBatch > 0 ? 1 : 0),
      meanLoss: state.step === 0 ? Number.NaN : state.lossSum / state.step,
      metrics: this.metrics,
      bestMetric: state.bestMetric,
      bestStep: state.bestStep,
      stoppedEarly,
      ...this.throughput.total(),
    };
  }

  /** Frees the program; parameters keep their values. */
  dispose(): void {
    this.program.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Memory for the largest batch, or share of one. */
  private async reserve(batches: EpochBatches): Promise<void> {
    if (batches.largest === undefined) return;
    const { shareSteps } = this;
    const share = shareSteps && { index: Math.max(0, shareSteps.own.end - 1), count: shareSteps.shares };
    const batch = share ? await batches.shareAt?.(batches.largest, share) : await batches.at(batches.largest);
    if (batch) await this.program.reserve(batch.sizes);
  }

  /** Forward and backward passes of a step by this process alone, whole batches. */
  private async accumulate(batches: EpochBatches): Promise<Accumulated> {
    const { options, state, program } = this;
    const { gradientAccumulation = 1, seed = 0, signal } = options;
    const micro: Batch[] = [];
    // One after the other: whether there is a next one may show with the one before.
    while (micro.length < gradientAccumulation && state.microBatch + micro.length < batches.length) {
      micro.push(await batches.at(state.microBatch + micro.length));
    }
    const denominators = micro.map(this.lossDenominator);
    const whole = denominators.reduce((sum, one) => sum + one, 0);
    for (const [i, batch] of micro.entries()) {
      await program.accumulate(batch, {
        seed: BigInt(seed),
        forwardNumber: state.forwardNumber + i,
        lossScale: whole === 0 ? 0 : (denominators[i] as number) / whole,
        zeroGradients: i === 0,
        signal,
      });
    }
    return {
      microBatches: micro.length,
      forwards: micro.length,
      tokens: micro.reduce((sum, b) => sum + b.sizes.T, 0),
      samples: micro.reduce((sum, b) => sum + b.sizes.S, 0),
      examples: async () => micro.flatMap((b) => Array.from(b.exampleIndices)),
    };
  }

  private async step(batches: EpochBatches, totalSteps: number): Promise<void> {
    const { options, state, program } = this;
    const started = performance.now();
    const { gradientAccumulation = 1, seed = 0, maxGradNorm = 1, signal } = options;
    const taken: Accumulated = this.shareSteps
      ? await this.shareSteps.accumulate({
          batches,
          from: state.microBatch,
          most: gradientAccumulation,
          seed,
          forwardNumber: state.forwardNumber,
          signal,
        })
      : await this.accumulate(batches);
    const factor = scheduleFactor(options, state.step, totalSteps);
    const { groups, groupOf } = this.parameterGroups;
    // A loss that is not finite may be another rank's, whose program alone would refuse the step.
    const stepped = Number.isFinite(taken.loss ?? 0)
      ? await (this.shareSteps ?? program).apply({
          groups: groups.map((g) => ({ ...g, learningRate: g.learningRate * factor })),
          groupOf: (p) => groupOf.get(p) as number,
          step: state.step + 1,
          maxGradNorm,
        })
      : { applied: false, gradientNorm: Number.NaN, loss: taken.loss };
    const { applied, gradientNorm } = stepped;
    const loss = (taken.loss ?? stepped.loss) as number;
    if (!applied) {
      const examples = await taken.examples();
      const error = new FusedLoraError(
        'NON_FINITE_LOSS',
        `step ${state.step + 1}: the loss is ${loss} and the gradient norm ${gradientNorm}; nothing was changed by this step. ` +
          `Its examples: ${examples.slice(0, 20).join(', ')}${examples.length > 20 ? ', …' : ''}. Lower the learning rate ` +
          `(now ${options.learningRate}) or look at these rows`,
      );
      throw thrownByAll(this.group, error);
    }
    state.step++;
    state.microBatch += taken.microBatches;
    state.forwardNumber += taken.forwards;
    state.lossSum += loss;

    const { tokens, samples } = taken;
    this.throughput.add((performance.now() - started) / 1000, tokens, samples);
    const event: StepEvent = {
      step: state.step,
      totalSteps,
      epoch: state.epoch + state.microBatch / batches.length,
      loss,
      learningRate: options.learningRate * factor,
      gradientNorm,
      tokens,
      ...this.throughput.recent(),
      secondsLeft: this.throughput.secondsPerStep() * (totalSteps - state.step),
    };
    await this.emit('onStep', event);
  }

  /** @returns whether to stop early. */
  private async evaluate(batchesPerEpoch: number): Promise<boolean> {
    const { options, state } = this;
    if (!options.evaluate || this.lastEvaluated === state.step) return false;
    this.lastEvaluated = state.step;
    const started = performance.now();
    const metrics = await options.evaluate(state.step);
    this.metrics = metrics;
    const name = options.metricForBest;
    let isBest = false;
    if (name !== undefined) {
      const value = metrics[name];
      if (value === undefined) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `metricForBest is '${name}', evaluation gives ${Object.keys(metrics).join(', ')}`,
        );
      }
      const greater = options.greaterIsBetter ?? !/(loss|mse)$/.test(name);
      isBest = state.bestMetric === null || (greater ? value > state.bestMetric : value < state.bestMetric);
      if (isBest) {
        state.bestMetric = value;
        state.bestStep = state.step;
        if (options.loadBestAtEnd ?? true) this.best = takeSnapshot(this.trained);
      }
      state.evaluationsWithoutBest = isBest ? 0 : state.evaluationsWithoutBest + 1;
    }
    await this.emit('onEvaluate', {
      step: state.step,
      epoch: state.epoch + state.microBatch / batchesPerEpoch,
      metrics,
      best: isBest,
      seconds: (performance.now() - started) / 1000,
    });
    return state.evaluationsWithoutBest >= (options.earlyStoppingPatience ?? Number.POSITIVE_INFINITY);
  }

  /** How batches are divided, which a run that goes on takes from its checkpoint. */
  private async takeShares(): Promise<void> {
    const { options, group } = this;
    const saved = options.resume && options.outputDir ? await sharesToResume(group, options.outputDir) : undefined;
    const shares = options.shares ?? saved ?? group.size;
    if (shares === 1 && group.size === 1) return;
    this.shareSteps = new ShareSteps(this.program, group, shares, this.lossDenominator);
    this.state.shares = shares;
  }

  private async resume(dir: string, identity: Record<string, string | number>, totalSteps: number): Promise<void> {
    const { shares } = this.state;
    const resumed = await resumeAll(this.group, dir, this.program, identity, totalSteps);
    if (!resumed) return;
    Object.assign(this.state, resumed.state);
    this.state.shares = shares;
    this.best = resumed.best;
    this.lastEvaluated = resumed.state.step;
  }

  /** What ranks must have in common beside the run itself: the same bits come of it. */
  private machine(): Record<string, string> {
    const { backend = 'cpu' } = this.options;
    return { 'fused-lora': VERSION, backend, ...(backend === 'cpu' && { 'instruction set': native().info().isa }) };
  }

  private identity(source: BatchSource, totalSteps: number): Record<string, string | number> {
    const { seed = 0, gradientAccumulation = 1, learningRate, schedule = 'linear', maxGradNorm = 1 } = this.options;
    const { weightDecay = 0, ratePatterns = [], baseWeights = 'fp32', embeddingWeights = 'fp32' } = this.options;
    const { precision } = this;
    return {
      seed,
      gradientAccumulation,
      learningRate,
      schedule,
      warmupSteps: warmupStepsOf(this.options, totalSteps),
      weightDecay,
      maxGradNorm,
      ratePatterns: JSON.stringify(ratePatterns.map(({ pattern, learningRate: rate }) => [pattern, rate])),
      precision,
      ...(baseWeights !== 'fp32' && { baseWeights }),
      ...(embeddingWeights !== 'fp32' && { embeddingWeights }),
      totalSteps,
      data: source.fingerprint,
      ...this.options.identity,
    };
  }

  private async emit<K extends keyof TrainerCallbacks>(
    name: K,
    event: Parameters<NonNullable<TrainerCallbacks[K]>>[0],
  ): Promise<void> {
    // Ranks do the same; one of them says so.
    if (this.group.rank !== 0) return;
    for (const callbacks of this.options.callbacks ?? []) {
      await (callbacks[name] as ((e: typeof event) => void | Promise<void>) | undefined)?.(event);
    }
  }
}

function due(every: number | 'epoch', step: number, epochEnded: boolean): boolean {
  return every === 'epoch' ? epochEnded : step % every === 0;
}
