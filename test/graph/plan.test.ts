import { add, linear, mse } from '../../src/graph/ops';
import { opByName } from '../../src/graph/ops/registry';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { Graph, type Node } from '../../src/graph/value';
import { addAdapter } from '../../src/lora';
import { trace } from '../../src/nn';
import { tinyRoberta } from '../lora/models';
import { count, describeWithAddon, encoder, opsOf, Parameters } from './fixtures';

const sizes = { T: 12, S: 3, M: 0 };

/** mse(linear(linear(x, V), W), target), [T, 4] everywhere, V frozen. */
function twoLinears(): { graph: Graph; parameters: Parameters } {
  const graph = new Graph(true);
  const parameters = new Parameters((name) => name !== 'V');
  const x = graph.input('x', 'float', ['T', 4]);
  const h = graph.scope('lower', () => linear(x, parameters.make('V', [4, 4])));
  const y = graph.scope('upper', () => linear(h, parameters.make('W', [4, 4])));
  graph.outputs.set('y', y);
  graph.outputs.set(
    'loss',
    graph.scope('loss', () => mse(y, graph.input('target', 'float', ['T', 4]))),
  );
  return { graph, parameters };
}

describe('instructions', () => {
  test('forward, then backward, as listed', () => {
    const { graph } = twoLinears();
    const text = plan(graph, { train: true }).toString().replace(/%\d+/g, '%');
    expect(text.split('\n')).toEqual([
      'forward:',
      '0  % float[T,4] = linear(x, V, -)  # lower',
      '1  % float[T,4] = linear(%, W, -)  # upper',
      '2  % float[1] = mse(%, target)  # loss',
      'backward:',
      '3  % float[T,4] = mseBackward(%, target)  # loss',
      '4  grad(W) float[4,4] = linearBackwardWeight(%, %)  # upper',
      '3 forward and 2 backward instructions, 2 parameters of 0.00 MB, 1 trained',
    ]);
  });

  test('without training there is no backward and nothing unread', () => {
    const { graph } = twoLinears();
    linear(
      graph.outputs.get('y') as NonNullable<ReturnType<typeof graph.outputs.get>>,
      new Parameters(() => true).make('unread', [4, 4]),
    );
    const evaluation = plan(graph, { train: false });
    expect(opsOf(evaluation.instructions)).toEqual(['linear', 'linear', 'mse']);
    expect([evaluation.forwardCount, evaluation.trained, evaluation.parameters.map(({ name }) => name)]).toEqual([
      3,
      [],
      ['V', 'W'],
    ]);
    graph.outputs.delete('loss');
    const logits = plan(graph, { train: false });
    expect(opsOf(logits.instructions)).toEqual(['linear', 'linear']);
    expect(logits.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  test('base weights are those of frozen products in layers, of their dx, and of nothing else', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: 'all-linear' });
    for (const fused of [true, false])
      for (const train of [true, false]) {
        const { instructions } = plan(trace(model, { training: train }), { train, fused, baseWeights: 'int8' });
        const weightOf = ({ op, inputs }: Node) =>
          inputs[opByName(op).inputs.findIndex(({ name }) => name === 'W')]?.parameter?.name;
        const marked = instructions.filter(({ attributes }) => attributes['baseWeights'] === 'int8');
        expect(marked.length).toBeGreaterThan(0);
        // Without dx a gradient reads no W.
        for (const node of marked)
          expect(weightOf(node) ?? '.layer.0.').toMatch(/\.layer\.\d+\.(?!.*(lora_|modules_to_save))/);
        const base = instructions.filter((node) =>
          /\.layer\.\d+\..*(base_layer|dense)\.weight$/.test(weightOf(node) ?? ''),
        );
        expect(base.filter(({ attributes }) => attributes['baseWeights'] === undefined)).toEqual([]);
      }
  });

  test('a precision is that of every product, forward and backward, fused or not', () => {
    const { graph } = encoder({ dropout: 0.1 });
    for (const fused of [true, false]) {
      const products = (precision?: 'fp32' | 'bf16') =>
        plan(graph, { train: true, fused, ...(precision && { precision }) }).instructions.filter(({ op }) =>
          /^(linear|loraLinear)/.test(op),
        );
      expect(products('bf16').map(({ attributes }) => attributes['precision'])).toEqual(products().map(() => 'bf16'));
      expect(products('fp32').every(({ attributes }) => attributes['precision'] === undefined)).toBe(true);
      expect(new Set(opsOf(products()))).toEqual(
        new Set(
          fused
            ? ['linear', 'loraLinear', 'linearBackwardWeight', 'linearBackwardInput', 'loraLinearBackward']
            : ['linear', 'linearBackwardWeight', 'linearBackwardInput'],
        ),
      );
    }
  });

  test('keepAll drops nothing', () => {
    const { graph } = twoLinears();
    graph.outputs.delete('loss');
    const kept = plan(graph, { train: false, keepAll: true });
    expect(opsOf(kept.instructions)).toEqual(['linear', 'linear', 'mse']);
    expect(kept.lifetimes().every(({ last }) => last === 3)).toBe(true);
  });

  test('a graph can be planned again, fused and separate', () => {
    const { graph } = encoder({ dropout: 0.1, layers: 2 });
    const before = graph.toString();
    const fused = plan(graph, { train: true });
    const separate = plan(graph, { train: true, fused: false });
    expect(plan(graph, { train: true }).toString()).toBe(fused.toString());
    expect(graph.toString()).toBe(before);
    expect([count(fused.instructions, 'loraLinear'), count(fused.instructions, 'loraLinearBackward')]).toEqual([
      12, 12,
    ]);
    expect([count(separate.instructions, 'loraLinear'), count(separate.instructions, 'addLayerNorm')]).toEqual([0, 0]);
    expect(fused.instructions.length * 3).toBeLessThan(separate.instructions.length);
    expect(fused.trained.map(({ name }) => name)).toEqual(separate.trained.map(({ name }) => name));
  });
});

