/** Misuse of the API: what is disposed, wrong arrays and shapes, calls that meet. */
import * as path from 'node:path';
import {
  Classifier,
  classify,
  createModel,
  Graph,
  loadModel,
  ops,
  Parameter,
  Program,
  plan,
  type TextModel,
  trace,
} from '../../src';
import { linear, loraLinear } from '../../src/kernels';
import { type BadInput, CONFIG, goodModel, openGoodModel } from './support';

const tensor = (rows: number, columns: number) => ({
  data: new Float32Array(rows * columns),
  shape: [rows, columns],
});

const open = (dir: string): Promise<TextModel> => openGoodModel(path.join(dir, 'model'));

function misuse(
  name: string,
  code: BadInput['code'],
  run: (dir: string) => unknown,
  ...says: (string | RegExp)[]
): BadInput {
  return { name, code, says, prepare: (dir) => void goodModel(dir), run };
}

/** Two sentences. */
function smallBatch() {
  return {
    sizes: { T: 5, S: 2, M: 0 },
    tensors: {
      inputIds: Int32Array.of(0, 5, 2, 0, 2),
      positionIds: Int32Array.of(2, 3, 4, 2, 3),
      tokenTypeIds: new Int32Array(5),
      cuSeqlens: Int32Array.of(0, 3, 5),
      firstToken: Int32Array.of(0, 3),
      labels: Int32Array.of(0, 1),
    },
  };
}

/** A program of one small classifier, and a batch for it. */
function smallProgram() {
  const model = createModel(CONFIG, { task: 'sequence-classification' });
  const program = new Program(plan(trace(model, { training: false }), { train: false }), { backend: 'cpu' });
  return { model, program, batch: smallBatch() };
}

function batchCase(name: string, code: BadInput['code'], change: object, ...says: (string | RegExp)[]): BadInput {
  return {
    name,
    code,
    says,
    run: async () => {
      const { program, batch, model } = smallProgram();
      try {
        await program.forward({ ...batch, tensors: { ...batch.tensors, ...change } } as never);
      } finally {
        program.dispose();
        model.dispose();
      }
    },
  };
}

