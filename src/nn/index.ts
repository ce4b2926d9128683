/**
 * What `fused-lora` exports for people who build models of their own.
 * Ops to use in `forward`: src/graph/ops/index.ts. Ready-made models: src/models.
 */
export { Activation } from './activation';
export { ModuleDict, ModuleList } from './containers';
export { Dropout } from './dropout';
export { Embedding, type EmbeddingOptions } from './embedding';
export { Attention, EncoderLayer, type EncoderLayerOptions, Intermediate, ResidualOutput } from './encoder_layer';
export { type Initializer, initializedParameter } from './init';
export { type InspectedValue, inspect } from './inspect';
export { LayerNorm } from './layer_norm';
export { Linear, type LinearOptions } from './linear';
export { binaryLoss, type LossOptions, Model, squaredLoss, type TraceOptions, trace } from './model';
export { Module } from './module';
export { SelfAttention, type SelfAttentionOptions } from './self_attention';
export type { StateDict, StateEntries, StateTensor } from './state';
