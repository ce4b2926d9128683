/**
 * A parameter's values on a device: read in parts when a program
 * packs them, and not again while packed copies are valid.
 */
import { linear } from '../../src/graph/ops';
import { Parameter, type ParameterSource } from '../../src/graph/parameter';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { Graph } from '../../src/graph/value';
import { describeWithAddon } from './fixtures';

const values = Float32Array.from({ length: 12 }, (_, i) => i - 5);
const x = Float32Array.from({ length: 8 }, (_, i) => i + 1);

/** y = x Wᵀ, x [T, 4], W [3, 4] frozen. */
function programOf(parameter: Parameter) {
  const graph = new Graph(false);
  graph.outputs.set('y', linear(graph.input('x', 'float', ['T', 4]), parameter));
  return new Program(plan(graph, { train: false }), { backend: 'cpu' });
}

async function run(program: Program): Promise<number[]> {
  await program.forward({ tensors: { x }, sizes: { T: 2, S: 1, M: 0 } });
  return [...program.read('y')];
}

const expected = [0, 1].flatMap((t) =>
  [0, 1, 2].map((n) => [0, 1, 2, 3].reduce((sum, k) => sum + x[4 * t + k]! * values[4 * n + k]!, 0)),
);

/** Gives the values in parts that lie in the same memory, and notes what was asked. */
class PartSource implements ParameterSource {
  readonly description = 'a test';
  readonly asked: string[] = [];
  fails = false;

  read(): Float32Array {
    this.asked.push('read');
    return values.slice();
  }
  readParts(visit: (values: Float32Array, at: number) => void): void {
    this.asked.push('readParts');
    const memory = new Float32Array(5);
    for (let at = 0; at < values.length; at += 5) {
      const part = memory.subarray(0, Math.min(5, values.length - at));
      part.set(values.subarray(at, at + part.length));
      visit(part, at);
      if (this.fails) throw new Error('the disk is gone');
    }
  }
}

describeWithAddon('values of a source', () => {
  it('are read in parts, and once for programs that share packed copies', async () => {
    const source = new PartSource();
    const parameter = new Parameter([3, 4], source, { requiresGrad: false });
    using first = programOf(parameter);
    expect(await run(first)).toEqual(expected);
    using second = programOf(parameter);
    expect(await run(second)).toEqual(expected);
    expect(source.asked).toEqual(['readParts']);
    expect([...parameter.data()]).toEqual([...values]);
  });

  it('that could not be read to the end are not taken for the values', async () => {
    const source = new PartSource();
    const parameter = new Parameter([3, 4], source, { requiresGrad: false });
    source.fails = true;
    expect(() => programOf(parameter)).toThrow('the disk is gone');
    source.fails = false;
    using program = programOf(parameter);
    expect(await run(program)).toEqual(expected);
  });

  it('are packed anew when they were replaced', async () => {
    const parameter = new Parameter([3, 4], new PartSource(), { requiresGrad: false });
    using first = programOf(parameter);
    parameter.setData(values.map((value) => 2 * value));
    expect(await run(first)).toEqual(expected.map((value) => 2 * value));
    using second = programOf(parameter);
    expect(await run(second)).toEqual(expected.map((value) => 2 * value));
  });
});