export const API_CASES: readonly BadInput[] = [
  misuse(
    'a disposed classifier',
    'DISPOSED',
    async (dir) => {
      const textModel = await open(dir);
      const classifier = new Classifier(textModel);
      classifier.dispose();
      await classifier.predict(['a']);
    },
    'disposed',
  ),
  misuse(
    'a disposed program',
    'DISPOSED',
    async () => {
      const { program, batch } = smallProgram();
      program.dispose();
      await program.forward(batch);
    },
    'disposed',
    'build a new one',
  ),
  misuse(
    'a classifier whose model was disposed',
    'DISPOSED',
    async (dir) => {
      const textModel = await open(dir);
      using classifier = new Classifier(textModel);
      await classifier.predict(['a']);
      textModel.model.dispose();
      await classifier.predict(['a']);
    },
    'the model of this program was disposed',
    'build a new program',
  ),
  misuse(
    'a training step whose model was disposed',
    'DISPOSED',
    async () => {
      const model = createModel(CONFIG, { task: 'sequence-classification' });
      using program = new Program(plan(trace(model, { training: true }), { train: true }), { backend: 'cpu' });
      model.dispose();
      await program.accumulate(smallBatch(), { zeroGradients: true });
    },
    'the model of this program was disposed',
  ),
  misuse(
    'a classifier option that is mistyped',
    'INVALID_ARGUMENT',
    async (dir) => classify(await open(dir), ['a'], { devise: 'cpu' } as never),
    'has no option "devise"',
    'Did you mean device',
  ),
  misuse(
    'a model option that is mistyped',
    'INVALID_ARGUMENT',
    (dir) => loadModel(path.join(dir, 'model'), { tsk: 'masked-lm' } as never),
    'loadModel: has no option "tsk"',
    'Did you mean task',
  ),
  misuse(
    'a kernel operand that is mistyped',
    'INVALID_ARGUMENT',
    () => loraLinear({ x: tensor(2, 3), wieght: tensor(4, 3), A: tensor(1, 3), B: tensor(4, 1), scaling: 1 } as never),
    'loraLinear: has no option "wieght"',
    'Did you mean weight',
  ),
  misuse(
    'a step while a step runs',
    'BUSY',
    async () => {
      const { program, batch } = smallProgram();
      const running = program.forward(batch);
      try {
        await program.forward(batch);
      } finally {
        await running;
        program.dispose();
      }
    },
    'running',
    'await it',
  ),
  misuse(
    'a text where a list is needed',
    'INVALID_ARGUMENT',
    async (dir) => classify(await open(dir), 'abc' as never),
    'texts is "abc"',
    "predict(['a text'])",
  ),
  misuse(
    'no texts at all',
    'INVALID_ARGUMENT',
    async (dir) => {
      using classifier = new Classifier(await open(dir));
      await classifier.predict(undefined as never);
    },
    'texts is missing',
  ),
  misuse(
    'texts that are no texts',
    'INVALID_DATA',
    async (dir) => classify(await open(dir), [3 as never]),
    'example 0',
  ),
  misuse(
    'an unknown device',
    'INVALID_ARGUMENT',
    async (dir) => classify(await open(dir), ['a'], { device: 'tpu' as never }),
    'tpu',
    'cpu',
  ),
  misuse(
    'an unknown task',
    'INVALID_ARGUMENT',
    (dir) => loadModel(path.join(dir, 'model'), { task: 'chat' as never }),
    'chat',
    'masked-lm',
  ),
  misuse(
    'a model without a task',
    'INVALID_ARGUMENT',
    () => createModel({ ...CONFIG, architectures: ['RobertaModel'] }, {}),
    'task',
  ),
  misuse(
    'no labels',
    'INVALID_ARGUMENT',
    (dir) => loadModel(path.join(dir, 'model'), { task: 'sequence-classification', numLabels: 0 }),
    'numLabels is 0',
  ),
  misuse(
    'a label twice',
    'INVALID_ARGUMENT',
    (dir) => loadModel(path.join(dir, 'model'), { task: 'sequence-classification', labelNames: ['a', 'a'] }),
    'name twice',
  ),
  misuse(
    'a module that is not there',
    'INVALID_ARGUMENT',
    (dir) => loadModel(path.join(dir, 'model'), { task: 'masked-lm' }).model.getSubmodule('roberta.decoder'),
    'roberta.decoder',
  ),

  batchCase('a batch without cuSeqlens', 'INVALID_ARGUMENT', { cuSeqlens: undefined }, 'cuSeqlens'),
  batchCase('cuSeqlens that fall', 'INVALID_ARGUMENT', { cuSeqlens: Int32Array.of(0, 6, 5) }, 'cuSeqlens', 'rise'),
  batchCase('an empty sequence', 'INVALID_ARGUMENT', { cuSeqlens: Int32Array.of(0, 0, 5) }, 'cuSeqlens', 'empty'),
  batchCase(
    'a token beyond the vocabulary',
    'INVALID_ARGUMENT',
    { inputIds: Int32Array.of(0, 6144, 2, 0, 2) },
    'inputIds',
    '6144',
    '0..6143',
  ),
  batchCase('a negative token', 'INVALID_ARGUMENT', { inputIds: Int32Array.of(0, -1, 2, 0, 2) }, 'inputIds', '-1'),
  batchCase(
    'a position beyond the table',
    'INVALID_ARGUMENT',
    { positionIds: Int32Array.of(2, 3, 34, 2, 3) },
    'positionIds',
    '34',
  ),
  batchCase('a label beyond the classes', 'INVALID_ARGUMENT', { labels: Int32Array.of(0, 2) }, 'labels', '0..1'),
  batchCase('labels of another type', 'INVALID_SHAPE', { labels: Float32Array.of(0, 1) }, 'labels', 'i32'),
  batchCase('too few tokens', 'INVALID_SHAPE', { inputIds: Int32Array.of(0, 2) }, 'inputIds', '2'),
  batchCase('an array of numbers', 'INVALID_ARGUMENT', { inputIds: [0, 5, 2, 0, 2] }, 'inputIds'),
  batchCase('64-bit integers', 'INVALID_ARGUMENT', { inputIds: BigInt64Array.of(0n, 5n, 2n, 0n, 2n) }, 'inputIds'),

  misuse(
    'a kernel on another shape',
    'INVALID_SHAPE',
    () => linear({ x: tensor(2, 3), weight: tensor(4, 5) }),
    'linear',
    'W',
  ),
  misuse(
    'a kernel on doubles',
    'INVALID_ARGUMENT',
    () => linear({ x: { data: new Float64Array(6) as never, shape: [2, 3] }, weight: tensor(4, 3) }),
    'Float32Array',
  ),
  misuse(
    'a kernel whose shape its data do not fill',
    'INVALID_SHAPE',
    () => linear({ x: { data: new Float32Array(5), shape: [2, 3] }, weight: tensor(4, 3) }),
    '5',
    '[2, 3]',
  ),
  misuse('a kernel without its weight', 'INVALID_ARGUMENT', () => linear({ x: tensor(2, 3) } as never), 'weight'),
  misuse(
    'a kernel of rank 0',
    'INVALID_SHAPE',
    () => loraLinear({ x: tensor(2, 3), weight: tensor(4, 3), A: tensor(0, 3), B: tensor(4, 0), scaling: 1 }),
    'rank 0',
  ),
  misuse(
    'a scaling that is no number',
    'INVALID_ARGUMENT',
    () =>
      loraLinear({ x: tensor(2, 3), weight: tensor(4, 3), A: tensor(1, 3), B: tensor(4, 1), scaling: 'two' as never }),
    'scaling',
  ),
  misuse(
    'an unknown kernel backend',
    'INVALID_ARGUMENT',
    () => linear({ x: tensor(2, 3), weight: tensor(4, 3) }, { backend: 'tpu' as never }),
    'tpu',
  ),
  misuse(
    'a value used as a number',
    'INVALID_ARGUMENT',
    () => {
      const x = new Graph(false).input('x', 'float', ['T', 4]);
      return (x as never as number) * 2;
    },
    'x',
    'holds none',
  ),
  misuse(
    'operands of two graphs',
    'INVALID_ARGUMENT',
    () => {
      const [a, b] = [new Graph(false), new Graph(false)].map((graph) => graph.input('x', 'float', ['T', 4]));
      return ops.add(a as never, b as never);
    },
    'another graph',
  ),
  misuse(
    'a parameter of another size than its data',
    'INVALID_SHAPE',
    () => new Parameter([2, 3], new Float32Array(5), { name: 'p' }),
    'p',
    '5',
  ),
  misuse(
    'training what is frozen',
    'INVALID_ARGUMENT',
    () => {
      const model = createModel(CONFIG, { task: 'sequence-classification' });
      model.requiresGrad_(false);
      return plan(trace(model, { training: true }), { train: true });
    },
    'nothing to train',
    'frozen',
  ),
];
