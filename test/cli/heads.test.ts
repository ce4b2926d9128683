/**
 * Models and adapters that lack a head, on the command line: what is refused names both, what is
 * possible without one is done. Decisions themselves: test/task/meaning.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { openTextModel } from '../../src';
import { addAdapter, saveAdapter } from '../../src/lora';
import { loadModel } from '../../src/models';
import { temporaryFolder } from '../io/temporary';
import { makeFiles, run } from './command';

jest.setTimeout(240_000);

const dir = temporaryFolder();
const { model, train } = makeFiles(dir);

/** A PEFT folder as another program writes it, of an encoder without a head. */
function adapterOf(name: string, json: object): string {
  const folder = path.join(dir, name);
  const { model: base } = loadModel(model, { task: 'masked-lm' });
  addAdapter(base, { r: 2, targetModules: ['query', 'value'] }, { seed: 1 });
  for (const [at, parameter] of base.namedParameters()) {
    if (at.includes('lora_B')) parameter.setData(new Float32Array(parameter.count).fill(0.5));
  }
  saveAdapter(base, folder, { baseModel: model });
  base.dispose();
  const file = path.join(folder, 'adapter_config.json');
  const saved = JSON.parse(fs.readFileSync(file, 'utf8')) as object;
  fs.writeFileSync(file, JSON.stringify({ ...saved, ...json }));
  return folder;
}

test('an adapter of features is no classifier, and is merged into the language model', async () => {
  const adapter = adapterOf('features', { task_type: 'FEATURE_EXTRACTION' });
  const output = path.join(dir, 'merged');
  const [predicted, merged] = await Promise.all([
    run(['predict', '--adapter', adapter, 'x']),
    run(['merge', '--adapter', adapter, '--output', output]),
  ]);
  expect(predicted).toMatchObject({ code: 1, stdout: '' });
  expect(predicted.stderr).toContain(`neither ${adapter} nor its base model ${model} has a trained head`);
  expect(predicted.stderr).toContain('is a masked language model');
  expect(predicted.stderr).not.toMatch(/outputs: 0|--task/);
  expect(merged).toMatchObject({ code: 0 });
  const both = await Promise.all([openTextModel(output), openTextModel(model)]);
  const [values, own] = both.map((one) => {
    const found = one.model.namedParameters().find(([at]) => at.endsWith('layer.0.attention.self.query.weight'));
    return [...found![1].data()];
  });
  expect(values).not.toEqual(own);
  expect(both[0]!.model.task).toBe('masked-lm');
  for (const one of both) one.model.dispose();
});

test('a head that the configuration names and the file lacks', async () => {
  const adapter = adapterOf('absent', { task_type: 'SEQ_CLS', modules_to_save: ['classifier'] });
  const { code, stderr } = await run(['eval', train, '--adapter', adapter]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/absent.adapter_model\.safetensors: has no values of classifier, which adapter_config\.json/);
});

test('a head that nobody has', async () => {
  const adapter = adapterOf('headless', { task_type: 'SEQ_CLS' });
  const { code, stderr } = await run(['predict', '--adapter', adapter, 'x']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/error \[INVALID_ARGUMENT\]: neither .*headless nor its base model .*classifier\.out_proj/);
});

test('where paths of an options file were looked for', async () => {
  const config = path.join(dir, 'run.json');
  fs.writeFileSync(config, JSON.stringify({ model, train: 'nowhere.tsv', output: path.join(dir, 'out') }));
  const { code, stderr } = await run(['train', '--config', config]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/nowhere\.tsv: can not be read/);
  expect(stderr).toContain(`Paths in ${config} are seen from the current folder, ${process.cwd()}.`);
});
