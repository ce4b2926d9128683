/**
 * LoftQ's first values: the best approximation, of their rank, of what a weight loses in fewer
 * bits, by singular values that are found here in another way (power iteration).
 */
import { heldValues } from '../../src/graph/held_values';
import { addAdapter, initializeLoftq } from '../../src/lora';
import { loraLinears } from '../../src/lora/registry';
import { tinyRoberta } from './models';

const RANK = 3;

/** The largest singular values of M [m, n], each after those before were taken off. */
function singularValues(M: Float64Array, m: number, n: number, count: number): number[] {
  const rest = M.slice();
  return Array.from({ length: count }, (_, which) => {
    let v = Float64Array.from({ length: n }, (__, i) => Math.sin(i + which + 1));
    let u = new Float64Array(m);
    let size = 0;
    for (let step = 0; step < 1000; step++) {
      u = u.map((__, i) => v.reduce((sum, value, k) => sum + rest[i * n + k]! * value, 0));
      const ofU = Math.hypot(...u);
      u = u.map((value) => value / ofU);
      v = v.map((__, k) => u.reduce((sum, value, i) => sum + rest[i * n + k]! * value, 0));
      size = Math.hypot(...v);
      v = v.map((value) => value / size);
    }
    for (let i = 0; i < m; i++) for (let k = 0; k < n; k++) rest[i * n + k]! -= size * u[i]! * v[k]!;
    return size;
  });
}

const squares = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value * value, 0);

test.each(['int8', 'nf4'] as const)('%s: s B A is the best there is of W − Q(W), in equal halves', async (form) => {
  const model = tinyRoberta();
  addAdapter(model, { r: RANK, loraAlpha: 6, targetModules: ['query'], initLoraWeights: 'loftq' });
  await initializeLoftq(model, form);
  const [, layer] = [...loraLinears(model)][0]!;
  const { weight } = layer.base_layer;
  const [N, K] = weight.shape as [number, number];
  const held = await heldValues(weight, form);
  const lost = Float64Array.from(weight.data(), (value, i) => value - held[i]!);
  const { A, B, settings } = layer.adapter('default');
  expect(settings.scaling).toBe(2);
  const [a, b] = [A.data(), B.data()];
  const left = lost.map((value, i) => {
    const [n, k] = [Math.floor(i / K), i % K];
    let sum = 0;
    for (let j = 0; j < RANK; j++) sum += 2 * b[n * RANK + j]! * a[j * K + k]!;
    return value - sum;
  });
  const sizes = singularValues(lost, N, K, RANK);
  expect(squares(lost) - squares(left)).toBeCloseTo(squares(sizes), 8);
  expect(Math.abs((squares(lost) - squares(left)) / squares(sizes) - 1)).toBeLessThan(1e-5);
  for (let j = 0; j < RANK; j++) {
    const ofA = squares(a.subarray(j * K, (j + 1) * K));
    const ofB = squares(b.filter((_, i) => i % RANK === j));
    expect(ofA / (sizes[j]! / 2)).toBeCloseTo(1, 3);
    expect(ofB / (sizes[j]! / 2)).toBeCloseTo(1, 3);
  }
});

test('full weights lose nothing: refused', async () => {
  const model = tinyRoberta();
  addAdapter(model, { r: RANK, targetModules: ['query'] });
  await expect(initializeLoftq(model, 'fp32')).rejects.toThrow(/initLoraWeights "loftq"/);
});
