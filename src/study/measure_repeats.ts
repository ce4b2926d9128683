/**
 * The repeated runs of a study on the examples that it measures: logits of each run, its metric on
 * dev and test, and the metric of a sample, which the bootstrap draws. What is made of them is in
 * results.ts.
 */
import { compact } from '../base/options';
import type { TaskSettings } from '../base/tasks';
import type { Example } from '../data/examples/example';
import { encodeFor } from '../data/tokenize/encode_for_task';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import { chooseDevice } from '../graph/device';
import type { Evaluation } from '../metrics/evaluation';
import { measure } from '../metrics/measure';
import { argmaxRows, classificationMetrics } from '../metrics/metrics';
import { softmax } from '../metrics/probabilities';
import { ModelEvaluator } from '../task/model_evaluator';
import { openTextModel } from '../task/text_model';
import type { ResolvedStudy } from './options';
import { folderOfPart } from './run_trial';
import type { StudyData } from './study_data';

/**
 * A run of a setting with a seed: what it says of the measured examples, each by a model that did
 * not see it.
 */
export interface MeasuredRun {
  settings: TaskSettings;
  /** Of the measured examples, in their order. */
  evaluation: Evaluation;
  examples: readonly EncodedExample[];
  /** The metric on the test split: of folds the mean over their models. */
  test: number | undefined;
}

/** @param folder of the run, with its folds where there are several parts. */
export async function measureRun(
  study: ResolvedStudy,
  data: StudyData,
  folder: string,
  metric: string,
  test: readonly Example[] | undefined,
): Promise<MeasuredRun> {
  const { signal, common } = study;
  const count = data.measured.length;
  const logits = new Array<Float32Array>(count);
  const examples = new Array<EncodedExample>(count);
  const ofTest: number[] = [];
  let loss = 0;
  let numOutputs = 0;
  let settings: TaskSettings | undefined;
  for (const [i, { dev, measured }] of data.parts.entries()) {
    const { token, cacheDir, offline, device, precision } = common;
    const hub = compact({ token, cacheDir, offline, signal });
    const textModel = await openTextModel(folderOfPart(folder, i, data.parts.length), hub);
    const { model } = textModel;
    try {
      using evaluator = new ModelEvaluator(model, {
        backend: chooseDevice(device).backend,
        ...(precision !== undefined && { precision }),
      });
      const run = async (some: readonly Example[]) => {
        const encoded = await encodeFor(textModel, some, signal, undefined, 'take');
        return { encoded, evaluation: await evaluator.run(encoded, {}, signal) };
      };
      const { encoded, evaluation } = await run(dev);
      measured.forEach((index, j) => {
        logits[index] = evaluation.logits[j] as Float32Array;
        examples[index] = encoded[j] as EncodedExample;
      });
      loss += (evaluation.loss * dev.length) / count;
      numOutputs = evaluation.numOutputs;
      settings = { task: model.task, labelNames: model.labelNames, numLabels: model.numLabels };
      if (test) {
        const on = await run(test);
        ofTest.push(measure(model, on.evaluation, on.encoded)[metric] as number);
      }
    } finally {
      model.dispose();
    }
  }
  const mean = ofTest.reduce((sum, x) => sum + x, 0) / ofTest.length;
  return {
    settings: settings as TaskSettings,
    evaluation: { loss, logits, numOutputs },
    examples,
    test: test && mean,
  };
}

/** Of one class a text: the classes, and what was predicted. */
function classesOf({ evaluation, examples }: MeasuredRun): { labels: number[]; predicted: number[] } {
  return {
    labels: examples.map(({ label }) => label as number),
    predicted: evaluation.logits.flatMap((row) => [...argmaxRows(row, evaluation.numOutputs)]),
  };
}

export const isOneClass = ({ settings }: MeasuredRun) => settings.task === 'sequence-classification';

/** Whether each example's class is right by the mean of the runs' probabilities. */
export function rightByMean(runs: readonly MeasuredRun[]): boolean[] {
  const [{ examples }] = runs as [MeasuredRun];
  return examples.map(({ label }, i) => {
    const all = runs.map(({ evaluation }) => softmax(evaluation.logits[i] as Float32Array).probabilities);
    const sums = (all[0] as number[]).map((_, c) => all.reduce((sum, row) => sum + (row[c] as number), 0));
    return sums.indexOf(Math.max(...sums)) === label;
  });
}

/** @returns the mean over runs of a metric on these of the measured examples. */
export function metricOnSample(runs: readonly MeasuredRun[], metric: string): (sample: Int32Array) => number {
  const of = runs.map((run) => {
    const { settings, evaluation, examples } = run;
    if (isOneClass(run)) {
      const { labels, predicted } = classesOf(run);
      return (sample: Int32Array) =>
        classificationMetrics(
          sample.map((i) => labels[i] as number),
          sample.map((i) => predicted[i] as number),
          evaluation.numOutputs,
        )[metric as 'accuracy'];
    }
    return (sample: Int32Array) => {
      const numbers = [...sample];
      const logits = numbers.map((i) => evaluation.logits[i] as Float32Array);
      const drawn = numbers.map((i) => examples[i] as EncodedExample);
      return measure(settings, { ...evaluation, logits }, drawn)[metric] as number;
    };
  });
  return (sample) => of.reduce((sum, one) => sum + one(sample), 0) / of.length;
}
