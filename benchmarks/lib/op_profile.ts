/**
 * Where the time of a step goes, op by op, and how near each is to the roofline: what its
 * arithmetic or its bytes need at the machine's measured peaks, whichever is more.
 * The peaks are measured by peak.ts.
 */
import type { Precision } from './precision';
import type { InstructionTime } from './protocol';

export interface Roofline {
  /** FLOP/s of fp32 multiply-adds. */
  fp32: number;
  /** FLOP/s of bf16 products; those of a bf16 step are held against it. */
  bf16?: number | undefined;
  /** bytes/s */
  bandwidth: number;
}

export interface OpTime {
  op: string;
  /** Instructions of that op in a step. */
  count: number;
  /** Of all of them together. */
  seconds: number;
  flops: number;
  bytes: number;
  /** 1 at the roofline; more where bytes come from a cache. */
  roofline: number;
}

const isProduct = (op: string) => /linear/i.test(op);

/** @returns one row an op, the most expensive first. */
export function profileByOp(
  instructions: readonly InstructionTime[],
  precision: Precision,
  { fp32, bf16, bandwidth }: Roofline,
): OpTime[] {
  const rows = new Map<string, OpTime & { floor: number }>();
  for (const { op, seconds, flops, bytes } of instructions) {
    const row = rows.get(op) ?? { op, count: 0, seconds: 0, flops: 0, bytes: 0, roofline: 0, floor: 0 };
    rows.set(op, row);
    const rate = precision === 'bf16' && isProduct(op) ? (bf16 ?? fp32) : fp32;
    row.count++;
    row.seconds += seconds;
    row.flops += flops;
    row.bytes += bytes;
    row.floor += Math.max(flops / rate, bytes / bandwidth);
  }
  return [...rows.values()]
    .map(({ floor, ...row }) => ({ ...row, roofline: floor / row.seconds }))
    .sort((a, b) => b.seconds - a.seconds);
}
