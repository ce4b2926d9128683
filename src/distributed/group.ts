/**
 * The ranks of one run, as trainer and evaluator see them: bytes exchanged in step, and failures
 * told. One process is a group of itself. What is built on an exchange: collectives.ts; ranks on
 * MPI: mpi_group.ts. Another transport (NCCL between GPUs, say) is another class with this
 * interface.
 */
import type { NativeGradientSum, NativeSumReport } from '../native';

/** Of {@link Group.sum}. */
export interface SumOptions {
  /**
   * Of each rank, how many gradients it gives: those that are held, and the program's own. The
   * first rank that has any gives one, their sum.
   */
  summands: readonly number[];
  /** Whether a run of the program, which was given the sum, still has to say what is finished. */
  isComputing: boolean;
}

export interface Group {
  /** From 0; rank 0 writes files and talks to people. */
  readonly rank: number;
  readonly size: number;
  /** Place among the ranks of this machine, from 0: which GPU is its own. */
  readonly localRank: number;
  /**
   * Sends parts[r] to rank r and gives what each rank sent here, its own part among them. All ranks
   * call it in the same order.
   *
   * @param lengths bytes that come from each rank, where they are known: spares asking for them.
   * @throws FusedLoraError RANK_FAILED when another rank failed, or does not answer.
   */
  exchange(parts: readonly Uint8Array[], lengths?: readonly number[]): Promise<Uint8Array[]>;
  /**
   * Sums the gradients of a program over all ranks, in place, in the order of ranks. Absent where
   * the transport has no way of its own: sum_gradients.ts does it by exchanges.
   *
   * @throws FusedLoraError as `exchange`, and what the sum was cancelled with.
   * @internal
   */
  sum?(gradients: NativeGradientSum, options: SumOptions): Promise<NativeSumReport>;
  /**
   * Of a sum that is divided (NativeGradientSum.isDivided): gives all ranks the values that each
   * steps, while a call of the program's `apply` steps them. Present with `sum`.
   *
   * @throws FusedLoraError as `sum`.
   * @internal
   */
  gatherValues?(gradients: NativeGradientSum): Promise<NativeSumReport>;
  /**
   * Gives rank 0 the moments of what each rank steps. Present with `sum`.
   *
   * @throws FusedLoraError as `exchange`.
   * @internal
   */
  gatherMoments?(gradients: NativeGradientSum): Promise<void>;
  /** Tells the others that this rank failed: whatever they wait for ends with its message. */
  fail(error: unknown): Promise<void>;
}

/** A run of one process. */
export const SOLO: Group = {
  rank: 0,
  size: 1,
  localRank: 0,
  exchange: async (parts) => [...parts],
  fail: async () => {},
};

/** Errors that need no word from this rank. */
const told = new WeakSet<object>();
/** Errors that nobody has to be told of. */
const common = new WeakSet<object>();

/**
 * Marks an error that another rank says.
 *
 * @returns the error.
 */
export function toldByAnother<E extends object>(error: E): E {
  told.add(error);
  return error;
}

/**
 * Marks an error that all ranks throw at the same point: rank 0 says it, and all end together.
 *
 * @returns the error.
 */
export function thrownByAll<E extends object>({ rank }: Pick<Group, 'rank'>, error: E): E {
  common.add(error);
  return rank === 0 ? error : toldByAnother(error);
}

const isObject = (error: unknown): error is object => typeof error === 'object' && error !== null;

/** Whether another rank says the error to people. */
export const isTold = (error: unknown): boolean => isObject(error) && told.has(error);

/** Whether all ranks threw it. */
export const isCommon = (error: unknown): boolean => isObject(error) && common.has(error);
