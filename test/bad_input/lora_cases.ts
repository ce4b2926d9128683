/** LoRA configurations that are impossible, alone or for a model. */
import * as path from 'node:path';
import {
  addAdapter,
  deleteAdapter,
  type LoraConfig,
  loadModel,
  merge,
  saveAdapter,
  setActiveAdapters,
} from '../../src';
import { type BadInput, goodModel } from './support';

const open = (dir: string) => loadModel(path.join(dir, 'model'), { task: 'sequence-classification' }).model;

function config(name: string, lora: object, ...says: (string | RegExp)[]): BadInput {
  return {
    name,
    code: 'INVALID_LORA',
    says,
    prepare: (dir) => void goodModel(dir),
    run: (dir) => addAdapter(open(dir), lora as LoraConfig),
  };
}

function use(
  name: string,
  code: BadInput['code'],
  run: (model: ReturnType<typeof open>, dir: string) => unknown,
  ...says: (string | RegExp)[]
): BadInput {
  return { name, code, says, prepare: (dir) => void goodModel(dir), run: (dir) => run(open(dir), dir) };
}

export const LORA_CASES: readonly BadInput[] = [
  config('r = 0', { r: 0 }, 'r is 0', '1 to 256'),
  config('r = -4', { r: -4 }, 'r is -4', '1 to 256'),
  config('r = 2.5', { r: 2.5 }, 'r is 2.5', 'integer'),
  config('r = NaN', { r: Number.NaN }, 'r is NaN'),
  config('r in words', { r: '8' }, 'r is 8', 'integer'),
  config('r = 257', { r: 257 }, 'r is 257', '256'),
  config('r over min(in, out)', { r: 17, targetModules: ['query'] }, '17', '16', 'query'),
  config('alpha = 0', { loraAlpha: 0 }, 'loraAlpha is 0', 'above 0'),
  config('alpha = Infinity', { loraAlpha: Number.POSITIVE_INFINITY }, 'loraAlpha is Infinity'),
  config('a dropout of 1', { loraDropout: 1 }, 'loraDropout is 1', 'below 1'),
  config('a pattern that matches nothing', { targetModules: ['qeury'] }, 'qeury', 'query'),
  config('a regular expression that matches nothing', { targetModules: '.*nothing.*' }, 'nothing'),
  config('a broken regular expression', { targetModules: '(' }, 'targetModules', '('),
  config('a target that is no Linear', { targetModules: ['LayerNorm'] }, 'LayerNorm', 'Linear'),
  config('an embedding as the target', { targetModules: ['word_embeddings'] }, 'word_embeddings', 'Linear'),
  config('targets as a number', { targetModules: 3 }, 'targetModules is 3', 'list of names'),
  config('no targets', { targetModules: [] }, 'targetModules'),
  config('layers that the model lacks', { targetModules: ['query'], layersToTransform: [7] }, '7'),
  config('a layer of -1', { targetModules: ['query'], layersToTransform: -1 }, 'layersToTransform', 'from 0'),
  config('an unknown field', { rank: 8 }, '"rank"', 'Did you mean r'),
  config('a misspelt field', { loraAplha: 8 }, '"loraAplha"', 'loraAlpha'),
  config('an unknown bias', { bias: 'both' }, 'bias is "both"', 'lora_only'),
  config('an unknown initialisation', { initLoraWeights: 'magic' }, 'initLoraWeights', 'gaussian'),
  config('a rank pattern of 0', { rankPattern: { query: 0 } }, 'rankPattern["query"]', '1 to 256'),
  config('modules to save that are not there', { modulesToSave: ['head9'] }, 'head9'),
  config('a broken article pattern', { pattern: 'query(' }, 'query('),
  use(
    'the same adapter twice',
    'INVALID_LORA',
    (model) => {
      addAdapter(model, { targetModules: ['query'] }, 'a');
      addAdapter(model, { targetModules: ['query'] }, 'a');
    },
    'already has an adapter "a"',
    'another name',
  ),
  use(
    'an adapter name that is no name',
    'INVALID_LORA',
    (model) => addAdapter(model, { targetModules: ['query'] }, '../a'),
    '../a',
    'letters',
  ),
  use('to activate an adapter that is not there', 'INVALID_ARGUMENT', (model) => setActiveAdapters(model, 'b'), 'b'),
  use('to delete an adapter that is not there', 'INVALID_ARGUMENT', (model) => deleteAdapter(model, 'b'), 'b'),
  use('to merge without an adapter', 'INVALID_ARGUMENT', (model) => merge(model), 'adapter'),
  use(
    'to save an adapter of a model without one',
    'INVALID_ARGUMENT',
    (model, dir) => saveAdapter(model, path.join(dir, 'out'), {}),
    'adapter',
  ),
];
