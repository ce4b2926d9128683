import { Parameter } from '../../src/graph/parameter';
import { groupParameters, isDecayed } from '../../src/train/parameter_groups';

const named = (name: string) => new Parameter([2], new Float32Array(2), { name });

test('biases and LayerNorm are not decayed', () => {
  const names = [
    'roberta.encoder.layer.0.output.LayerNorm.weight',
    'lm_head.layer_norm.weight',
    'classifier.dense.bias',
    'lm_head.bias',
  ];
  expect(names.map(isDecayed)).toEqual([false, false, false, false]);
  expect(isDecayed('classifier.dense.weight')).toBe(true);
  expect(isDecayed('a.query.lora_A.default.weight')).toBe(true);
});

test('a group for each rate and decay; the first pattern that matches counts', () => {
  const [head, bias, lora] = [named('classifier.weight'), named('classifier.bias'), named('layer.0.lora_A.weight')];
  const { groups, groupOf } = groupParameters([head, bias, lora], {
    learningRate: 1e-4,
    weightDecay: 0.1,
    ratePatterns: [
      { pattern: 'classifier', learningRate: 1e-3 },
      { pattern: '.', learningRate: 5 },
    ],
  });
  const of = (p: Parameter) => groups[groupOf.get(p)!]!;
  expect(of(head)).toMatchObject({ learningRate: 1e-3, weightDecay: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 });
  expect(of(bias)).toMatchObject({ learningRate: 1e-3, weightDecay: 0 });
  expect(of(lora)).toMatchObject({ learningRate: 5, weightDecay: 0.1 });
});

test.each([
  [{ learningRate: -1 }, /learningRate is -1/],
  [{ learningRate: Number.NaN }, /learningRate is NaN/],
  [{ learningRate: 1, weightDecay: -0.1 }, /weightDecay is -0.1/],
  [{ learningRate: 1, beta1: 1 }, /beta1 is 1/],
  [
    { learningRate: 1, ratePatterns: [{ pattern: '(', learningRate: 1 }] },
    /ratePatterns holds "\(", which is no regular expression/,
  ],
  [
    { learningRate: 1, ratePatterns: [{ pattern: 'nothing', learningRate: 1 }] },
    /matches no trained parameter.*weight/,
  ],
])('refuses %j', (options, message) => {
  expect(() => groupParameters([named('weight')], options)).toThrow(message);
});