describe('costs', () => {
  test('FLOPs of two linears: 2 T K N each, and one weight gradient', () => {
    const flops = plan(twoLinears().graph, { train: true }).flops(sizes);
    const product = 2 * 12 * 4 * 4;
    expect(flops).toEqual({ forward: 2 * product + 3 * 12 * 4, backward: product + 2 * 12 * 4 });
  });

  test('fused and separate do the same products', () => {
    const { graph } = encoder({ layers: 2 });
    const [fused, separate] = [true, false].map((f) => plan(graph, { train: true, fused: f }));
    const products = (p: typeof fused) =>
      p?.instructions.reduce((sum, node) => sum + (/linear/i.test(node.op) ? 1 : 0), 0) as number;
    expect(products(fused)).toBeLessThan(products(separate));
    const [a, b] = [fused?.flops(sizes), separate?.flops(sizes)];
    // Apart are the separate adds and scales, which the fused op has for nothing.
    expect((b?.forward ?? 0) / (a?.forward ?? 1)).toBeGreaterThan(1);
    expect((b?.forward ?? 0) / (a?.forward ?? 1)).toBeLessThan(1.1);
    expect(fused?.bytes(sizes).forward).toBeLessThan(separate?.bytes(sizes).forward ?? 0);
  });

  test('fused saves x and u and nothing else; separate LoRA dropout saves the dropped x too', () => {
    const planned = (dropout: number, fused: boolean) =>
      plan(encoder({ lora: (path) => path === 'layer.0.output.dense', dropout }).graph, { train: true, fused });
    expect(planned(0, true).savedBytes(sizes)).toBe(planned(0, false).savedBytes(sizes));
    // Separate reads the dropped x alone; x below the lowest adapter is read by nothing else.
    const names = (fused: boolean) => {
      const trained = planned(0.1, fused);
      const read = new Set(trained.instructions.slice(trained.forwardCount).flatMap((node) => node.inputs));
      const lives = trained
        .lifetimes()
        .filter(({ value, first }) => first >= 0 && first < trained.forwardCount && read.has(value));
      return lives.map(({ value }) => value.name).filter((name) => /layer\.0\.(act|output\.dense)/.test(name));
    };
    expect(names(true)).toEqual(['layer.0.act:y', 'layer.0.output.dense:u']);
    expect(names(false)).toEqual(['layer.0.output.dense:dropped', 'layer.0.output.dense:u']);
  });

  test('saved for backward is what backward reads of forward: y for the loss, h for dW', () => {
    expect(plan(twoLinears().graph, { train: true }).savedBytes(sizes)).toBe(2 * 4 * 12 * 4);
    expect(plan(twoLinears().graph, { train: false }).savedBytes(sizes)).toBe(0);
  });

  test('parameters and optimizer', () => {
    const trained = plan(twoLinears().graph, { train: true });
    expect([trained.parameterBytes, trained.optimizerBytes]).toEqual([2 * 16 * 4, 16 * 12]);
  });

  test('lifetimes: from the instruction that writes to the last that reads; outputs to the end', () => {
    const trained = plan(twoLinears().graph, { train: true });
    const lives = trained.lifetimes().map(({ value, first, last }) => [value.name, first, last]);
    expect(lives).toEqual([
      ['x', -1, 0],
      ['target', -1, 3],
      ['lower:y', 0, 4],
      ['upper:y', 1, 5],
      ['loss:loss', 2, 5],
      ['upper:y:gradient', 3, 4],
    ]);
  });
});

