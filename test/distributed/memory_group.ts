/**
 * Ranks in one process, for tests: what an exchange is, without MPI. The interface and its other
 * implementations are in src/distributed.
 */
import { FusedLoraError } from '../../src/base/errors';
import { type Group, isCommon, toldByAnother } from '../../src/distributed/group';

interface Round {
  parts: (readonly Uint8Array[] | undefined)[];
  settle: { resolve: (parts: Uint8Array[]) => void; reject: (error: unknown) => void }[];
}

/** Groups of ranks 0 to size − 1, and the bytes that each of them sent. */
export function memoryGroups(size: number): { groups: Group[]; sent: number[] } {
  const rounds: Round[] = [];
  const sent = new Array<number>(size).fill(0);
  let failure: FusedLoraError | undefined;
  const groups = Array.from({ length: size }, (_, rank): Group => {
    let next = 0;
    return {
      rank,
      size,
      localRank: rank,
      exchange: (parts, lengths) => {
        if (failure) return Promise.reject(failure);
        rounds[next] ??= { parts: new Array(size).fill(undefined), settle: [] };
        const round = rounds[next++] as Round;
        // What is sent may change as soon as the call returns.
        round.parts[rank] = parts.map((part) => part.slice());
        parts.forEach((part, to) => {
          if (to !== rank) sent[rank]! += part.byteLength;
        });
        return new Promise<Uint8Array[]>((resolve, reject) => {
          round.settle[rank] = { resolve, reject };
          if (round.parts.some((one) => one === undefined)) return;
          for (let to = 0; to < size; to++) round.settle[to]!.resolve(round.parts.map((one) => one![to] as Uint8Array));
        }).then((received) => {
          if (lengths) expect(received.map(({ byteLength }) => byteLength)).toEqual(lengths);
          return received;
        });
      },
      fail: async (error) => {
        if (isCommon(error) || failure) return;
        failure = toldByAnother(new FusedLoraError('RANK_FAILED', `rank ${rank}: ${(error as Error).message}`));
        for (const { settle } of rounds) for (const one of settle) one?.reject(failure);
      },
    };
  });
  return { groups, sent };
}

/** What each rank gives; where one throws the others hear of it, as in a run. */
export async function onRanks<T>(groups: readonly Group[], work: (group: Group) => Promise<T>): Promise<T[]> {
  const settled = await Promise.allSettled(
    groups.map(async (group) => {
      try {
        return await work(group);
      } catch (error) {
        await group.fail(error);
        throw error;
      }
    }),
  );
  const failed = settled.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  if (failed.length > 0) throw Object.assign(failed[0]!.reason as Error, { all: failed.map(({ reason }) => reason) });
  return settled.map((one) => (one as PromiseFulfilledResult<T>).value);
}
