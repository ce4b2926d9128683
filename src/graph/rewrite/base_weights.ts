/**
 * Marks the products whose frozen weight is held in another form, before differentiation, so that
 * the ops of their dx take it over; and the sum whose first table, of words, is.
 * What the forms are: src/graph/base_weights.ts; the precision of a product: precision.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { BaseWeights, EmbeddingWeights } from '../base_weights';
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

/** Of words, as all families' checkpoints name them; the other tables are small. */
const OF_WORDS = /(^|\.)word_embeddings\.(modules_to_save\.\w+\.)?weight$/;

/** @throws FusedLoraError INVALID_ARGUMENT where the table is trained. */
export function withEmbeddingWeights(embeddingWeights: EmbeddingWeights, train: boolean): RewritePass {
  return (graph) => {
    if (embeddingWeights === 'fp32') return;
    for (const node of graph.nodes) {
      const table = node.op === 'embeddingSum' ? node.inputs[1]?.parameter : undefined;
      if (!table || !OF_WORDS.test(table.name)) continue;
      if (train && table.requiresGrad) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `embeddingWeights is ${embeddingWeights} (--embedding-weights), and ${table.name} is trained; take the method lora or head without it in modulesToSave, or leave embeddingWeights out`,
        );
      }
      if (!OF_AN_ADAPTER.test(table.name)) node.attributes = { ...node.attributes, baseWeights: embeddingWeights };
    }
  };
}
