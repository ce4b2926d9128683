import { keyOfSeed, philox } from '../../src/base/philox';
import { Linear, Module, ModuleList } from '../../src/nn';
import { initialValues } from '../../src/nn/init';

function words(counter: number[], key: number[]): string[] {
  const out = new Uint32Array(4);
  philox(counter[0]!, counter[1]!, counter[2]!, counter[3]!, key[0]!, key[1]!, out);
  return [...out].map((word) => word.toString(16).padStart(8, '0'));
}

describe('philox', () => {
  // The known answers that its authors publish with Random123 (kat_vectors, philox4x32 10 rounds).
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[-1, -1, -1, -1], [-1, -1], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('counter %j, key %j', (counter, key, expected) => {
    expect(words(counter, key).join(' ')).toBe(expected);
  });

  it('splits a seed of 53 bits into two words', () => {
    expect(keyOfSeed(2 ** 40 + 7)).toEqual([7, 256]);
  });
});

describe('initial values', () => {
  const normal = { kind: 'normal', std: 0.02 } as const;

  it('are a function of seed and path', () => {
    const values = initialValues(normal, [3, 5], 1, 'a.weight');
    expect(initialValues(normal, [3, 5], 1, 'a.weight')).toEqual(values);
    expect(initialValues(normal, [3, 5], 2, 'a.weight')).not.toEqual(values);
    expect(initialValues(normal, [3, 5], 1, 'b.weight')).not.toEqual(values);
    // A larger tensor of the same name starts with the same values: nothing else enters.
    expect(initialValues(normal, [4, 5], 1, 'a.weight').slice(0, 15)).toEqual(values);
  });

  it('are normal with the deviation asked for, and zero in the padding row', () => {
    const values = initialValues({ ...normal, zeroRow: 1 }, [1000, 100], 3, 'embedding');
    expect(values.slice(100, 200).every((v) => v === 0)).toBe(true);
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const std = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / (values.length - 100));
    expect(Math.abs(mean)).toBeLessThan(0.0003);
    expect(std).toBeCloseTo(0.02, 3);
    const beyond = values.filter((v) => Math.abs(v) > 0.04).length / values.length;
    expect(beyond).toBeGreaterThan(0.04);
    expect(beyond).toBeLessThan(0.051);
  });

  it('are uniform inside their bound', () => {
    const values = initialValues({ kind: 'uniform', bound: 0.5 }, [99, 101], 3, 'A');
    expect(Math.max(...values)).toBeLessThanOrEqual(0.5);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-0.5);
    const variance = values.reduce((sum, v) => sum + v * v, 0) / values.length;
    expect(variance).toBeCloseTo(0.25 / 3, 2);
  });
});

class Net extends Module {
  readonly first = new Linear(4, 4);
  second: Module = new Linear(4, 4);
  forward(): never {
    throw new Error('not traced');
  }
}

describe('a model of initial values', () => {
  it('takes its values from the seed that the tree was named with, and keeps them when the tree changes', () => {
    const net = new Net().nameTree(5);
    const weight = net.first.weight.data();
    expect(new Net().nameTree(5).first.weight.data()).toEqual(weight);
    expect(new Net().nameTree(6).first.weight.data()).not.toEqual(weight);
    net.second = new ModuleList([net.first]);
    (net as { first: unknown }).first = undefined;
    net.nameTree(9);
    const [name, parameter] = net.namedParameters()[0]!;
    expect(name).toBe('second.0.weight');
    expect(parameter.name).toBe('second.0.weight');
    expect(parameter.data()).toEqual(weight);
  });

  it('starts biases at 0 and has other weights at other paths', () => {
    const net = new Net().nameTree();
    expect([...net.first.bias!.data()]).toEqual([0, 0, 0, 0]);
    expect((net.second as Linear).weight.data()).not.toEqual(net.first.weight.data());
  });
});
