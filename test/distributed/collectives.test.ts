import { agree, broadcast, fromFirst, gatherNumbers, gatherRows } from '../../src/distributed/collectives';
import { isConnected, launcherOf, mpiLibraries } from '../../src/distributed/find_mpi';
import { isTold, SOLO } from '../../src/distributed/group';
import { joinGroup } from '../../src/distributed/join';
import { shareOf, sharesOfRank, summandsOf } from '../../src/distributed/shares';
import { sumGradients } from '../../src/distributed/sum_gradients';
import { memoryGroups, onRanks } from './memory_group';

const tensor = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed * 1e3 + i) * 10 ** ((i % 7) - 3));

describe('shares', () => {
  it('divide every batch without loss or double, in fixed order', () => {
    for (const length of [1, 2, 5, 8, 9]) {
      for (const count of [1, 2, 3, 4, 12]) {
        const sequences = Int32Array.from({ length }, (_, i) => 10 * i);
        const parts = Array.from({ length: count }, (_, index) => [...shareOf(sequences, { index, count })]);
        expect(parts.flat().sort((a, b) => a - b)).toEqual([...sequences]);
        expect(Math.max(...parts.map((part) => part.length))).toBe(Math.ceil(length / count));
      }
    }
    expect([...shareOf(Int32Array.of(3, 1, 4, 1, 5), { index: 1, count: 2 })]).toEqual([1, 1]);
  });

  it('fall to ranks one after the other, each to one', () => {
    for (const size of [1, 2, 3, 5]) {
      for (const shares of [1, 2, 4, 7]) {
        const own = Array.from({ length: size }, (_, rank) => sharesOfRank(rank, size, shares));
        expect(own[0]!.first).toBe(0);
        expect(own.at(-1)!.end).toBe(shares);
        own.slice(1).forEach(({ first }, i) => {
          expect(first).toBe(own[i]!.end);
        });
      }
    }
  });
});

describe('summandsOf', () => {
  it('has one of each share with rows, but the first rank adds its own before', () => {
    expect(summandsOf(2, [1, 1])).toEqual([1, 1]);
    expect(summandsOf(2, [1, 1, 1, 1])).toEqual([1, 2]);
    expect(summandsOf(2, [0, 0, 1, 1])).toEqual([0, 1]);
    expect(summandsOf(3, [1, 1])).toEqual([0, 1, 1]);
    expect(summandsOf(1, [1, 0, 1])).toEqual([1]);
  });
});

describe('sumGradients', () => {
  const tensors = [5, 1, 17, 3];
  const gradients = (share: number) => tensors.map((length, i) => tensor(length, 10 * share + i));
  const inOrder = (counts: readonly number[]) =>
    tensors.map((length, i) => {
      let sum: Float32Array | undefined;
      for (const share of counts.keys()) {
        if (!counts[share]) continue;
        const values = gradients(share)[i]!;
        sum = sum ? sum.map((value, k) => value + values[k]!) : values;
      }
      return sum ?? new Float32Array(length);
    });

  it('gives every rank the sum in the order of shares, to the bit, with any number of ranks', async () => {
    for (const counts of [[1], [1, 1], [1, 0, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1]]) {
      const expected = inOrder(counts);
      for (const size of [1, 2, 3, 4]) {
        for (const bucket of [2, 7, 64]) {
          const { groups } = memoryGroups(size);
          const sums = await onRanks(groups, (group) => {
            const { first, end } = sharesOfRank(group.rank, size, counts.length);
            const own = [...counts.keys()].slice(first, end).filter((share) => counts[share]);
            return sumGradients(group, own.map(gradients), counts, tensors, bucket);
          });
          for (const sum of sums) expect(sum).toEqual(expected);
        }
      }
    }
  });

  it('sends no more bytes than a sum needs where each rank has one share', async () => {
    const values = tensors.reduce((a, b) => a + b);
    for (const size of [2, 4, 8]) {
      const { groups, sent } = memoryGroups(size);
      const counts = new Array<number>(size).fill(1);
      await onRanks(groups, (group) => sumGradients(group, [gradients(group.rank)], counts, tensors));
      const least = 2 * (size - 1) * values * 4;
      expect(sent.reduce((a, b) => a + b)).toBe(least);
    }
  });
});