describe('the native form', () => {
  test('values by kind, instructions by index, outputs marked', () => {
    const trained = plan(twoLinears().graph, { train: true });
    const spec = trained.toNativeSpec('cpu', 'f32');
    expect(spec.values.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'input x',
      'input target',
      'parameter V',
      'parameter W',
      'gradient W:gradient',
      'computed lower:y',
      'computed upper:y',
      'computed loss:loss',
      'computed upper:y:gradient',
    ]);
    expect(spec.values.map(({ parameter }) => parameter)).toEqual([
      undefined,
      undefined,
      0,
      1,
      1,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(spec.values.filter(({ output }) => output).map(({ name }) => name)).toEqual(['upper:y', 'loss:loss']);
    expect(spec.instructions.map(({ inputs, outputs }) => [inputs, outputs.filter((i) => i >= 0)])).toEqual([
      [[0, 2, -1], [5]],
      [[5, 3, -1], [6]],
      [[6, 1], [7]],
      [[6, 1], [8]],
      [[8, 5], [4]],
    ]);
    expect([...trained.outputIndices]).toEqual([
      ['y', 6],
      ['loss', 7],
    ]);
    expect([spec.forwardCount, spec.keepAll, spec.backend, spec.compute]).toEqual([3, false, 'cpu', 'f32']);
  });

  test('gradients come in the order of the parameters', () => {
    const { graph } = encoder({ layers: 1, trainable: () => true });
    const trained = plan(graph, { train: true });
    const gradients = trained.toNativeSpec('cpu', 'f32').values.filter(({ kind }) => kind === 'gradient');
    expect(gradients.map(({ parameter }) => trained.parameters[parameter as number])).toEqual(trained.trained);
    expect(trained.trained).toEqual(trained.parameters);
  });
});

describeWithAddon('with the addon', () => {
  test('peak memory is that of the program, and separate ops need more', () => {
    const { graph } = encoder({ layers: 2, dropout: 0.1 });
    const peaks = [true, false].map((fused) => {
      const trained = plan(graph, { train: true, fused });
      using program = new Program(trained, { backend: 'reference' });
      expect(trained.peakBytes(sizes)).toBe(program.arenaBytes(sizes));
      return trained.peakBytes(sizes);
    });
    expect(peaks[0]).toBeLessThan(peaks[1] as number);
  });

  test('memory is reserved before the first step, and not while one runs', async () => {
    const { graph } = encoder({ layers: 1 });
    using program = new Program(plan(graph, { train: true }), { backend: 'cpu' });
    const first = program.reserve(sizes);
    await expect(program.reserve(sizes)).rejects.toMatchObject({ code: 'BUSY' });
    await expect(first).resolves.toBeUndefined();
    await expect(program.reserve({ T: -1, S: 1, M: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('with sizes the listing has totals', () => {
    const trained = plan(twoLinears().graph, { train: true });
    expect(trained.toString({ T: 1e6, S: 1, M: 0 }).split('\n').slice(-5)).toEqual([
      'T = 1000000, S = 1, M = 0:',
      '  forward  0.076 GFLOP, 96.00 MB touched',
      '  backward 0.040 GFLOP, 80.00 MB touched',
      expect.stringMatching(/^ {2}saved for backward 32\.00 MB, peak \d+\.\d\d MB$/),
      '  gradients and optimizer 0.00 MB',
    ]);
  });

  test('add of one value to itself and a parameter used twice run', async () => {
    const graph = new Graph(true);
    const parameters = new Parameters(() => true);
    const W = parameters.make('W', [4, 4]);
    const h = linear(graph.input('x', 'float', ['T', 4]), W);
    const y = linear(add(h, h), W);
    graph.outputs.set('loss', mse(y, graph.input('target', 'float', ['T', 4])));
    using program = new Program(plan(graph, { train: true }), { backend: 'reference', compute: 'f64' });
    const tensors = { x: new Float32Array(8).fill(1), target: new Float32Array(8) };
    await program.accumulate({ tensors, sizes: { T: 2, S: 1, M: 0 } }, { zeroGradients: true });
    expect(program.scalar('loss')).toBeGreaterThan(0);
  });
});
