/**
 * Metrics of a model or adapter folder on labelled examples.
 * How each task is measured is in src/metrics/measure.ts; texts without labels are for classify.ts.
 */
import { listNames } from '../base/near';
import { checkKeys } from '../base/options';
import type { TaskSettings } from '../base/tasks';
import { type BatchSizes, numberCut } from '../data/batch/sources';
import { noteOnIds } from '../data/examples/labels';
import { type ExampleData, type LoadOptions, loadExamples } from '../data/read/load';
import { READ_KEYS } from '../data/read/read_examples';
import { encodeFor, noteOnEmptyTexts } from '../data/tokenize/encode_for_task';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { measure } from '../metrics/measure';
import { classOfF1 } from '../metrics/metric_names';
import { checkedThreshold } from '../metrics/probabilities';
import { lineOfF1 } from './meaning/describe';
import { ModelEvaluator } from './model_evaluator';
import { notesOnPairs, requireTrained, type TextModel } from './text_model';

/** Of {@link evaluate}. */
export interface EvaluateOptions extends BatchSizes, Omit<LoadOptions, 'signal'> {
  /** Default auto. */
  device?: DeviceOption;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption;
  /** Of the frozen weights of layers: fp32, or int8 codes. On the CPU. Default fp32. */
  baseWeights?: BaseWeights;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights;
  /**
   * Of multi-label classification: what the probability of a label must be above. Default: the
   * model's.
   */
  threshold?: number;
  signal?: AbortSignal;
}

/** What {@link evaluate} measured. */
export interface EvaluateResult {
  examples: number;
  /** How many of them are longer than the model's maxLength and lost tokens. */
  cut: number;
  /** The loss, and what `measure` gives for the task. */
  metrics: Record<string, number>;
  seconds: number;
  samplesPerSecond: number;
}

const EVALUATE_KEYS: Record<keyof EvaluateOptions, true> = {
  ...READ_KEYS,
  batchSize: true,
  tokenBudget: true,
  device: true,
  precision: true,
  baseWeights: true,
  embeddingWeights: true,
  threshold: true,
  signal: true,
  onNotice: true,
};

/**
 * @param data a list of examples, data files (whose columns the options choose), or what gives
 * examples.
 * @throws FusedLoraError INVALID_DATA for a row without a label or with one that the model does not
 * know.
 */
export async function evaluate(
  textModel: TextModel,
  data: ExampleData,
  options: EvaluateOptions = {},
): Promise<EvaluateResult> {
  checkKeys('evaluate', options, EVALUATE_KEYS);
  const { model } = textModel;
  const threshold = checkedThreshold(options.threshold ?? model.headSettings?.threshold ?? textModel.threshold);
  requireTrained(textModel, 'evaluate');
  const { examples } = await loadExamples({ task: model.task, data, options, name: 'data' });
  const encoded = await encodeFor(textModel, examples, options.signal, undefined, 'take');
  const note = noteOnEmptyTexts(examples);
  if (note) options.onNotice?.(note);
  const severals = model.task === 'multi-label-classification' || model.task === 'regression';
  const ids = severals ? undefined : noteOnIds(model.labelNames, examples);
  if (ids) options.onNotice?.(ids);
  const notes = [...notesOnPairs(textModel.pairs, examples), ...notesOnClasses(model, encoded)];
  for (const note of notes) options.onNotice?.(note);
  const cut = numberCut(encoded);
  if (cut > 0) {
    options.onNotice?.(
      `${cut} of ${encoded.length} texts have more than ${textModel.maxLength} tokens and are cut (maxLength, --max-length)`,
    );
  }
  const { batchSize, tokenBudget, precision = 'auto', baseWeights, embeddingWeights } = options;
  const { backend } = chooseDevice(options.device);
  using evaluator = new ModelEvaluator(model, { backend, precision, baseWeights, embeddingWeights });
  const started = performance.now();
  const evaluation = await evaluator.run(encoded, { batchSize, tokenBudget }, options.signal);
  const seconds = (performance.now() - started) / 1000;
  return {
    examples: examples.length,
    cut,
    metrics: measure(model, evaluation, encoded, threshold),
    seconds,
    samplesPerSecond: examples.length / seconds,
  };
}

/** Which class F1 is of, and those that no row has. */
function notesOnClasses({ task, labelNames }: TaskSettings, encoded: readonly EncodedExample[]): string[] {
  if (task !== 'sequence-classification' && task !== 'token-classification') return [];
  const ids = new Set(encoded.flatMap(({ label, tokenLabels }) => (tokenLabels ? [...tokenLabels] : [label])));
  const absent = labelNames.filter((_, id) => !ids.has(id));
  const ofF1 = classOfF1(task, labelNames);
  return [
    ...(absent.length > 0 ? [`no row of the data has the label ${listNames(absent)}`] : []),
    ...(ofF1 === undefined ? [] : [lineOfF1(ofF1)]),
  ];
}
