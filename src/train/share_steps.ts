/**
 * A step by shares: each rank computes its own shares of every batch, all ranks sum the gradients
 * in order, and the optimizer step is divided among them where that pays. What a share is:
 * src/distributed/shares.ts; when a step is taken is the trainer's.
 */
import { FusedLoraError } from '../base/errors';
import type { Batch, EpochBatches } from '../data/batch/batch';
import { gatherJson, gatherNumbers } from '../distributed/collectives';
import { type Group, isTold, thrownByAll, toldByAnother } from '../distributed/group';
import { sharesOfRank, summandsOf } from '../distributed/shares';
import { type Gradients, sumGradients } from '../distributed/sum_gradients';
import { type AccumulateOptions, type ApplyOptions, Program, type StepOptions } from '../graph/program';
import type { NativeGradientSum } from '../native';
import type { StepProgram } from './step_program';

/** What a step of several micro-batches gave, over all ranks. */
export interface SharedGradients {
  microBatches: number;
  /** Forward passes, those of empty shares among them. */
  forwards: number;
  /** Σ loss · share over all rows of the step. */
  loss: number;
  tokens: number;
  samples: number;
  /** Numbers of the examples on all ranks: asked for by all ranks, or by none. */
  examples(): Promise<number[]>;
}

/** Of {@link ShareSteps.accumulate}. */
export interface ShareStepOptions {
  batches: EpochBatches;
  /** Number of the first micro-batch in its epoch, and how many there are at most. */
  from: number;
  most: number;
  seed: number;
  /** Of the first forward pass of the step. */
  forwardNumber: number;
  signal: AbortSignal | undefined;
}

/** A share of a micro-batch that this rank computes. */
interface Own {
  micro: number;
  share: number;
  /** Undefined where no sequence falls to it. */
  batch: Batch | undefined;
}

/** What computes a share of a micro-batch that has rows. */
interface Pass {
  of: Own;
  batch: Batch;
  options: Required<Pick<AccumulateOptions, 'seed' | 'forwardNumber' | 'lossScale'>> & StepOptions;
}

/** Numbers of a share that all ranks are told before the step. */
const FACTS = 3;

export class ShareSteps {
  private readonly program: Program;
  private gradientSum: NativeGradientSum | undefined;

  /**
   * @throws FusedLoraError UNSUPPORTED for steps that run together with others, or in a subspace.
   */
  constructor(
    program: StepProgram,
    private readonly group: Group,
    readonly shares: number,
    private readonly lossDenominator: (batch: Batch) => number,
  ) {
    if (!(program instanceof Program)) {
      throw new FusedLoraError(
        'UNSUPPORTED',
        'shares of batches, and ranks, are for a run by itself whose method is lora, head, full or trainable: runs that share steps and the method ' +
          'subspace have programs of their own. Leave out distributed and shares, or choose another method',
      );
    }
    this.program = program;
  }

  /** Numbers of this rank's shares: [first, end). */
  get own(): { first: number; end: number } {
    return sharesOfRank(this.group.rank, this.group.size, this.shares);
  }

  /** Computes what falls to this rank and leaves the sum of all ranks as the gradients. */
  async accumulate(options: ShareStepOptions): Promise<SharedGradients> {
    const { group, shares } = this;
    const read = await this.readUnlessStopped(options);
    const { own, microBatches } = read ?? { own: [], microBatches: 0 };
    const known = await this.exchangeFacts(own, microBatches, read === undefined, options.signal);
    const whole = known.reduce((sum, { denominator }) => sum + denominator, 0);
    const counts = Array.from({ length: shares }, (_, share) =>
      known.some((one) => one.share === share && one.samples > 0) ? 1 : 0,
    );
    const passes = this.passes(own, options, (denominator) => (whole === 0 ? 0 : denominator / whole));
    const losses = group.sum ? await this.sumInPlace(passes, counts) : await this.sumByExchanges(passes, counts);
    const numbers = own.map((one) => losses.get(one) ?? 0);
    const all = await gatherNumbers(group, numbers);
    const loss = this.inOrder(all, microBatches, 1).reduce((sum, [value]) => sum + (value as number), 0);
    return {
      microBatches,
      forwards: microBatches * shares,
      loss,
      tokens: known.reduce((total, { tokens }) => total + tokens, 0),
      samples: known.reduce((total, { samples }) => total + samples, 0),
      examples: async () => {
        const numbers = own.flatMap(({ batch }) => Array.from(batch?.exampleIndices ?? []));
        return (await gatherJson(group, numbers)).flat();
      },
    };
  }

