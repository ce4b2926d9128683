/**
 * Cutting texts to a length as Python's tokenizers does it: `longest_first`, from either side.
 * Special tokens are counted and kept: special_template.ts puts them around what is left.
 */

/** Where a text that is too long loses tokens. */
export type TruncationSide = 'left' | 'right';

/**
 * Cuts one text, or a pair of which the longer text loses first.
 *
 * @param texts ids of each text.
 * @param room tokens that they may have together.
 */
export function truncated(texts: number[][], room: number, side: TruncationSide): number[][] {
  const [first, second] = texts as [number[], number[] | undefined];
  if (!second) return [kept(first, room, side)];
  if (first.length + second.length <= room) return texts;
  const swap = first.length > second.length;
  const shorter = Math.min(first.length, second.length);
  let [few, many] = [shorter, Math.max(shorter, room - shorter)];
  if (few + many > room) {
    few = Math.floor(room / 2);
    many = few + (room % 2);
  }
  return [kept(first, swap ? many : few, side), kept(second, swap ? few : many, side)];
}

function kept(ids: number[], most: number, side: TruncationSide): number[] {
  if (ids.length <= most) return ids;
  return side === 'right' ? ids.slice(0, most) : ids.slice(ids.length - most);
}
