/**
 * Marks products with fp32 or bf16, before differentiation, so that gradients take theirs over.
 * What the precisions mean, and what `auto` chooses: src/graph/precision.ts.
 */
import type { Precision } from '../precision';
import type { RewritePass } from './edit';

const PRODUCTS: ReadonlySet<string> = new Set(['linear', 'loraLinear', 'segmentedLoraLinear']);

/**
 * One rule for all products, heads included. fp32 is the
 * default of the ops and leaves the graph as it is.
 */
export function withPrecision(precision: Precision): RewritePass {
  return (graph) => {
    if (precision === 'fp32') return;
    for (const node of graph.nodes) {
      if (PRODUCTS.has(node.op)) node.attributes = { ...node.attributes, precision };
    }
  };
}
