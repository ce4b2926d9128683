/**
 * The sum of the gradients of all shares, in the order of shares: each rank sums a slice of every
 * bucket and sends it to the others, so that all have the same bits, and no more bytes travel than
 * a sum of this kind needs. Which share is whose: shares.ts.
 */
import type { Group } from './group';
import { sharesOfRank } from './shares';

/** Values of a bucket: 8 MiB. A rank holds its own part of it, and a slice of each other one's. */
const BUCKET = 2 ** 21;

/** Gradients of one share: a list of tensors, the same on all ranks. */
export type Gradients = readonly Float32Array[];

/**
 * @param own the shares of this rank that have rows, in order.
 * @param counts of each share, whether it has rows: 1 or 0; one of them has.
 * @param tensors lengths of the tensors.
 * @returns the sum over all shares; it may be the arrays of the first share, which are changed.
 */
export async function sumGradients(
  group: Group,
  own: readonly Gradients[],
  counts: readonly number[],
  tensors: readonly number[],
  bucketValues = BUCKET,
): Promise<Gradients> {
  const { rank, size } = group;
  if (size === 1) return sumHere(own);
  // How many shares with rows come from each rank.
  const from = Array.from({ length: size }, (_, r) => {
    const { first, end } = sharesOfRank(r, size, counts.length);
    return counts.slice(first, end).reduce((sum, one) => sum + one, 0);
  });
  const sum = own[0] ?? tensors.map((length) => new Float32Array(length));
  for (const bucket of bucketsOf(tensors, bucketValues)) {
    const length = bucket.reduce((all, { count }) => all + count, 0);
    const flat = own.map((share) => flattened(share, bucket, length));
    const slice = (r: number) => [Math.floor((r * length) / size), Math.floor(((r + 1) * length) / size)] as const;
    const [begin, end] = slice(rank);
    const parts = Array.from({ length: size }, (_, r) => joined(flat.map((values) => values.subarray(...slice(r)))));
    const lengths = from.map((shares) => 4 * shares * (end - begin));
    const received = await exchangeWithOthers(group, parts, lengths);
    const mine = orderedSum(received.map(floatsOf), end - begin);
    const all = await exchangeWithOthers(
      group,
      new Array<Uint8Array>(size).fill(bytesOf(mine)),
      Array.from({ length: size }, (_, r) => 4 * (slice(r)[1] - slice(r)[0])),
    );
    scatter(all.map(floatsOf), bucket, sum);
  }
  return sum;
}

const NOTHING = new Uint8Array(0);

/** As Group.exchange; a rank's own part stays where it is: of a whole model that is a copy less. */
async function exchangeWithOthers(
  group: Group,
  parts: readonly Uint8Array[],
  lengths: readonly number[],
): Promise<Uint8Array[]> {
  const received = await group.exchange(
    parts.map((part, r) => (r === group.rank ? NOTHING : part)),
    lengths.map((length, r) => (r === group.rank ? 0 : length)),
  );
  return received.map((part, r) => (r === group.rank ? (parts[r] as Uint8Array) : part));
}

/** Part of a tensor. */
interface Piece {
  tensor: number;
  at: number;
  count: number;
}

/** The last tensor first: its gradient is the first that a backward pass finishes. */
function* bucketsOf(tensors: readonly number[], most: number): Generator<Piece[]> {
  let bucket: Piece[] = [];
  let room = most;
  for (let tensor = tensors.length - 1; tensor >= 0; tensor--) {
    const length = tensors[tensor] as number;
    for (let at = 0; at < length; ) {
      const count = Math.min(room, length - at);
      bucket.push({ tensor, at, count });
      at += count;
      room -= count;
      if (room > 0) continue;
      yield bucket;
      [bucket, room] = [[], most];
    }
  }
  if (bucket.length > 0) yield bucket;
}

/** Of one process: ((g0 + g1) + g2) + ..., as between ranks. */
function sumHere([first, ...others]: readonly Gradients[]): Gradients {
  for (const share of others) for (const [i, values] of share.entries()) add(first![i] as Float32Array, values);
  return first as Gradients;
}

/** Sums of two floats are exact in double, so that storing them rounds once. */
function add(to: Float32Array, values: Float32Array): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] as number) + (values[i] as number);
}

/** @param parts of each rank, its shares one after the other. */
function orderedSum(parts: readonly Float32Array[], length: number): Float32Array {
  let sum: Float32Array | undefined;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += length) {
      const values = part.subarray(at, at + length);
      if (sum) add(sum, values);
      else sum = values.slice();
    }
  }
  return sum ?? new Float32Array(0);
}

function flattened(share: Gradients, bucket: readonly Piece[], length: number): Float32Array {
  const [{ tensor, at, count }] = bucket as [Piece];
  if (count === length) return (share[tensor] as Float32Array).subarray(at, at + count);
  const flat = new Float32Array(length);
  let place = 0;
  for (const { tensor, at, count } of bucket) {
    flat.set((share[tensor] as Float32Array).subarray(at, at + count), place);
    place += count;
  }
  return flat;
}

/** @param slices of the sum, one of each rank. */
function scatter(slices: readonly Float32Array[], bucket: readonly Piece[], to: Gradients): void {
  let [slice, used] = [0, 0];
  for (const { tensor, at, count } of bucket) {
    for (let done = 0; done < count; ) {
      const values = slices[slice] as Float32Array;
      const take = Math.min(count - done, values.length - used);
      (to[tensor] as Float32Array).set(values.subarray(used, used + take), at + done);
      done += take;
      used += take;
      if (used === values.length) [slice, used] = [slice + 1, 0];
    }
  }
}

function joined(parts: readonly Float32Array[]): Uint8Array {
  if (parts.length === 1) return bytesOf(parts[0] as Float32Array);
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return bytesOf(all);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

function floatsOf(bytes: Uint8Array): Float32Array {
  // Floats lie at multiples of 4 bytes alone.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}
