/**
 * All ops by name: those of native/ops/ops.def, through rules.ts and signatures.ts, both generated.
 * An op without rules is a type error here that names it. What an op consists of: op.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { OpDefinition } from './op';
import * as rules from './rules';
import type { OpName } from './signatures';

const byRule: Readonly<Record<`${OpName}Op`, OpDefinition>> = rules;

export const ops: ReadonlyMap<string, OpDefinition> = new Map(Object.values(byRule).map((op) => [op.name, op]));

/** The op of this name; INTERNAL when there is none. */
export function opByName(name: string): OpDefinition {
  const op = ops.get(name);
  if (!op) throw new FusedLoraError('INTERNAL', `there is no op named '${name}'`);
  return op;
}
