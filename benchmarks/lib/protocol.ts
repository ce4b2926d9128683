/**
 * The calls that our worker and the peers answer: load, train, predict, and what they return.
 * They travel by child.ts. Our side: workers/fused_lora.ts; Python's: peers/torch_peer.py.
 */
import type { BaseWeights, EmbeddingWeights } from '../../src/graph/base_weights';
import type { Precision } from './precision';

export interface LoadArguments {
  /** Hugging Face model folder. */
  folder: string;
  /** PEFT folder, for lora. */
  adapter?: string;
  /** Peers: PEFT folders by name, for predictions with an adapter a sentence. */
  adapters?: Readonly<Record<string, string>>;
  method: 'lora' | 'head' | 'full' | 'predict';
  /** Default fp32. Peers: bf16 is autocast. */
  precision?: Precision;
  /** Ours: of the frozen weights of layers. Default fp32. */
  baseWeights?: BaseWeights;
  /** Ours: of the frozen word embeddings. Default fp32. */
  embeddingWeights?: EmbeddingWeights;
  /** Ours: one op for LoRA products and epilogues. Default true. */
  fused?: boolean;
  /** Peers: torch.compile. */
  compile?: boolean;
}

export interface LoadResult {
  parameters: number;
  learnable: number;
  seconds: number;
}

export interface TrainArguments {
  /** Numbers of the batches set before; one optimizer step each. */
  steps: number[];
  /** Whether dropout (0.1) is on; off, losses of all sides are comparable. */
  dropout: boolean;
  learningRate: number;
  /** Ours: measure how late the event loop is. */
  eventLoop?: boolean;
}

export interface TrainResult {
  seconds: number;
  losses: number[];
  /** ms beyond the timer's own interval. */
  eventLoopDelay?: { p50: number; p99: number; max: number };
}

/** What the plan says of a batch. */
export interface Costs {
  flops: { forward: number; backward: number };
  /** What the forward pass leaves for the backward pass. */
  savedBytes: number;
  arenaBytes: number;
  /** Gradients and moments. */
  optimizerBytes: number;
}

/** Ours: what one instruction of the plan took and does. */
export interface InstructionTime {
  op: string;
  /** Median over the steps. */
  seconds: number;
  flops: number;
  bytes: number;
}

export interface ProfileResult {
  instructions: InstructionTime[];
  optimizer: number;
  /** Of a whole step, median. */
  step: number;
}

/** Whole predictions of one batch: what each part of them took (lib/predict_profile.ts). */
export interface PredictionProfile {
  runs: { seconds: number; parts: Record<string, number> }[];
}

export interface PredictResult {
  seconds: number;
  /** [sentences × labels] of every batch. */
  logits: number[][];
}
