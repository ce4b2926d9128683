import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { inspect, trace } from '../../src/nn';
import { loadCase, oracleCases, readBatch, readExpected } from '../oracle/cases';

const oracle = oracleCases.find((c) => c.name === 'roberta-seqcls-lora')!;

it('returns every value of the unfused graph by name, with its shape', async () => {
  const model = loadCase(oracle);
  const batch = readBatch(oracle.batch!, model, 'f64');
  const values = await inspect(model, batch);
  const names = [...values.keys()];
  const path = 'roberta.encoder.layer.0.attention.self.query';
  // Unfused: base product, down, scale, up and sum are values of their own.
  expect(names.filter((name) => name.startsWith(path)).length).toBeGreaterThanOrEqual(5);
  for (const { data, shape } of values.values()) expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
  const logits = values.get('logits')!;
  expect(logits.shape).toEqual([batch.sizes.S, model.numLabels]);
  const expected = readExpected(oracle.expected).get('logits')!;
  for (const [i, value] of logits.data.entries()) expect(value).toBeCloseTo(expected[i]!, 9);
  expect(values.get('loss')!.shape).toEqual([1]);
});

it('agrees with what a program computes', async () => {
  const model = loadCase(oracle);
  const batch = readBatch(oracle.batch!, model, 'f32');
  const values = await inspect(model, batch);
  using program = new Program(plan(trace(model, { training: false }), { train: false }), { backend: 'cpu' });
  await program.forward(batch);
  expect(program.scalar('loss')).toBeCloseTo(values.get('loss')!.data[0]!, 5);
});
