import { Embedding, Linear, type Module, ModuleList, type StateTensor } from '../../src/nn';
import { errorMessage } from '../io/temporary';
import { TinyModel } from './tiny';

/** A state dict with its values read. */
const readAll = (module: Module): [string, StateTensor & { data: Float32Array }][] =>
  [...module.stateDict()].map(([name, { shape, data }]) => [
    name,
    { shape, data: typeof data === 'function' ? data() : data },
  ]);

describe('state dict', () => {
  it('moves all values from one model to another', () => {
    const [a, b] = [new TinyModel().nameTree(1), new TinyModel().nameTree(2)];
    expect(readAll(b)).not.toEqual(readAll(a));
    expect(b.loadStateDict(a.stateDict())).toEqual({ missing: [], unexpected: [] });
    expect(readAll(b)).toEqual(readAll(a));
  });

  it('takes a shared parameter under any of its paths', () => {
    const make = () => {
      const words = new Embedding(5, 4);
      return new ModuleList<Module>([words, new Linear(4, 5, { weight: words.weight })]);
    };
    const state = readAll(make().nameTree(1));
    expect(state.map(([name]) => name)).toEqual(['0.weight', '1.weight', '1.bias']);
    const other = make().nameTree(2);
    expect(other.loadStateDict(state.slice(1))).toEqual({ missing: [], unexpected: [] });
    expect(readAll(other)).toEqual(state);
  });

  it('lists what is missing, unexpected and of another shape, and changes nothing', () => {
    const model = new TinyModel().nameTree(1);
    const before = readAll(model);
    const state = new Map(readAll(new TinyModel().nameTree(2)));
    state.set('clasifier.bias', state.get('classifier.bias')!);
    state.delete('classifier.bias');
    state.set('words.weight', { shape: [21, 8], data: new Float32Array(168) });
    const message = errorMessage('STATE_MISMATCH', () => model.loadStateDict(state));
    expect(message).toContain('The tensors do not fit TinyModel');
    expect(message).toContain('unexpected (1):\n    clasifier.bias (the model misses classifier.bias)');
    expect(message).toContain('missing (1):\n    classifier.bias');
    expect(message).toContain('words.weight: [21, 8], the model has [20, 8]');
    expect(readAll(model)).toEqual(before);
  });

  it('leaves out names when it is not strict, but never takes another shape', () => {
    const model = new TinyModel().nameTree(1);
    const bias = { shape: [2], data: Float32Array.of(3, 4) };
    const report = model.loadStateDict(
      [
        ['classifier.bias', bias],
        ['other', bias],
      ],
      { strict: false },
    );
    expect(report.unexpected).toEqual(['other']);
    expect(report.missing).toHaveLength(50);
    expect([...model.classifier.bias!.data()]).toEqual([3, 4]);
    errorMessage('STATE_MISMATCH', () =>
      model.loadStateDict([['classifier.bias', { shape: [3], data: new Float32Array(3) }]], { strict: false }),
    );
    errorMessage('INVALID_SHAPE', () =>
      model.loadStateDict([['classifier.bias', { shape: [2], data: new Float32Array(3) }]], { strict: false }),
    );
  });

  it("does not keep the caller's array", () => {
    const model = new TinyModel();
    const data = Float32Array.of(1, 2);
    model.loadStateDict([['classifier.bias', { shape: [2], data }]], { strict: false });
    data[0] = 9;
    expect([...model.classifier.bias!.data()]).toEqual([1, 2]);
  });
});