describe('collectives', () => {
  it('bring numbers, JSON, tensors and rows to all ranks', async () => {
    const { groups } = memoryGroups(3);
    await onRanks(groups, async (group) => {
      expect(await gatherNumbers(group, new Array(group.rank).fill(group.rank / 3))).toEqual([
        [],
        [1 / 3],
        [2 / 3, 2 / 3],
      ]);
      expect(await fromFirst(group, group.rank === 0 ? { a: 'ä' } : undefined)).toEqual({ a: 'ä' });
      const array = group.rank === 0 ? Float32Array.of(1.5, -2) : new Float32Array(2);
      await broadcast(group, [array]);
      expect([...array]).toEqual([1.5, -2]);
      const rows: Float32Array[] = [];
      const own = [0, 1, 2, 3, 4].filter((row) => row % 3 === group.rank);
      for (const row of own) rows[row] = new Float32Array(row).fill(row);
      await gatherRows(group, rows, own);
      expect(rows.map((row) => [...row])).toEqual([[], [1], [2, 2], [3, 3, 3], [4, 4, 4, 4]]);
    });
    expect(await gatherNumbers(SOLO, [7])).toEqual([[7]]);
  });

  it('name what ranks do not have in common, and on which of them; one of them says it', async () => {
    const { groups } = memoryGroups(3);
    const records = [
      { seed: 1, data: 'x' },
      { seed: 1, data: 'x' },
      { seed: 2, data: 'x', more: 1 },
    ];
    const error = await onRanks(groups, (group) => agree(group, records[group.rank]!)).catch((e) => e);
    expect(error.code).toBe('STATE_MISMATCH');
    expect(error.message).toContain('seed is 2 on rank 2 and 1 on rank 0; more is 1 on rank 2 and not there on rank 0');
    expect(error.all.map(isTold)).toEqual([false, true, true]);
  });

  it('end for all with the message of a rank that fails', async () => {
    const { groups } = memoryGroups(3);
    const error = await onRanks(groups, async (group) => {
      if (group.rank === 1) throw new Error('no memory');
      await gatherNumbers(group, []);
    }).catch((e) => e);
    expect(error.all.map((one: Error) => one.message)).toEqual(['rank 1: no memory', 'no memory', 'rank 1: no memory']);
    expect(error.all.map(isTold)).toEqual([true, false, true]);
  });
});

describe('MPI', () => {
  it('is looked for by the make of the launcher', () => {
    expect(launcherOf({})).toBeUndefined();
    const openMpi = launcherOf({ OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '3', SLURM_STEP_NUM_TASKS: '1' });
    expect(openMpi).toEqual({ variable: 'OMPI_COMM_WORLD_SIZE', size: 4, rank: 3, make: 'Open MPI' });
    expect(launcherOf({ PMI_SIZE: '2', PMI_RANK: '1' })).toMatchObject({ size: 2, rank: 1, make: 'MPICH' });
    expect(launcherOf({ SLURM_STEP_NUM_TASKS: '8', SLURM_PROCID: '5' })).toMatchObject({ size: 8, rank: 5 });
    const env = { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_LOCAL_RANK: '1' };
    expect(launcherOf(env)).toMatchObject({ rank: 3, localRank: 1 });
    // A number that nobody has open; without one there is nothing to be cut off from.
    expect([isConnected({}), isConnected({ PMI_FD: '4711' })]).toEqual([true, false]);
    expect(mpiLibraries(openMpi, { PATH: '' })).toEqual(['libmpi.so.40']);
    expect(mpiLibraries(undefined, { PATH: '' })).toContain('libmpich.so.12');
    expect(mpiLibraries(openMpi, { FUSED_LORA_MPI: '/opt/libmpi.so' })).toEqual(['/opt/libmpi.so']);
  });

  it('where there is none says what to install', async () => {
    process.env['FUSED_LORA_MPI'] = '/nowhere/libmpi.so.40';
    const error = await joinGroup('mpi').catch((e) => e);
    expect(error).toMatchObject({ code: 'MPI_UNAVAILABLE' });
    expect(error.message).toMatch(/nowhere.*apt-get install openmpi-bin/);
    expect(await joinGroup('none')).toBe(SOLO);
    await expect(joinGroup('nccl' as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
