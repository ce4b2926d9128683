import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  argmaxRows,
  classificationMetrics,
  confusionMatrix,
  multiLabelMetrics,
  regressionMetrics,
} from '../../src/metrics/metrics';

describe('classificationMetrics', () => {
  // Expected: sklearn.metrics accuracy_score, f1_score, matthews_corrcoef on the same lists.
  it('two classes', () => {
    const labels = [1, 1, 1, 0, 0, 0, 1, 0];
    const predicted = [1, 0, 1, 0, 1, 0, 1, 0];
    // tp 3, fn 1, fp 1, tn 3
    expect(classificationMetrics(labels, predicted, 2)).toEqual({ accuracy: 0.75, f1: 0.75, matthews: 0.5 });
  });

  it('three classes: unweighted mean of F1', () => {
    const labels = [0, 0, 1, 1, 2, 2];
    const predicted = [0, 1, 1, 1, 2, 0];
    const { accuracy, f1, matthews } = classificationMetrics(labels, predicted, 3);
    expect(accuracy).toBeCloseTo(4 / 6, 12);
    expect(f1).toBeCloseTo((0.5 + 0.8 + 2 / 3) / 3, 12);
    // c = 4, s = 6, sum p_k t_k = 2·2 + 3·2 + 1·2 = 12
    expect(matthews).toBeCloseTo((4 * 6 - 12) / Math.sqrt((36 - 14) * (36 - 12)), 12);
  });

  it('a class that is neither expected nor predicted counts for nothing', () => {
    // f1_score(labels, predicted, average='macro') of 1..5 with 3 absent: (1 + 2/3 + 2/3 + 1) / 4
    const { f1 } = classificationMetrics([1, 1, 2, 2, 4, 5], [1, 1, 2, 4, 4, 5], 6);
    expect(f1).toBeCloseTo((1 + 2 / 3 + 2 / 3 + 1) / 4, 12);
    // One that is predicted alone, or expected alone, has an F1 of 0.
    expect(classificationMetrics([0, 0, 1], [0, 3, 1], 4).f1).toBeCloseTo((2 / 3 + 1 + 0) / 3, 12);
    expect(classificationMetrics([], [], 3).f1).toBe(0);
  });

  it('one class predicted only: Matthews is 0, not NaN', () => {
    expect(classificationMetrics([0, 1], [1, 1], 2).matthews).toBe(0);
  });

  it('names the example that is out of range', () => {
    expect(() => confusionMatrix([0, 5], [0, 0], 2)).toThrow(/example 1: label 5/);
  });
});

describe('multiLabelMetrics', () => {
  it('are those of scikit-learn', () => {
    const file = path.join(__dirname, '..', 'fixtures', 'metrics', 'multilabel.json');
    const { cases } = JSON.parse(fs.readFileSync(file, 'utf8')) as {
      cases: { labels: number[][]; predicted: number[][]; microF1: number; macroF1: number; exactMatch: number }[];
    };
    expect(cases.length).toBeGreaterThan(10);
    for (const { labels, predicted, ...expected } of cases) {
      const got = multiLabelMetrics(labels, predicted);
      for (const name of ['microF1', 'macroF1', 'exactMatch'] as const)
        expect(got[name]).toBeCloseTo(expected[name], 12);
    }
  });

  it('refuse rows of different lengths', () => {
    expect(() => multiLabelMetrics([[1, 0], [1]], [[1, 0], [1]])).toThrow(/example 1 has not 2 labels/);
  });
});

describe('regressionMetrics', () => {
  it('mse, pearson, spearman with ties', () => {
    const { mse, pearson, spearman } = regressionMetrics([1, 2, 3, 4], [1, 2, 2, 8]);
    expect(mse).toBeCloseTo(17 / 4, 12);
    // deviations: targets -1.5 -0.5 0.5 1.5; predictions -2.25 -1.25 -1.25 4.75
    expect(pearson).toBeCloseTo(10.5 / Math.sqrt(5 * 30.75), 12);
    // ranks of predictions 0 1.5 1.5 3
    expect(spearman).toBeCloseTo(4.5 / Math.sqrt(5 * 4.5), 12);
  });
});

test('argmaxRows takes the first of equals', () => {
  expect([...argmaxRows(Float32Array.of(1, 3, 2, 5, 5, 1), 3)]).toEqual([1, 0]);
});