  /** The optimizer step after it: as Program.apply, on all ranks to the same bits. */
  async apply(options: ApplyOptions): ReturnType<Program['apply']> {
    const sum = this.gradientSum;
    if (!sum?.isDivided) return await this.program.apply(options);
    const gathering = (this.group as Required<Group>).gatherValues(sum);
    return await this.beside(gathering, sum, () => this.program.apply({ ...options, sum }));
  }

  /** Before a checkpoint: rank 0 then has the moments of all ranks. */
  async gatherMoments(): Promise<void> {
    if (this.gradientSum?.isDivided) await this.group.gatherMoments?.(this.gradientSum);
  }

  /** @returns undefined where the signal stopped reading, of which the other ranks do not know. */
  private async readUnlessStopped(options: ShareStepOptions) {
    if (options.signal?.aborted) return undefined;
    try {
      return await this.read(options);
    } catch (error) {
      if (error instanceof FusedLoraError && error.code === 'ABORTED') return undefined;
      throw error;
    }
  }

  private async read({ batches, from, most }: ShareStepOptions): Promise<{ own: Own[]; microBatches: number }> {
    const { first, end } = this.own;
    if (!batches.shareAt) {
      throw new FusedLoraError(
        'UNSUPPORTED',
        'this source of batches has no shares (EpochBatches.shareAt), which a run on several ranks needs',
      );
    }
    const own: Own[] = [];
    let micro = 0;
    // One after the other: whether there is a next one may show with the one before.
    for (; micro < most && from + micro < batches.length; micro++) {
      for (let share = first; share < end; share++) {
        const batch = await batches.shareAt(from + micro, { index: share, count: this.shares });
        own.push({ micro, share, batch });
      }
      // A rank without shares, of a run that had fewer ranks, reads on with the others.
      if (first === end) await batches.shareAt(from + micro, { index: 0, count: this.shares });
    }
    return { own, microBatches: micro };
  }

  /** What the loss of each share counts, of all ranks; whether one of them was told to stop. */
  private async exchangeFacts(
    own: readonly Own[],
    microBatches: number,
    stop: boolean,
    signal: AbortSignal | undefined,
  ) {
    const facts = own.flatMap(({ batch }) =>
      batch ? [this.lossDenominator(batch), batch.sizes.T, batch.sizes.S] : [0, 0, 0],
    );
    const all = await gatherNumbers(this.group, [stop ? 1 : 0, ...facts]);
    const stopped = all.flatMap(([stop], rank) => (stop ? [rank] : []));
    if (stopped.length > 0) {
      const where = this.group.size > 1 ? ` on rank ${stopped.join(', ')}` : '';
      throw thrownByAll(
        this.group,
        new FusedLoraError('ABORTED', `stopped by the AbortSignal${where}`, { cause: signal?.reason }),
      );
    }
    return this.inOrder(
      all.map((numbers) => numbers.slice(1)),
      microBatches,
      FACTS,
    ).map(([denominator, tokens, samples], i) => ({
      share: i % this.shares,
      denominator: denominator as number,
      tokens: tokens as number,
      samples: samples as number,
    }));
  }

  /** Groups of numbers of all ranks, as one process would have them: by micro-batch, then share. */
  private inOrder(all: readonly (readonly number[])[], microBatches: number, width: number): (readonly number[])[] {
    return Array.from({ length: microBatches }, (_, micro) =>
      all.flatMap((numbers, rank) => {
        const { first, end } = sharesOfRank(rank, this.group.size, this.shares);
        const count = end - first;
        if (numbers.length !== microBatches * count * width) {
          throw new FusedLoraError(
            'INTERNAL',
            `rank ${rank} is at another batch than rank ${this.group.rank} (${numbers.length} numbers)`,
          );
        }
        return Array.from({ length: count }, (_, k) => {
          const at = (micro * count + k) * width;
          return numbers.slice(at, at + width);
        });
      }),
    ).flat();
  }

