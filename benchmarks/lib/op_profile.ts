/**
 * Where the time of a plan goes: every different instruction alone, on random values of its shapes, times how often it occurs. The
 * floor of an op is what its arithmetic or its bytes need at the machine's measured peaks, whichever is more.
 */
import type { Plan, Sizes, Value } from '../../src';
import { opByName } from '../../src/graph/ops/registry';
import type { Node } from '../../src/graph/value';
import { type NativeParameter, type NativeTensor, native } from '../../src/native';
import { generator } from './batches';
import { summarize, type Timing } from './measure';

export interface Roofline {
  /** FLOP/s */
  flops: number;
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
  /** Of the machine's peak rate, 1 at the roofline. */
  roofline: number;
}

interface Case {
  node: Node;
  count: number;
  samples: number[];
  inputs: (NativeParameter | NativeTensor | undefined)[];
  outputs: (NativeParameter | undefined)[];
}

const BACKEND = 'cpu';

const signature = ({ op, inputs, outputs, attributes }: Node) => {
  const { site, ...rest } = attributes;
  const shapes = [...inputs, ...outputs].map((value) => value?.shape.join('x') ?? '-');
  return JSON.stringify([op, shapes, rest]);
};

/** Dimensions of a value for these sizes: numbers, T, S, S+1 or M. */
const dimsOf = (value: Value, { T, S, M }: Sizes) =>
  value.shape.map((dim) => (typeof dim === 'number' ? dim : { T, S, M, 'S+1': S + 1 }[dim]));

/** A batch's indices as far as the ops read them: equally long sentences, first tokens, row 0 of every table. */
function indices(value: Value, sizes: Sizes): NativeTensor {
  const shape = dimsOf(value, sizes);
  const data = new Int32Array(shape.reduce((product, dim) => product * dim, 1));
  const length = sizes.T / sizes.S;
  if (value.name.endsWith('cuSeqlens') || value.name.endsWith('firstToken')) {
    data.forEach((_, i) => {
      data[i] = i * length;
    });
  }
  return { data, shape };
}

/**
 * @param sizes T must be a multiple of S.
 * @returns one row an op, the most expensive first.
 */
export async function profileOps(plan: Plan, sizes: Sizes, rounds: number, peak: Roofline): Promise<OpTime[]> {
  const random = generator(7);
  const made: NativeParameter[] = [];
  const tensors = new Map<string, NativeParameter>();
  /** One tensor for each shape and role: an op's operands must differ from each other. */
  const tensor = (value: Value, role: string) => {
    const shape = dimsOf(value, sizes);
    const key = `${shape.join('x')} ${role}`;
    let found = tensors.get(key);
    if (!found) {
      found = new (native().Parameter)(BACKEND, 'tensor', shape, 'f32');
      const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
      for (let i = 0; i < values.length; i++) values[i] = random() - 0.5;
      found.write('value', values);
      tensors.set(key, found);
      made.push(found);
    }
    return found;
  };
  const cases = new Map<string, Case>();
  for (const node of plan.instructions) {
    const key = signature(node);
    const known = cases.get(key);
    if (known) {
      known.count++;
      continue;
    }
    const inputs = node.inputs.map(
      (value, i) => value && (value.dtype === 'i32' ? indices(value, sizes) : tensor(value, `in ${i}`)),
    );
    const outputs = node.outputs.map((value, i) => value && tensor(value, `out ${i}`));
    cases.set(key, { node, count: 1, samples: [], inputs, outputs });
  }
  const step = { seed: 0n, forwardNumber: 0, lossScale: 1 };
  for (let round = -1; round < rounds; round++) {
    for (const { node, samples, inputs, outputs } of cases.values()) {
      const seconds = await native().runOp(BACKEND, node.op, inputs, outputs, { ...node.attributes }, step);
      if (round >= 0) samples.push(seconds);
    }
  }
  for (const parameter of made) parameter.dispose();
  return byOp([...cases.values()], sizes, peak);
}

function byOp(cases: readonly Case[], sizes: Sizes, peak: Roofline): OpTime[] {
  const rows = new Map<string, OpTime & { floor: number }>();
  for (const { node, count, samples } of cases) {
    const timing: Timing = summarize(samples);
    const spec = opByName(node.op);
    const [flops, bytes] = [spec.flops(node, sizes), spec.bytes(node, sizes)];
    const row = rows.get(node.op) ?? { op: node.op, count: 0, seconds: 0, flops: 0, bytes: 0, roofline: 0, floor: 0 };
    rows.set(node.op, row);
    row.count += count;
    row.seconds += count * timing.median;
    row.flops += count * flops;
    row.bytes += count * bytes;
    row.floor += count * Math.max(flops / peak.flops, bytes / peak.bandwidth);
  }
  return [...rows.values()]
    .map(({ floor, ...row }) => ({ ...row, roofline: floor / row.seconds }))
    .sort((a, b) => b.seconds - a.seconds);
}
