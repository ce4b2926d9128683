/** Reliability, calibration error and temperature against scikit-learn and scipy; thresholds. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  type BinStrategy,
  cooled,
  type Decision,
  expectedCalibrationError,
  fitTemperature,
  fitThresholds,
  logLikelihoodLoss,
  reliability,
} from '../../src/metrics/calibration';
import { errorMessage } from '../io/temporary';

interface Stored {
  curves: {
    probabilities: number[];
    outcomes: boolean[];
    bins: number;
    strategy: BinStrategy;
    observed: number[];
    predicted: number[];
    ece: number;
  }[];
  temperatures: { logits: number[][]; labels?: number[]; targets?: number[][]; temperature: number; loss: number }[];
}

const stored = JSON.parse(
  fs.readFileSync(path.join(__dirname, '..', 'fixtures', 'metrics', 'calibration.json'), 'utf8'),
) as Stored;

test.each(stored.curves)("$bins bins, $strategy: scikit-learn's calibration_curve, and the error", (curve) => {
  const bins = reliability(curve.probabilities, curve.outcomes, curve);
  expect(bins).toHaveLength(curve.observed.length);
  bins.forEach(({ observed, predicted }, i) => {
    expect(observed).toBeCloseTo(curve.observed[i]!, 12);
    expect(predicted).toBeCloseTo(curve.predicted[i]!, 12);
  });
  expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(curve.probabilities.length);
  expect(expectedCalibrationError(bins)).toBeCloseTo(curve.ece, 12);
});

const decisionsOf = ({ logits, labels, targets }: Stored['temperatures'][number]): Decision[] =>
  logits.map((row, i) => ({
    logits: Float32Array.from(row),
    ...(labels ? { label: labels[i]! } : { targets: targets![i]! }),
  }));

test.each(stored.temperatures)('temperature $temperature is that of scipy', (one) => {
  const decisions = decisionsOf(one);
  const temperature = fitTemperature(decisions);
  // The loss is flat at its minimum: the temperature has half the digits of the loss.
  expect(Math.abs(temperature / one.temperature - 1)).toBeLessThan(1e-4);
  expect(logLikelihoodLoss(decisions, temperature)).toBeCloseTo(one.loss, 6);
  expect(logLikelihoodLoss(decisions, temperature)).toBeLessThan(logLikelihoodLoss(decisions, 1));
});

test('where every decision is right the temperature is its lowest, and a loss is a number', () => {
  const decisions = [0, 1].map((label) => ({ logits: Float32Array.from(label ? [-300, 300] : [300, -300]), label }));
  expect(fitTemperature(decisions)).toBeCloseTo(0.05, 6);
  expect(logLikelihoodLoss(decisions, 0.05)).toBe(0);
  expect(logLikelihoodLoss([{ logits: Float32Array.from([-800]), targets: [1] }])).toBe(800);
  expect([...cooled(Float32Array.from([3, -6]), 3)]).toEqual([1, -2]);
});

test('thresholds have the best F1 of their label', () => {
  const logit = (p: number) => Math.log(p / (1 - p));
  const rows: [number, number, number, number][] = [
    [0.9, 1, 0.2, 1],
    [0.8, 0, 0.1, 1],
    [0.7, 1, 0.05, 0],
    [0.2, 0, 0.02, 0],
  ];
  const decisions = rows.map(([a, ra, b, rb]) => ({
    logits: Float32Array.from([logit(a), logit(b), 0]),
    targets: [ra, rb, 0],
  }));
  const [first, second, third] = fitThresholds(decisions, 3) as [number, number, number];
  expect(first).toBeCloseTo(0.45, 6);
  expect(second).toBeCloseTo(0.075, 6);
  expect(third).toBe(0.5);
});

test('lists of other lengths are refused', () => {
  expect(errorMessage('INVALID_SHAPE', () => reliability([0.5], []))).toContain('1 probabilities');
});
