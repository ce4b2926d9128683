/** The names of metrics are those that the metrics have. */
import { classificationMetrics, entityMetrics, multiLabelMetrics, regressionMetrics } from '../../src';
import { classOfF1, metricNames } from '../../src/metrics/metric_names';

test('of every task', () => {
  const classes = Object.keys(classificationMetrics([0, 1], [0, 1], 2));
  expect(metricNames('sequence-classification')).toEqual(['loss', ...classes]);
  expect(metricNames('token-classification', ['x', 'y'])).toEqual(['loss', ...classes]);
  const entities = ['loss', 'accuracy', ...Object.keys(entityMetrics([['O']], [['O']]))];
  expect(metricNames('token-classification', ['O', 'B-PER'])).toEqual(entities);
  expect(new Set(metricNames('token-classification'))).toEqual(new Set(['loss', ...classes, ...entities]));
  expect(metricNames('multi-label-classification')).toEqual(['loss', ...Object.keys(multiLabelMetrics([[1]], [[1]]))]);
  expect(metricNames('regression')).toEqual(['loss', ...Object.keys(regressionMetrics([1], [1]))]);
});

it('F1 of two classes is of the second, of more or of entities of no one class', () => {
  expect(classOfF1('sequence-classification', ['a', 'b'])).toBe('b');
  expect(classOfF1('token-classification', ['a', 'b'])).toBe('b');
  expect(classOfF1('token-classification', ['B-A', 'O'])).toBeUndefined();
  expect(classOfF1('sequence-classification', ['a', 'b', 'c'])).toBeUndefined();
  expect(classOfF1('multi-label-classification', ['a', 'b'])).toBeUndefined();
});
