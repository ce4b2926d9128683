/**
 * fastfood in a graph: its gradient rule against central differences in float64, and the CPU
 * against the reference. The op itself: native/test/fastfood_tests.cc.
 */
import { fastfood, mse } from '../../src/graph/ops';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { Graph } from '../../src/graph/value';
import { describeWithAddon, Parameters } from './fixtures';

const [S, N, D, M] = [3, 7, 5, 2];

function made() {
  const parameters = new Parameters(() => true);
  const z = parameters.make('z', [D]);
  const gains = parameters.make('gains', [M], { offset: 1 });
  const target = Float32Array.from({ length: S * N }, () => parameters.uniform());
  const base = Float32Array.from({ length: S * N }, () => parameters.uniform());
  const graph = new Graph(true);
  const moved = fastfood(graph.input('base', 'float', ['S', N]), z, {
    seed: 2 ** 53,
    block: 3,
    scale: 0.2,
    gains,
    gain: 1,
  });
  graph.outputs.set('loss', mse(moved, graph.input('target', 'float', ['S', N])));
  return { graph, z, gains, batch: { sizes: { T: S, S, M: 0 }, tensors: { base, target } } };
}

describeWithAddon('fastfood in a graph', () => {
  test('gradients of z and of the factors, against differences in float64 and on the CPU', async () => {
    const { graph, z, gains, batch } = made();
    const planned = plan(graph, { train: true });
    using exact = new Program(planned, { backend: 'reference', compute: 'f64' });
    using cpu = new Program(plan(graph, { train: true }), { backend: 'cpu' });
    for (const program of [exact, cpu]) await program.accumulate(batch, { zeroGradients: true });
    for (const parameter of [z, gains]) {
      const device = parameter.onDevice('reference', 'f64');
      const values = device.readDouble('value');
      const gradient = exact.gradient(parameter);
      for (let i = 0; i < values.length; i++) {
        const at = async (change: number) => {
          device.write('value', values.with(i, (values[i] as number) + change));
          await exact.forward(batch);
          return exact.scalar('loss');
        };
        const step = 1e-5;
        const difference = ((await at(step)) - (await at(-step))) / (2 * step);
        expect(gradient[i]).toBeCloseTo(difference, 8);
      }
      device.write('value', values);
      for (const [i, value] of cpu.gradient(parameter).entries()) expect(value).toBeCloseTo(gradient[i] as number, 5);
    }
    // Of the other layer's factor nothing depends.
    expect(exact.gradient(gains)[0]).toBe(0);
  });

  test('costs are those of the transforms', () => {
    const { graph } = made();
    const { forward, backward } = plan(graph, { train: true }).flops({ T: S, S, M: 0 });
    // 21 values in 3 blocks of 8: 2 transforms of 8 · 3 additions, and 4 operations a value.
    expect(forward).toBeGreaterThanOrEqual(3 * (2 * 24 + 32));
    expect(backward).toBeGreaterThanOrEqual(3 * (2 * 24 + 32));
  });
});
