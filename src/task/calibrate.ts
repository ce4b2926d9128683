/**
 * Temperature and thresholds of a trained model: fitted on examples that it was not trained on,
 * kept beside its weights as calibration.json, and read again for predictions. The formulas are in
 * src/metrics/calibration.ts; predictions are made in classify.ts.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import type { Task } from '../base/tasks';
import { type ExampleData, type LoadOptions, loadExamples } from '../data/read/load';
import { READ_KEYS } from '../data/read/read_examples';
import { encodeFor } from '../data/tokenize/encode_for_task';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { writeFileAtomic } from '../io/atomic';
import { readJsonObject } from '../io/json';
import { ADAPTER_WEIGHTS, WEIGHTS } from '../io/model_files';
import { openToRead } from '../io/open';
import { expected, validate } from '../io/validate';
import {
  confidences,
  decisionsOf,
  expectedCalibrationError,
  fitTemperature,
  fitThresholds,
  logLikelihoodLoss,
  type ReliabilityBin,
  reliability,
} from '../metrics/calibration';
import { ModelEvaluator } from './model_evaluator';
import { requireTrained, type TextModel } from './text_model';

/** The file beside a model's weights. */
export const CALIBRATION = 'calibration.json';

/** What makes probabilities of a model better ones. */
export interface Calibration {
  /** Logits are divided by it. */
  temperature: number;
  /** Of multi-label classification: for each label, in order. */
  thresholds?: number[] | undefined;
}

/** How well probabilities fit. */
export interface CalibrationQuality {
  /** Expected calibration error over 10 bins of equal width. */
  ece: number;
  /** Mean negative log-likelihood. */
  loss: number;
  bins: ReliabilityBin[];
}

/** What {@link calibrate} found. */
export interface CalibrationResult extends Calibration {
  /** Texts, words or labels that were measured. */
  decisions: number;
  before: CalibrationQuality;
  after: CalibrationQuality;
  /** Where it was written. */
  file: string;
}

/** Of {@link calibrate}. */
export interface CalibrateOptions extends Omit<LoadOptions, 'signal'> {
  /** Default auto. */
  device?: DeviceOption;
  /** Of products. Default auto. */
  precision?: PrecisionOption;
  /** Of the frozen weights of layers: what predictions will have. Default fp32. */
  baseWeights?: BaseWeights;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights;
  signal?: AbortSignal;
}

const KEYS: Record<keyof CalibrateOptions, true> = {
  ...READ_KEYS,
  device: true,
  precision: true,
  baseWeights: true,
  embeddingWeights: true,
  signal: true,
  onNotice: true,
};

const schema = z.object({
  temperature: expected.number(0.001, 1000),
  thresholds: z.array(expected.number(0, 1, true), { error: 'a list of numbers' }).optional(),
  labelNames: z.array(expected.string(), { error: 'a list of names' }),
  weights: expected.string(),
});

/** Where the weights are that a calibration is of: those of the adapter, or of the whole model. */
function weightsOf({ adapter, baseModel }: Pick<TextModel, 'adapter' | 'baseModel'>): string {
  const names = adapter === undefined ? [WEIGHTS] : [ADAPTER_WEIGHTS];
  const dir = adapter ?? baseModel;
  const file = names.map((name) => path.join(dir, name)).find((one) => fs.existsSync(one));
  if (file !== undefined) return file;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${dir}: has no ${names.join(' or ')} whose probabilities could be calibrated; save the model, or its adapter, first`,
  );
}

function checksumOf(file: string): string {
  const hash = createHash('sha256');
  const fd = openToRead(file);
  try {
    const piece = Buffer.alloc(1 << 20);
    for (;;) {
      const count = fs.readSync(fd, piece, 0, piece.length, null);
      if (count === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, count));
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** @throws FusedLoraError INVALID_ARGUMENT: numbers are no probabilities. */
function requireProbabilities(task: Task): void {
  if (task !== 'regression' && task !== 'masked-lm') return;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `a model for ${task} gives no probabilities, so there is nothing to calibrate. Leave calibration out (--calibrated, calibration).`,
  );
}

/**
 * Fits temperature and thresholds, and writes them beside the weights (calibration.json).
 *
 * @param data labelled examples that the model was not trained on: the dev set.
 * @throws FusedLoraError INVALID_ARGUMENT for regression, and a model without saved weights;
 * INVALID_DATA for rows without a label.
 */
export async function calibrate(
  textModel: TextModel,
  data: ExampleData,
  options: CalibrateOptions = {},
): Promise<CalibrationResult> {
  checkKeys('calibrate', options, KEYS);
  const { model } = textModel;
  requireProbabilities(model.task);
  requireTrained(textModel, 'calibrate');
  const weights = weightsOf(textModel);
  const { examples } = await loadExamples({ task: model.task, data, options, name: 'data' });
  const encoded = await encodeFor(textModel, examples, options.signal, undefined, 'take');
  const { precision = 'auto', baseWeights, embeddingWeights } = options;
  const { backend } = chooseDevice(options.device);
  using evaluator = new ModelEvaluator(model, { backend, precision, baseWeights, embeddingWeights });
  const evaluation = await evaluator.run(encoded, {}, options.signal);
  const decisions = decisionsOf(model, evaluation, encoded);
  const temperature = fitTemperature(decisions);
  const severals = model.task === 'multi-label-classification';
  const thresholds = severals ? fitThresholds(decisions, model.numLabels, temperature) : undefined;
  const quality = (t: number): CalibrationQuality => {
    const { probabilities, outcomes } = confidences(decisions, t);
    const bins = reliability(probabilities, outcomes);
    return { ece: expectedCalibrationError(bins), loss: logLikelihoodLoss(decisions, t), bins };
  };
  const file = path.join(path.dirname(weights), CALIBRATION);
  const kept = { temperature, ...(thresholds && { thresholds }) };
  const after = quality(temperature);
  const content = { ...kept, labelNames: model.labelNames, weights: checksumOf(weights), ece: after.ece };
  writeFileAtomic(file, `${JSON.stringify(content, null, 2)}\n`);
  const { length } = confidences(decisions).probabilities;
  return { ...kept, decisions: length, before: quality(1), after, file };
}

/**
 * What {@link calibrate} wrote.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for a model without probabilities; FILE_NOT_FOUND;
 * INVALID_CONFIG for a field that is wrong, or a calibration
 * of other weights.
 */
export function readCalibration(textModel: TextModel): Calibration {
  requireProbabilities(textModel.model.task);
  const weights = weightsOf(textModel);
  const file = path.join(path.dirname(weights), CALIBRATION);
  const { model } = textModel;
  if (!fs.existsSync(file)) {
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${file}: is not there. Fit it first: fused-lora calibrate DEV --adapter ${path.dirname(weights)}`,
    );
  }
  const json = readJsonObject(file, 'for calibrated probabilities', 'INVALID_CONFIG', { inFolder: true });
  const { temperature, thresholds, labelNames, weights: checksum } = validate(schema, json, file);
  const wrong = (problem: string) =>
    new FusedLoraError('INVALID_CONFIG', `${file}: ${problem}. Fit it again: fused-lora calibrate.`);
  if (checksum !== checksumOf(weights)) throw wrong(`is of other weights than ${path.basename(weights)} has now`);
  if (labelNames.length !== model.labelNames.length) {
    throw wrong(`is of ${labelNames.length} labels, the model has ${model.labelNames.length}`);
  }
  if (thresholds && thresholds.length !== labelNames.length) {
    throw wrong(`has ${thresholds.length} thresholds for ${labelNames.length} labels`);
  }
  return { temperature, thresholds };
}
