/**
 * The functions that modules build their graph with: each adds a node and gives its result.
 * The ops behind them, gradients included, are listed by name in registry.ts.
 */
export { type ActivationKind, activation } from './activation';
export { type AttentionOptions, attention } from './attention';
export { add, dropout, scale } from './elementwise';
export { type EmbeddingTerm, embeddingSum } from './embedding';
export { type FastfoodOptions, fastfood } from './fastfood';
export { gatherRows } from './gather_rows';
export { layerNorm } from './layer_norm';
export { linear } from './linear';
export { type LoraLinearOptions, loraLinear } from './lora_linear';
export { bceWithLogits, type CrossEntropyOptions, crossEntropy, mse } from './loss';
export {
  type AdapterSlots,
  type SegmentedLoraLinearOptions,
  segmentedLoraLinear,
} from './segmented_lora_linear';
