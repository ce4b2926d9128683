/**
 * The lists of passes that a forward graph goes through before it is differentiated: fused or
 * separate.
 * Each pass has its file in src/graph/rewrite; plan.ts calls them. The backward pass comes out
 * fused
 * too, since each fused op has its own gradient rule.
 */
import { eliminateDeadTokens } from './rewrite/dead_tokens';
import { copyGraph, type RewritePass } from './rewrite/edit';
import { fuseActivation, fuseAddLayerNorm, fuseResidual } from './rewrite/fuse';
import { separateLora } from './rewrite/separate';
import { shareNodes } from './rewrite/share';
import type { Graph } from './value';

/** Leaves out what is done twice or what no result needs, in fused and separate plans alike. */
export const DEAD_TOKEN_PASSES: readonly RewritePass[] = [shareNodes, eliminateDeadTokens];
/** In this order: what an activation or LayerNorm takes is no longer there for a plain residual. */
export const FUSED_PASSES: readonly RewritePass[] = [fuseActivation, fuseAddLayerNorm, fuseResidual];
export const SEPARATE_PASSES: readonly RewritePass[] = [separateLora];

/** A rewritten copy; the traced graph stays as it is. */
export function rewrite(graph: Graph, passes: readonly RewritePass[]): Graph {
  const copy = copyGraph(graph);
  for (const pass of passes) pass(copy);
  return copy;
}
