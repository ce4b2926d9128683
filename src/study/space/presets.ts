/**
 * Spaces by name: that of the article "A Winding Road to Parameter Efficiency", and one for a few
 * hundred examples of one's own. The form of a space is in space.ts; the names of target patterns
 * in src/lora/presets.ts.
 */
import type { Space } from './space';

/**
 * Rates of the repository marianokamp/peft_lora (2a_lora_tuning_baselines.ipynb, parameters.toml),
 * and its components and ranks. Of dropout and decay it has one value each.
 */
const ARTICLE: Space = {
  method: ['lora', 'full', 'head'],
  learningRate: [
    { loguniform: [5e-5, 3e-3], when: { method: 'lora' } },
    { loguniform: [1e-5, 6e-5], when: { method: 'full' } },
    { loguniform: [3e-5, 2e-3], when: { method: 'head' } },
  ],
  'lora.pattern': {
    choice: ['all', 'att_q', 'att_k', 'att_v', 'att_o', 'ff_u', 'ff_d', 'att_qv+ff_u', 'att_v+ff_u', 'ff_d+ff_u'],
    when: { method: 'lora' },
  },
  'lora.r': { choice: [1, 2, 4, 8, 16], when: { method: 'lora' } },
  'lora.loraDropout': { choice: [0.05], when: { method: 'lora' } },
  weightDecay: 0.01,
  warmupRatio: 0.06,
};

/** More passes, smaller batches, and the ways to train less than everything. */
const SMALL_DATA: Space = {
  method: ['lora', 'full', 'head', 'upper', 'bias'],
  learningRate: [
    { loguniform: [1e-4, 3e-3], when: { method: 'lora' } },
    { loguniform: [1e-5, 1e-4], when: { method: ['full', 'upper'] } },
    { loguniform: [1e-4, 5e-3], when: { method: ['head', 'bias'] } },
  ],
  'lora.targetModules': {
    choice: ['all-linear', ['query', 'value'], ['intermediate.dense', 'output.dense']],
    when: { method: 'lora' },
  },
  'lora.r': { choice: [2, 4, 8, 16], when: { method: 'lora' } },
  'lora.loraAlpha': { choice: [8, 16, 32], when: { method: 'lora' } },
  'lora.loraDropout': { choice: [0, 0.1], when: { method: 'lora' } },
  frozenLayers: { int: [1, 5], when: { method: 'upper' } },
  batchSize: [8, 16, 32],
  epochs: { int: [4, 12] },
  warmupRatio: { uniform: [0, 0.2] },
  weightDecay: [0, 0.01, 0.1],
};

/** By the name that `space` and `--space` take. */
export const SPACE_PRESETS: Readonly<Record<string, Space>> = { article: ARTICLE, 'small-data': SMALL_DATA };

/**
 * What the baselines vary where the space does not say; the ranges that the article took for
 * RoBERTa-base, somewhat wider.
 */
export const BASELINE_RATES = { full: [1e-5, 1e-4], head: [3e-5, 3e-3], lora: [5e-5, 3e-3] } as const;
