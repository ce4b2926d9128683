/**
 * Marks the products whose frozen weight is held in another form, before differentiation, so that
 * the ops of their dx take it over.
 * What the forms are: src/graph/base_weights.ts; the precision of a product: precision.ts.
 */
import type { BaseWeights } from '../base_weights';
import type { RewritePass } from './edit';

const PRODUCTS: ReadonlySet<string> = new Set(['linear', 'loraLinear', 'segmentedLoraLinear']);

/** Weights of layers, as the families' checkpoints name them: no head, pooler or embedding. */
const OF_A_LAYER = /\.layer\.\d+\./;
/** What an adapter has there of its own: PEFT's names. */
const OF_AN_ADAPTER = /\.(lora_\w+|modules_to_save)\./;

/**
 * @param train whether parameters that require a gradient are trained; else every weight is frozen.
 */
export function withBaseWeights(baseWeights: BaseWeights, train: boolean): RewritePass {
  return (graph) => {
    if (baseWeights === 'fp32') return;
    for (const node of graph.nodes) {
      const weight = PRODUCTS.has(node.op) ? node.inputs[1]?.parameter : undefined;
      if (!weight || !OF_A_LAYER.test(weight.name) || OF_AN_ADAPTER.test(weight.name)) continue;
      if (!(train && weight.requiresGrad)) node.attributes = { ...node.attributes, baseWeights };
    }
  };
}
