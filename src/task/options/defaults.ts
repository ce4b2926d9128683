/**
 * Every default of fine-tuning, once: option_table.ts tells them, resolve_fine_tune.ts fills them
 * in. Those of a LoraConfig by itself are PEFT's and stand in src/lora/config.ts.
 */
import type { LoraConfig } from '../../lora';

/**
 * What the trainer is told where an option is not given; its own defaults are in
 * src/train/options.ts.
 */
export const TRAINER_DEFAULTS = {
  epochs: 3,
  gradientAccumulation: 1,
  schedule: 'linear',
  warmupRatio: 0.06,
  weightDecay: 0.01,
  maxGradNorm: 1,
  evaluateEvery: 'epoch',
  checkpointEvery: 'epoch',
  checkpointLimit: 2,
  seed: 0,
} as const;

/** What a run is, where it is not said. */
export const RUN_DEFAULTS = {
  method: 'lora',
  device: 'auto',
  precision: 'auto',
  baseWeights: 'fp32',
  embeddingWeights: 'fp32',
} as const;

/** Sentences a batch, where no token budget is given either; sources of batches have the same. */
export const DEFAULT_BATCH_SIZE = 32;
/** Tokens of a piece of text in pretraining, where the model has positions for more. */
export const DEFAULT_MAX_LENGTH = 128;
/** Examples of a stream within which they are shuffled; streams have the same. */
export const DEFAULT_SHUFFLE_WINDOW = 16_384;
/** Of multi-label classification: the probability above which a label counts. */
export { DEFAULT_THRESHOLD } from '../../metrics/probabilities';

/** The adapter of the method lora, where no configuration is given. */
export const LORA_DEFAULTS = { r: 8, loraAlpha: 16, targetModules: 'all-linear' } as const satisfies LoraConfig;

/** Peak rates that suit each method; `trainable` takes that of `full`. */
export const LEARNING_RATES = { lora: 5e-4, head: 1e-3, full: 5e-5, subspace: 5e-4 } as const;
