/** Spaces: their forms, what is wrong with them, conditions, and what becomes options of a run. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { sample } from '../../src/study/search/sampler';
import { readSpace } from '../../src/study/space/read_space';
import { resolveSpace, type Space } from '../../src/study/space/space';
import { armsOf, optionsOfTrial } from '../../src/study/trial_options';
import { errorMessage, temporaryFolder } from '../io/temporary';

const dir = temporaryFolder();
const file = (name: string, text: string) => {
  fs.writeFileSync(path.join(dir, name), text);
  return path.join(dir, name);
};

const SPACE: Space = {
  'lora.r': { choice: [4, 8], when: { method: 'lora' } },
  learningRate: [
    { loguniform: [1e-4, 1e-3], when: { method: 'lora' } },
    { loguniform: [1e-5, 1e-4], when: { method: 'full' } },
  ],
  method: ['lora', 'full'],
  epochs: { int: [2, 6], step: 2 },
  warmupRatio: 0.1,
};

test('YAML, JSON and JSON with comments say the same', () => {
  const yaml = `
method: [lora, full]   # what is trained
lora.r: {choice: [4, 8], when: {method: lora}}
learningRate:
  - {loguniform: [1e-4, 1e-3], when: {method: lora}}
  - {loguniform: [1e-5, 1e-4], when: {method: full}}
epochs: {int: [2, 6], step: 2}
warmupRatio: 0.1
`;
  const names = (space: Space) => resolveSpace(space).map(({ name, distribution }) => [name, distribution]);
  const expected = new Set(names(SPACE).map((one) => JSON.stringify(one)));
  const json = JSON.stringify(SPACE);
  for (const place of [file('space.yaml', yaml), file('space.json', json)]) {
    expect(new Set(names(readSpace(place)).map((one) => JSON.stringify(one)))).toEqual(expected);
  }
});

test.each([
  [{ learningRate: { loguniform: [0, 1] } }, 'logarithmic'],
  [{ learningRate: { uniform: [2, 1] } }, 'the lowest value stands first'],
  [{ epochs: { int: [1.5, 3] } }, 'whole numbers'],
  [{ epochs: { int: [1, 3], steps: 1 } }, 'Was step meant?'],
  [{ batchSize: { choice: [] } }, 'no choices'],
  [{ batchSize: [8, 8] }, 'twice'],
  [{ batchSize: [8, 16], epochs: { int: [1, 2], when: { batchSize: 32 } } }, 'none of'],
  [{ epochs: { int: [1, 2], when: { batchsize: 32 } }, batchSize: [32] }, 'Was batchSize meant?'],
  [{ epochs: { int: [1, 2], uniform: [0, 1] } }, 'both int and uniform'],
  [{ learningRate: [{ uniform: [0, 1] }, { loguniform: [1e-3, 1] }] }, 'not of one kind'],
  [{ batchSize: { choice: [8], when: { epochs: 1 } }, epochs: { choice: [1], when: { batchSize: 8 } } }, 'itself'],
] as [Space, string][])('%j is refused', (space, message) => {
  expect(errorMessage('INVALID_ARGUMENT', () => resolveSpace(space))).toContain(message);
});

test('files and names that are no space are told', () => {
  expect(errorMessage('INVALID_ARGUMENT', () => readSpace('small-dat'))).toContain('Was small-data meant?');
  expect(errorMessage('FILE_NOT_FOUND', () => readSpace(path.join(dir, 'none.yaml')))).toContain('none.yaml');
  expect(errorMessage('INVALID_ARGUMENT', () => readSpace(file('a.yaml', 'epochs: [1,\nx: ')))).toContain('a.yaml:');
  expect(errorMessage('INVALID_ARGUMENT', () => readSpace(file('b.json', '{"epochs": [1,,]}')))).toContain(
    'b.json: is not JSON',
  );
  expect(errorMessage('INVALID_ARGUMENT', () => readSpace(file('c.yaml', '- epochs')))).toContain('by name');
});

test('a parameter counts with the values that its condition names alone', () => {
  const arms = armsOf(SPACE, true);
  expect(arms.map(({ method }) => method)).toEqual(['head', 'full', 'lora']);
  const names = (method: string) => {
    const { space } = arms.find((one) => one.method === method)!;
    const chosen = sample({
      space,
      given: new Map([['method', method]]),
      ...{ index: 0, outcomes: [], maximize: true, seed: 0, stream: 0, sampler: 'tpe', startup: 4 },
    });
    return Object.fromEntries(chosen.map(({ name, value }) => [name, value]));
  };
  const [lora, full, head] = ['lora', 'full', 'head'].map(names) as [
    Record<string, number>,
    Record<string, number>,
    Record<string, number>,
  ];
  expect(Object.keys(lora).sort()).toEqual(['epochs', 'learningRate', 'lora.r', 'warmupRatio']);
  expect(lora['learningRate']).toBeGreaterThanOrEqual(1e-4);
  expect(full['learningRate']).toBeLessThanOrEqual(1e-4);
  expect(full['lora.r']).toBeUndefined();
  // A baseline that the space does not name has a rate of its own.
  expect(head['learningRate']).toBeGreaterThanOrEqual(3e-5);
  expect([2, 4, 6]).toContain(head['epochs']);
});

test('every preset is a space, and its values are options', () => {
  for (const name of ['article', 'small-data']) {
    for (const { method, space } of armsOf(readSpace(name), true)) {
      const chosen = sample({
        space,
        given: new Map([['method', method]]),
        ...{ index: 3, outcomes: [], maximize: true, seed: 0, stream: 1, sampler: 'quasi-random', startup: 4 },
      });
      expect(chosen.map((one) => one.name)).toContain('learningRate');
    }
  }
});

test('values become options of fineTune, each method its own', () => {
  const common = { epochs: 9, lora: { bias: 'none' as const } };
  expect(optionsOfTrial(common, { method: 'lora', 'lora.r': 2, 'lora.targetModules': ['query'], epochs: 2 })).toEqual({
    epochs: 2,
    method: 'lora',
    lora: { r: 2, loraAlpha: 16, targetModules: ['query'], bias: 'none' },
  });
  const { method } = optionsOfTrial(common, { method: 'upper', frozenLayers: 2 }) as { method: { trainable: string } };
  const trained = new RegExp(method.trainable);
  expect(trained.test('roberta.encoder.layer.1.output.dense.weight')).toBe(false);
  expect(trained.test('roberta.encoder.layer.2.output.dense.weight')).toBe(true);
  expect(trained.test('roberta.encoder.layer.12.output.dense.weight')).toBe(true);
  expect(trained.test('classifier.dense.weight')).toBe(true);
  expect(optionsOfTrial(common, { method: 'head' })).toEqual({ epochs: 9, method: 'head' });
});

test('a name that is no option is told with its like', () => {
  expect(errorMessage('INVALID_ARGUMENT', () => armsOf({ learningrate: [1e-3] }, true))).toContain('learningRate');
  expect(errorMessage('INVALID_ARGUMENT', () => armsOf({ seed: [1, 2] }, true))).toContain('"seed"');
  expect(errorMessage('INVALID_ARGUMENT', () => armsOf({ method: ['loar' as 'lora'] }, true))).toContain('loar');
});
