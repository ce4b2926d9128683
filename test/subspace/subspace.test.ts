/**
 * A model trained as a point in a random subspace: its gradient against differences, a file of
 * kilobytes that opens to the same model, resumed to the same bytes, and what it is refused for.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { addTextAdapter, classify, type FineTuneOptions, fineTune, openTextModel } from '../../src';
import { makeProgram } from '../../src/cli/program';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { createModel, saveModel } from '../../src/models';
import { trace } from '../../src/nn';
import { Subspace } from '../../src/subspace/subspace';
import { failure, temporaryFolder } from '../io/temporary';
import { tinyModel } from '../study/tiny';
import { reviews, TINY } from '../task/tasks';

jest.setTimeout(180_000);

const dir = temporaryFolder();
const model = tinyModel(dir);
const common: Omit<FineTuneOptions, 'outputDir'> = {
  model,
  train: reviews(72, 1),
  dev: reviews(40, 2),
  method: { subspace: 60 },
  epochs: 6,
  batchSize: 8,
  learningRate: 0.05,
  device: 'cpu',
  precision: 'fp32',
};
const at = (name: string) => path.join(dir, name);
const z = (name: string) => fs.readFileSync(path.join(at(name), 'adapter_model.safetensors'));
const texts = reviews(16, 3).map(({ text }) => text);
const probabilities = async (folder: string) => {
  const opened = await openTextModel(folder);
  const found = await classify(opened, texts, { device: 'cpu', precision: 'fp32' });
  opened.model.dispose();
  return found;
};

let trained: Awaited<ReturnType<typeof probabilities>>;

beforeAll(async () => {
  const { textModel, metrics, parameters, output } = await fineTune({ ...common, outputDir: at('whole') });
  // A guess has ln 2.
  expect(metrics?.['loss']).toBeLessThan(0.5);
  expect(parameters.learnable).toBe(60);
  expect(output.bytes).toBeLessThan(1000);
  trained = await classify(textModel, texts, { device: 'cpu', precision: 'fp32' });
  textModel.model.dispose();
});

test('a file of some hundred bytes opens to the same model, and merges into one', async () => {
  expect(await probabilities(at('whole'))).toEqual(trained);
  const written = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  await makeProgram().parseAsync(['', '', 'merge', '--adapter', at('whole'), '--output', at('merged'), '--quiet']);
  expect(written.mock.calls.join('')).toContain('merged into');
  written.mockRestore();
  expect(await probabilities(at('merged'))).toEqual(trained);
});

test.each(['did', 'said'] as const)('%s: the gradient is that of the loss along z', async (structure) => {
  const config = {
    model_type: 'roberta',
    vocab_size: 30,
    hidden_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
  };
  const sizes = { intermediate_size: 12, max_position_embeddings: 12, type_vocab_size: 1 };
  const made = createModel({ ...config, ...sizes }, { task: 'sequence-classification', numLabels: 2 });
  const subspace = new Subspace(made, { dimension: 40, structure, seed: 5 });
  expect(subspace.gains?.count).toBe(structure === 'said' ? 4 : undefined);
  const start = subspace.z.data().map((_, i) => 0.02 * Math.sin(i));
  subspace.z.setData(start);
  await subspace.materialize('reference');
  const planned = plan(trace(made, { training: false }), { train: true });
  using program = new Program(planned, { backend: 'reference' });
  const batch = {
    sizes: { T: 7, S: 2, M: 0 },
    tensors: {
      inputIds: Int32Array.of(0, 5, 9, 2, 0, 7, 2),
      positionIds: Int32Array.of(2, 3, 4, 5, 2, 3, 4),
      tokenTypeIds: new Int32Array(7),
      cuSeqlens: Int32Array.of(0, 4, 7),
      firstToken: Int32Array.of(0, 4),
      labels: Int32Array.of(1, 0),
    },
  };
  const trainedTensors = new Set(planned.trained);
  await program.accumulate(batch, { zeroGradients: true });
  const gradients = await subspace.project('reference', (parameter) =>
    trainedTensors.has(parameter) ? (program.gradient(parameter) as Float32Array) : new Float32Array(parameter.count),
  );
  for (const [i, parameter] of subspace.trained.entries()) {
    const values = parameter.data().slice();
    const most = Math.max(...(gradients[i] as Float32Array).map(Math.abs));
    expect(most).toBeGreaterThan(0);
    for (const k of [0, values.length - 1]) {
      const lossAt = async (change: number) => {
        parameter.setData(values.with(k, (values[k] as number) + change));
        await subspace.materialize('reference');
        await program.forward(batch);
        return program.scalar('loss');
      };
      // Weights are fp32, so that a smaller step would be lost.
      const step = 1e-2;
      const difference = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      expect(Math.abs((gradients[i] as Float32Array)[k]! - difference)).toBeLessThan(2e-2 * most);
    }
    parameter.setData(values);
  }
  made.dispose();
});

test('a run that was stopped ends in the same bytes', async () => {
  const stop = new AbortController();
  const callbacks = [{ onStep: ({ step }: { step: number }) => void (step === 4 && stop.abort()) }];
  const outputDir = at('stopped');
  const stopped = { ...common, outputDir, checkpointEvery: 2 };
  await failure('ABORTED', fineTune({ ...stopped, callbacks, signal: stop.signal }));
  const { textModel } = await fineTune({ ...stopped, resume: true });
  textModel.model.dispose();
  expect(z('stopped')).toEqual(z('whole'));
});

test('refused on another base, with too few dimensions, beside other adapters and to train on', async () => {
  const config = JSON.parse(fs.readFileSync(path.join(model, 'config.json'), 'utf8')) as Record<string, never>;
  saveModel(createModel(config, { task: 'masked-lm', seed: 9 }), at('other'));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    fs.copyFileSync(path.join(TINY, name), path.join(at('other'), name));
  expect(await failure('STATE_MISMATCH', openTextModel(at('whole'), { baseModel: at('other') }))).toContain(
    'another base',
  );
  const few = { ...common, method: { subspace: 4 }, outputDir: at('few') } as const;
  expect(await failure('INVALID_ARGUMENT', fineTune(few))).toContain('needs 5 at the least');
  const on = { ...common, method: 'lora', model: undefined, adapter: at('whole'), outputDir: at('on') } as never;
  expect(await failure('INVALID_ARGUMENT', fineTune(on))).toContain('point in a subspace');
  const opened = await openTextModel(model, { task: 'sequence-classification', numLabels: 2 });
  expect(await failure('INVALID_ARGUMENT', addTextAdapter(opened, at('whole')))).toContain('point in a subspace');
  for (const method of [
    { subspace: 0 },
    { subspace: 1.5 },
    { structure: 'did' },
    { subspace: 9, trainable: 'x' },
    { subspace: 9, structure: 'x' },
  ]) {
    await failure('INVALID_ARGUMENT', fineTune({ ...common, outputDir: at('none'), method: method as never }));
  }
});
