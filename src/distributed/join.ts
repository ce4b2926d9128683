/**
 * How a run is distributed, as an option says it: to the group of its ranks. The one transport
 * there is: mpi_group.ts; where NCCL would be another, it is chosen here.
 */
import { FusedLoraError } from '../base/errors';
import { launcherOf } from './find_mpi';
import { type Group, SOLO } from './group';
import { joinMpi, type MpiGroup } from './mpi_group';

export const DISTRIBUTED = ['mpi', 'none'] as const;
export type Distributed = (typeof DISTRIBUTED)[number];

/**
 * The ranks of this run. It comes before anything else: threads and GPU of a rank depend on it.
 *
 * @throws FusedLoraError INVALID_ARGUMENT, MPI_UNAVAILABLE, RANK_FAILED.
 */
export async function joinGroup(distributed: Distributed | undefined): Promise<Group & Partial<MpiGroup>> {
  if (distributed === undefined || distributed === 'none') return SOLO;
  if (distributed === 'mpi') return await joinMpi();
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `distributed is '${String(distributed)}'; it must be ${DISTRIBUTED.join(' or ')}`,
  );
}

/** What a command does that was not told: a launcher that started several wants them to be one. */
export const distributedByLauncher = (): Distributed => ((launcherOf()?.size ?? 1) > 1 ? 'mpi' : 'none');
