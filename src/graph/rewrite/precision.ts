/** Sets the precision of products, before the graph is differentiated: gradients take over that of their product. */
import type { Precision } from '../precision';
import type { RewritePass } from './edit';

const PRODUCTS: ReadonlySet<string> = new Set(['linear', 'loraLinear']);

/** One rule for all products, heads included. fp32 is the default of the ops and leaves the graph as it is. */
export function withPrecision(precision: Precision): RewritePass {
  return (graph) => {
    if (precision === 'fp32') return;
    for (const node of graph.nodes) {
      if (PRODUCTS.has(node.op)) node.attributes = { ...node.attributes, precision };
    }
  };
}
