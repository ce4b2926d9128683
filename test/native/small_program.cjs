// A LoRA layer with a classifier, forward, backward and an optimizer step, made of the addon alone:
// for processes that make it over and over (out_of_memory.cjs, flat_memory.cjs).
const path = require('node:path');
const addon = require('node-gyp-build')(path.join(__dirname, '..', '..'));

const H = 24;
const R = 4;
const CLASSES = 3;
const step = { seed: 7n, forwardNumber: 1, lossScale: 1 };
const sizes = { T: 6, S: 2, M: 2 };
const batch = { ids: Int32Array.of(0, 1, 2, 3, 4, 5), rows: Int32Array.of(0, 3), labels: Int32Array.of(2, 0) };
const adamw = {
  groups: [{ learningRate: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 }],
  groupOf: [0, 0],
  step: 1,
  maxGradNorm: 1,
};
const filled = (count) => Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));

function parameters() {
  const make = (name, ...shape) => {
    const parameter = new addon.Parameter('cpu', name, shape, 'f32');
    parameter.write('value', filled(shape[0] * shape[1]));
    return parameter;
  };
  return [make('table', 8, H), make('W', H, H), make('A', R, H), make('B', H, R), make('Wc', CLASSES, H)];
}

function build(held, name = 'a name that is longer than a string holds in itself') {
  const value = (kind, dtype, shape, parameter, output) => ({ name, kind, dtype, shape, parameter, output });
  const of = (parameter, ...shape) => value('parameter', 'float', shape, parameter);
  const values = [
    { ...value('input', 'i32', ['T']), name: 'ids' },
    { ...value('input', 'i32', ['M']), name: 'rows' },
    { ...value('input', 'i32', ['M']), name: 'labels' },
    of(0, 8, H),
    of(1, H, H),
    of(2, R, H),
    of(3, H, R),
    of(4, CLASSES, H),
    value('computed', 'float', ['T', H]),
    value('computed', 'float', ['T', H]),
    value('computed', 'float', ['T', R]),
    value('computed', 'float', ['M', H]),
    value('computed', 'float', ['M', CLASSES], undefined, true),
    { ...value('computed', 'float', [1], undefined, true), name: 'loss' },
    value('computed', 'float', ['M', CLASSES]),
    value('computed', 'float', ['M', H]),
    value('computed', 'float', ['T', H]),
    value('gradient', 'float', [R, H], 2),
    value('gradient', 'float', [H, R], 3),
  ];
  const op = (name, inputs, outputs, attributes = {}) => ({ op: name, inputs, outputs, attributes, path: 'layer' });
  const instructions = [
    op('embeddingSum', [0, 3], [8]),
    op('loraLinear', [8, 4, -1, 5, 6], [9, 10], { scaling: 2, dropout: 0.1, site: 1 }),
    op('gatherRows', [9, 1], [11]),
    op('linear', [11, 7], [12]),
    op('crossEntropy', [12, 2], [13]),
    op('crossEntropyBackward', [12, 2], [14]),
    op('linearBackwardInput', [14, 7], [15]),
    op('gatherRowsBackward', [15, 1], [16]),
    op('loraLinearBackward', [16, 8, 10, -1, 5, 6], [-1, 17, 18], { scaling: 2, dropout: 0.1, site: 1 }),
  ];
  return new addon.Program({
    backend: 'cpu',
    compute: 'f32',
    parameters: held,
    values,
    instructions,
    forwardCount: 5,
    fill: () => {},
    packed: () => {},
  });
}

/** Frees the memory of programs and parameters; of what could not be made there is none. */
function disposed(...all) {
  for (const one of all) one?.dispose();
}

module.exports = { addon, H, R, adamw, batch, build, disposed, filled, parameters, sizes, step };
