/** The names of all options of fineTune, for a caller without types who mistypes one. */
import { COLUMN_KEYS } from '../data/read/columns';
import { HUB_KEYS } from '../io/hub';
import { TRAINING_KEYS } from '../train/options';

export const FINE_TUNE_KEYS = {
  model: true,
  revision: true,
  train: true,
  dev: true,
  devSplit: true,
  stream: true,
  shuffleWindow: true,
  ...COLUMN_KEYS,
  outputDir: true,
  report: true,
  method: true,
  lora: true,
  task: true,
  labelNames: true,
  tokenizer: true,
  maxLength: true,
  hiddenDropout: true,
  attentionDropout: true,
  classifierDropout: true,
  modelType: true,
  ignoreMismatchedSizes: true,
  batchSize: true,
  tokenBudget: true,
  labelSmoothing: true,
  classWeights: true,
  device: true,
  overwrite: true,
  onNotice: true,
  ...HUB_KEYS,
  ...TRAINING_KEYS,
} as const;
