/**
 * What is asked of a group again and again, each made of one exchange: numbers, JSON and bytes from
 * all or from rank 0. The exchange itself: group.ts.
 */
import { FusedLoraError } from '../base/errors';
import { type Group, thrownByAll } from './group';

const NOTHING = new Uint8Array(0);

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);

/** The same bytes to all ranks; what each of them gave. */
function gather(group: Group, bytes: Uint8Array, lengths?: readonly number[]): Promise<Uint8Array[]> {
  return group.exchange(new Array<Uint8Array>(group.size).fill(bytes), lengths);
}

/** Numbers of each rank, of any count. */
export async function gatherNumbers(group: Group, numbers: readonly number[]): Promise<number[][]> {
  const all = await gather(group, bytesOf(Float64Array.from(numbers)));
  // A copy: what came may lie at an odd place.
  return all.map((bytes) => [...new Float64Array(bytes.slice().buffer)]);
}

/** A value of each rank, as JSON has it. */
export async function gatherJson<T>(group: Group, value: T): Promise<T[]> {
  const all = await gather(group, Buffer.from(JSON.stringify(value)));
  return all.map((bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as T);
}

/** Typed arrays of rank 0 on all ranks, in place. All have the same lengths everywhere. */
export async function broadcast(group: Group, arrays: readonly Float32Array[]): Promise<void> {
  for (const array of arrays) {
    const bytes = bytesOf(array);
    const parts = new Array<Uint8Array>(group.size).fill(group.rank === 0 ? bytes : NOTHING);
    const lengths = Array.from({ length: group.size }, (_, from) => (from === 0 ? bytes.byteLength : 0));
    const [first] = await group.exchange(parts, lengths);
    if (group.rank !== 0) bytes.set(first as Uint8Array);
  }
}

/**
 * Completes a list of which each rank has some places: floats of any length.
 *
 * @param own the places that this rank has filled.
 */
export async function gatherRows(group: Group, rows: Float32Array[], own: readonly number[]): Promise<void> {
  const heads = Int32Array.from(own.flatMap((place) => [place, rows[place]!.length]));
  const values = new Float32Array(own.reduce((sum, place) => sum + rows[place]!.length, 0));
  let at = 0;
  for (const place of own) {
    values.set(rows[place] as Float32Array, at);
    at += rows[place]!.length;
  }
  const [allHeads, allValues] = [await gather(group, bytesOf(heads)), await gather(group, bytesOf(values))];
  for (let rank = 0; rank < group.size; rank++) {
    if (rank === group.rank) continue;
    const [its, floats] = [
      new Int32Array(allHeads[rank]!.slice().buffer),
      new Float32Array(allValues[rank]!.slice().buffer),
    ];
    for (let i = 0, from = 0; i < its.length; i += 2) {
      const end = from + (its[i + 1] as number);
      rows[its[i] as number] = floats.slice(from, end);
      from = end;
    }
  }
}

/** A value of rank 0 on all ranks. */
export async function fromFirst<T>(group: Group, value: T): Promise<T> {
  if (group.size === 1) return value;
  const [first] = await gatherJson(group, group.rank === 0 ? { value } : {});
  return (first as { value: T }).value;
}

/** Waits for all ranks. */
export async function barrier(group: Group): Promise<void> {
  await gather(group, NOTHING, new Array<number>(group.size).fill(0));
}

/**
 * Sees that all ranks have the same record: data, settings, versions.
 *
 * @throws FusedLoraError STATE_MISMATCH on all of them, with what differs and on which rank.
 */
export async function agree(group: Group, record: Readonly<Record<string, string | number>>): Promise<void> {
  if (group.size === 1) return;
  const [first, ...others] = await gatherJson(group, record);
  const differences = others.flatMap((other, i) =>
    Object.keys({ ...first, ...other })
      .filter((key) => first?.[key] !== other[key])
      .map(
        (key) => `${key} is ${other[key] ?? 'not there'} on rank ${i + 1} and ${first?.[key] ?? 'not there'} on rank 0`,
      ),
  );
  if (differences.length === 0) return;
  const more = differences.length > 4 ? `; and ${differences.length - 4} more` : '';
  throw thrownByAll(
    group,
    new FusedLoraError(
      'STATE_MISMATCH',
      `the ranks of this run are not alike: ${differences.slice(0, 4).join('; ')}${more}. Give all of them the same version, options, model and data`,
    ),
  );
}
