/**
 * The attributes `dropout` and `site` that every op with a mask carries, and the check of both.
 * The mask itself is Philox (src/base/philox.ts); dropout as an op of its own: elementwise.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Attributes, Graph } from '../value';

/**
 * The attributes of an op with dropout: none when it is
 * inactive, so that no mask number is spent on it.
 */
export function dropoutAttributes(graph: Graph, p: number): Attributes {
  if (!(p >= 0 && p < 1)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${graph.path ? `${graph.path}: ` : ''}dropout ${p} is not a probability in [0, 1)`,
    );
  }
  return graph.training && p > 0 ? { dropout: p, site: graph.nextSite() } : {};
}
