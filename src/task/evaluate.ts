/** Metrics of a model or adapter folder on labelled examples. */
import type { PrecisionOption } from '../graph/precision';
import { trace } from '../nn';
import { Evaluator } from '../train/evaluate';
import { chooseDevice, type DeviceOption } from './device';
import { type BatchSizes, encodeFor, sourceOf } from './encoding';
import type { Example } from './examples';
import { measure } from './measure';
import type { TextModel } from './text_model';
import { checkedThreshold } from './threshold';

export interface EvaluateOptions extends BatchSizes {
  /** Default auto. */
  device?: DeviceOption;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption;
  /** Of multi-label classification: what the probability of a label must be above. Default 0.5. */
  threshold?: number;
  signal?: AbortSignal;
}

export interface EvaluateResult {
  examples: number;
  /** The loss, and what `measure` gives for the task. */
  metrics: Record<string, number>;
  seconds: number;
  samplesPerSecond: number;
}

/** @throws FusedLoraError INVALID_DATA for a row without a label or with one that the model does not know. */
export async function evaluate(
  textModel: TextModel,
  examples: readonly Example[],
  options: EvaluateOptions = {},
): Promise<EvaluateResult> {
  const { model } = textModel;
  const threshold = checkedThreshold(options.threshold);
  const encoded = await encodeFor(textModel, examples, options.signal);
  const source = sourceOf(model, encoded, { ...options, shuffle: false });
  const { backend } = chooseDevice(options.device);
  const { precision = 'auto' } = options;
  using evaluator = new Evaluator({ trace: (o) => trace(model, o), backend, precision });
  const started = performance.now();
  const evaluation = await evaluator.run(source, options.signal);
  const seconds = (performance.now() - started) / 1000;
  return {
    examples: examples.length,
    metrics: measure(model, evaluation, encoded, threshold),
    seconds,
    samplesPerSecond: examples.length / seconds,
  };
}
