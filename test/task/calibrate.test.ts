/** Calibration of a trained adapter: fitted, kept beside it, used, told when it is stale. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { TextExample } from '../../src/data/examples/example';
import { predictText } from '../../src/metrics/predictions';
import { CALIBRATION, calibrate, readCalibration } from '../../src/task/calibrate';
import { classify } from '../../src/task/classify';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { openTextModel, type TextModel } from '../../src/task/text_model';
import { errorMessage, failure, temporaryFolder } from '../io/temporary';
import { tinyModel } from '../study/tiny';
import { ratings, reviews } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const model = tinyModel(dir);
const labelled = (examples: readonly TextExample[]): TextExample[] =>
  examples.map(({ text, label }) => ({ text, label: label === 'positive' ? ['good', 'film'] : ['film'] }));
const dev = reviews(60, 2);

async function trained(name: string, options: Partial<FineTuneOptions>): Promise<TextModel> {
  const outputDir = path.join(dir, name);
  const { textModel } = await fineTune({
    ...{ model, train: reviews(64, 1), outputDir, epochs: 4, batchSize: 8, learningRate: 1e-2, device: 'cpu' as const },
    ...options,
  });
  textModel.model.dispose();
  return openTextModel(outputDir);
}

test('one class: probabilities change, answers do not; other weights are refused', async () => {
  const textModel = await trained('classes', {});
  expect(errorMessage('FILE_NOT_FOUND', () => readCalibration(textModel))).toContain('fused-lora calibrate');
  const result = await calibrate(textModel, dev, { device: 'cpu' });
  expect(result.decisions).toBe(60);
  expect(result.after.loss).toBeLessThanOrEqual(result.before.loss);
  expect(readCalibration(textModel)).toEqual({ temperature: result.temperature, thresholds: undefined });
  const texts = dev.slice(0, 8).map(({ text }) => text);
  const [plain, calibrated] = [
    await classify(textModel, texts),
    await classify(textModel, texts, { calibration: true }),
  ];
  expect(calibrated.map(({ label }) => label)).toEqual(plain.map(({ label }) => label));
  // ln(p / (1 - p)) is a difference of two logits: it is divided by the temperature.
  const odds = ({ probability: p }: { probability?: number }) => Math.log(p! / (1 - p!));
  for (const [i, one] of plain.entries()) {
    expect(odds(calibrated[i]!) * result.temperature).toBeCloseTo(odds(one), 4);
  }
  const weights = path.join(dir, 'classes', 'adapter_model.safetensors');
  fs.appendFileSync(weights, ' ');
  expect(errorMessage('INVALID_CONFIG', () => readCalibration(textModel))).toContain('other weights');
  fs.writeFileSync(path.join(dir, 'classes', CALIBRATION), '{"temperature": "hot"}');
  expect(errorMessage('INVALID_CONFIG', () => readCalibration(textModel))).toContain('temperature');
  const named = [{ text: 'a film', adapter: 'default' }];
  expect(await failure('INVALID_ARGUMENT', classify(textModel, named, { calibration: { temperature: 2 } }))).toContain(
    'one adapter',
  );
  textModel.model.dispose();
});

test('several labels: each has its threshold, and one that is given holds for all', async () => {
  const textModel = await trained('labels', { train: labelled(reviews(64, 1)), task: 'multi-label-classification' });
  const { thresholds, decisions } = await calibrate(textModel, labelled(dev), { device: 'cpu' });
  expect(decisions).toBe(120);
  expect(thresholds).toHaveLength(2);
  const settings = { task: textModel.model.task, labelNames: ['a', 'b'], numLabels: 2 };
  expect(predictText(Float32Array.from([0, 0]), settings, [0.4, 0.6]).labels).toEqual(['a']);
  const [prediction] = await classify(textModel, [dev[0]!.text], { calibration: true, threshold: 0.999999 });
  expect(prediction!.labels).toEqual([]);
  textModel.model.dispose();
});

test('numbers have no probabilities', async () => {
  const textModel = await trained('numbers', { train: ratings(32, 1), task: 'regression', epochs: 1 });
  expect(await failure('INVALID_ARGUMENT', calibrate(textModel, ratings(8, 2)))).toContain('regression');
  expect(await failure('INVALID_ARGUMENT', classify(textModel, ['a film'], { calibration: true }))).toContain(
    'nothing to calibrate',
  );
  textModel.model.dispose();
});
