/**
 * Any module of a model can be saved whole, and what then
 * stands in its place is used as the module itself is.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { readJsonObject } from '../../src/io/json';
import { SafetensorsFile, writeSafetensors } from '../../src/io/safetensors';
import { addAdapter, disableAdapters, loadAdapter, ModulesToSave, saveAdapter } from '../../src/lora';
import type { TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { batchOf } from '../oracle/cases';
import { fillAdapters, tinyBert, tinyRoberta, trainedNames } from './models';

const BATCH = { inputIds: [3, 8, 15, 20, 7, 9, 29, 4], cuSeqlens: [0, 3, 4, 8], tokenTypeIds: null, labels: [0, 0, 0] };

async function logits(model: TaskModel): Promise<Float32Array> {
  const graph = trace(model, { training: false, loss: false });
  using program = new Program(plan(graph, { train: false, fused: true }), { backend: 'cpu' });
  await program.forward(batchOf(BATCH, model), { seed: 1n });
  return Float32Array.from(program.read('logits'));
}

/** Of the two layers the second stands for both. */
const modules = (model: TaskModel) =>
  model.namedModules().filter(([at, module]) => at !== '' && module.parameters().length > 0 && !at.includes('layer.0'));

describe.each([
  ['RoBERTa', tinyRoberta],
  ['BERT', tinyBert],
])('%s', (_, make) => {
  let before: Float32Array;
  beforeAll(async () => {
    before = await logits(make());
  });

  it.each(modules(make()).map(([at]) => at))('%s', async (at) => {
    const model = make();
    addAdapter(model, { pattern: 'clf_only', modulesToSave: [at] });
    expect(model.getSubmodule(at)).toBeInstanceOf(ModulesToSave);
    expect(trainedNames(model).every((name) => name.startsWith(`${at}.modules_to_save.default.`))).toBe(true);
    for (const parameter of model.getSubmodule(at).parameters()) {
      parameter.setData(parameter.data().map((value, i) => value + 0.3 * Math.sin(i)));
    }
    expect(await logits(model)).not.toEqual(before);
    disableAdapters(model);
    expect(await logits(model)).toEqual(before);
  });
});

it('names are ends of paths, and the outer one of two is saved', () => {
  const saved = (names: string[]) => {
    const model = tinyRoberta();
    addAdapter(model, { pattern: 'clf_only', modulesToSave: names });
    return model.namedModules().flatMap(([at, module]) => (module instanceof ModulesToSave ? [at] : []));
  };
  expect(saved(['proj', 'classifier'])).toEqual(['classifier']);
  expect(saved(['proj'])).toEqual(['classifier.out_proj']);
  expect(saved(['Norm'])).toHaveLength(5);
  expect(saved(['layer.1'])).toEqual(['roberta.encoder.layer.1']);
});

it('a module that is a target too is refused, unless its name keeps targets off', () => {
  const config = { r: 2, targetModules: ['query', 'out_proj'] };
  const message = errorMessage('INVALID_LORA', () => addAdapter(tinyRoberta(), { ...config, modulesToSave: ['proj'] }));
  expect(message).toContain('"classifier.out_proj" is matched, and modulesToSave ["proj"] saves it whole too');
  expect(addAdapter(tinyRoberta(), { ...config, modulesToSave: ['out_proj'] })).toHaveLength(2);
});

describe('what an adapter of an encoder alone holds', () => {
  /** An adapter on the whole model, as if it had been put on its encoder. */
  function ofEncoder(extra: string[]): string {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['dense'], modulesToSave: [] });
    fillAdapters(model);
    const dir = saveAdapter(model, path.join(temporaryFolder(), 'adapter'));
    const weights = path.join(dir, 'adapter_model.safetensors');
    const file = SafetensorsFile.open(weights);
    const held = [...file.tensors].filter(([key]) => !key.includes('classifier'));
    const tensors = held.map(([key, { shape }]) => ({
      key: key.replace('.roberta.', '.'),
      shape,
      data: file.readFloat32(key),
    }));
    for (const key of extra) tensors.push({ key: `base_model.model.${key}`, shape: [2, 2], data: new Float32Array(4) });
    writeSafetensors(
      weights,
      tensors.map(({ key, ...tensor }) => [key, { dtype: 'F32', ...tensor }]),
    );
    const config = path.join(dir, 'adapter_config.json');
    const json = { ...readJsonObject(config, '', 'INTERNAL'), task_type: 'FEATURE_EXTRACTION', modules_to_save: null };
    fs.writeFileSync(config, JSON.stringify(json));
    return dir;
  }

  it('goes to the encoder; a pooler that the model lacks is left out, and told', () => {
    const notices: string[] = [];
    const dir = ofEncoder(['pooler.dense.lora_A.weight', 'pooler.dense.lora_B.weight']);
    const targets = loadAdapter(tinyRoberta(), dir, { onNotice: (line) => notices.push(line) });
    expect(targets).toHaveLength(6);
    expect(notices).toEqual([expect.stringContaining('2 tensors of a pooler are left out')]);
  });

  it('else must be there', () => {
    const dir = ofEncoder(['encoder.layer.7.output.dense.lora_A.weight']);
    expect(errorMessage('STATE_MISMATCH', () => loadAdapter(tinyRoberta(), dir))).toContain('roberta.encoder.layer.7');
  });
});