  /** Forward and backward passes of this rank's shares that have rows: of each, one or more. */
  private passes(
    own: readonly Own[],
    { forwardNumber, seed, signal }: ShareStepOptions,
    scaleOf: (denominator: number) => number,
  ): Pass[][] {
    const { first, end } = this.own;
    const shares = Array.from({ length: end - first }, (_, i) =>
      own.flatMap((one): Pass[] => {
        const { micro, share, batch } = one;
        if (share !== first + i || !batch) return [];
        const lossScale = scaleOf(this.lossDenominator(batch));
        const options = {
          seed: BigInt(seed),
          forwardNumber: forwardNumber + micro * this.shares + share,
          lossScale,
          // Ranks stop between steps, all at the same one.
          signal: this.group.size === 1 ? signal : undefined,
        };
        return [{ of: one, batch, options }];
      }),
    );
    return shares.filter((passes) => passes.length > 0);
  }

  /** @returns the loss of the pass, by its share of the step. */
  private async compute({ batch, options }: Pass, zeroGradients: boolean, sum?: NativeGradientSum): Promise<number> {
    await this.program.accumulate(batch, { ...options, zeroGradients, sum });
    return this.program.scalar('loss') * options.lossScale;
  }

  /** Gradients stay in the program, and leave while the last pass still computes others. */
  private async sumInPlace(shares: readonly Pass[][], counts: readonly number[]): Promise<Map<Own, number>> {
    const { group } = this;
    this.gradientSum ??= this.program.gradientSum();
    const sum = this.gradientSum;
    const summands = summandsOf(group.size, counts);
    const isFirst = summands.findIndex((count) => count > 0) === group.rank;
    const losses = new Map<Own, number>();
    for (const passes of shares) {
      for (const pass of passes) {
        const isLast = passes === shares.at(-1) && pass === passes.at(-1);
        const compute = () => this.compute(pass, pass === passes[0], isLast ? sum : undefined);
        const loss = isLast ? await this.beside(this.start(sum, summands, true), sum, compute) : await compute();
        losses.set(pass.of, loss);
      }
      if (passes !== shares.at(-1)) await sum.hold(isFirst);
    }
    if (shares.length === 0) await this.start(sum, summands, false);
    return losses;
  }

  private start(sum: NativeGradientSum, summands: readonly number[], isComputing: boolean): Promise<unknown> {
    return (this.group as Required<Group>).sum(sum, { summands, isComputing });
  }

  /** Work whose results travel meanwhile: whichever of the two fails ends the other. */
  private async beside<R>(travelling: Promise<unknown>, sum: NativeGradientSum, work: () => Promise<R>): Promise<R> {
    // It may fail before anybody waits for it.
    travelling.catch(() => {});
    let result: R;
    try {
      result = await work();
    } catch (error) {
      const { code, message } = error as Partial<FusedLoraError>;
      sum.cancel(code ?? 'INTERNAL', message ?? String(error));
      const said = await travelling.catch((other) => other);
      if (isTold(said)) toldByAnother(error as object);
      throw error;
    }
    await travelling;
    return result;
  }

  private async sumByExchanges(shares: readonly Pass[][], counts: readonly number[]): Promise<Map<Own, number>> {
    const { trained } = this.program.plan;
    const losses = new Map<Own, number>();
    const lengths = trained.map(({ count }) => count);
    const add = (own: readonly Gradients[]) => sumGradients(this.group, own, counts, lengths);
    let gradients: Gradients[] = [];
    for (const passes of shares) {
      for (const pass of passes) losses.set(pass.of, await this.compute(pass, pass === passes[0]));
      gradients.push(trained.map((parameter) => this.program.gradient(parameter) as Float32Array));
      // By itself a process needs no more than their sum so far.
      if (this.group.size === 1) gradients = [await add(gradients)];
    }
    const sum = await add(gradients);
    for (const [i, parameter] of trained.entries()) this.program.writeGradient(parameter, sum[i] as Float32Array);
    return losses;
  }
}
