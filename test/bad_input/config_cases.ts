/** config.json, adapter_config.json and tokenizer files. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { addAdapter, loadAdapter, loadModel, loadTokenizer, saveAdapter } from '../../src';
import type { JsonObject } from '../../src/io/json';
import { type BadInput, editJson, goodModel, withConfig } from './support';

const load = (dir: string) => loadModel(path.join(dir, 'model'), { task: 'sequence-classification' });

/**
 * One field of config.json made wrong: the message has the file, the field and what is expected.
 */
function field(name: string, fields: JsonObject, ...says: (string | RegExp)[]): BadInput {
  return { name, code: 'INVALID_CONFIG', says: ['config.json', ...says], prepare: withConfig(fields), run: load };
}

const text = (name: string, content: string, ...says: (string | RegExp)[]): BadInput => ({
  name,
  code: 'INVALID_CONFIG',
  says: ['config.json', ...says],
  prepare: (dir) => fs.writeFileSync(path.join(goodModel(dir), 'config.json'), content),
  run: load,
});

const tokenizer = (name: string, spoil: (folder: string) => void, ...says: (string | RegExp)[]): BadInput => ({
  name: `tokenizer: ${name}`,
  code: 'INVALID_TOKENIZER',
  says,
  prepare: (dir) => spoil(goodModel(dir)),
  run: (dir) => loadTokenizer(path.join(dir, 'model')),
});

/** An adapter of the good model, its config changed. */
const adapter = (
  name: string,
  code: BadInput['code'],
  spoil: (folder: string) => void,
  ...says: (string | RegExp)[]
): BadInput => ({
  name: `adapter: ${name}`,
  code,
  says,
  prepare: (dir) => {
    const { model } = loadModel(goodModel(dir), { task: 'sequence-classification' });
    addAdapter(model, { r: 2, targetModules: ['query'] });
    saveAdapter(model, path.join(dir, 'adapter'), {});
    model.dispose();
    spoil(path.join(dir, 'adapter'));
  },
  run: (dir) => {
    const { model } = loadModel(path.join(dir, 'model'), { task: 'sequence-classification' });
    loadAdapter(model, path.join(dir, 'adapter'));
  },
});
const adapterField = (name: string, fields: JsonObject, ...says: (string | RegExp)[]) =>
  adapter(
    name,
    'INVALID_CONFIG',
    (folder) => editJson(path.join(folder, 'adapter_config.json'), (json) => Object.assign(json, fields)),
    'adapter_config.json',
    ...says,
  );

export const CONFIG_CASES: readonly BadInput[] = [
  text('an empty config.json', '', 'not JSON'),
  text('half a config.json', '{"model_type": "roberta"', 'not JSON'),
  text('a list for config.json', '[1, 2]', 'object'),
  field('no vocabulary size', { vocab_size: undefined }, 'vocab_size', 'missing'),
  field('no hidden size', { hidden_size: undefined }, 'hidden_size', 'missing'),
  field('a hidden size in words', { hidden_size: 'large' }, 'hidden_size', '"large"', 'an integer'),
  field('a hidden size of 0', { hidden_size: 0 }, 'hidden_size', '0'),
  field('a negative number of layers', { num_hidden_layers: -1 }, 'num_hidden_layers', '-1'),
  field('half a layer', { num_hidden_layers: 1.5 }, 'num_hidden_layers', '1.5'),
  field('heads that do not divide the hidden size', { num_attention_heads: 3 }, '16', '3'),
  field('a vocabulary of 2^60', { vocab_size: 2 ** 60 }, 'vocab_size'),
  {
    name: 'sizes that the checkpoint does not have, and no memory holds',
    code: 'STATE_MISMATCH',
    says: ['model', 'word_embeddings.weight: [6144, 16]', '1099511627776', 'Take the config.json'],
    prepare: withConfig({ hidden_size: 2 ** 40, num_attention_heads: 1 }),
    run: load,
  },
  field('a dropout of 2', { hidden_dropout_prob: 2 }, 'hidden_dropout_prob', '2'),
  field('an unknown activation', { hidden_act: 'swish9' }, 'hidden_act', 'swish9', 'gelu'),
  field('an unknown architecture', { model_type: 'llama' }, 'model_type', 'llama', 'roberta'),
  field('a decoder', { is_decoder: true }, 'is_decoder', 'decoders'),
  field('relative positions', { position_embedding_type: 'relative_key' }, 'position_embedding_type', 'absolute'),
  field('a quantised checkpoint', { quantization_config: { bits: 4 } }, 'quantization_config', 'not supported'),
  field('label ids with a gap', { id2label: { 0: 'a', 2: 'b' } }, 'id2label', '0 to 1'),
  field('labels as a list', { id2label: ['a', 'b'] }, 'id2label'),
  field('a padding token outside of the vocabulary', { pad_token_id: 6144 }, 'pad_token_id', '6144'),
  field('no positions for RoBERTa', { max_position_embeddings: 2 }, 'max_position_embeddings'),

  tokenizer('no files', (folder) => fs.rmSync(path.join(folder, 'tokenizer.json')), 'tokenizer.json', 'copy'),
  tokenizer(
    'not JSON',
    (folder) => fs.writeFileSync(path.join(folder, 'tokenizer.json'), '{'),
    'tokenizer.json',
    'copy',
  ),
  tokenizer(
    'not UTF-8',
    (folder) => fs.writeFileSync(path.join(folder, 'tokenizer.json'), Buffer.from([0x7b, 0xff, 0x7d])),
    'tokenizer.json',
    'can not be read',
  ),
  tokenizer(
    'without a model',
    (folder) => editJson(path.join(folder, 'tokenizer.json'), (json) => void delete json['model']),
    'tokenizer.json',
    'model',
  ),
  tokenizer(
    'an unknown model',
    (folder) => editJson(path.join(folder, 'tokenizer.json'), (json) => ({ ...json, model: { type: 'Magic' } })),
    'tokenizer.json',
    'Magic',
  ),
  tokenizer(
    'an unknown normaliser',
    (folder) => editJson(path.join(folder, 'tokenizer.json'), (json) => ({ ...json, normalizer: { type: 'Magic' } })),
    'tokenizer.json',
    'Magic',
  ),
  tokenizer(
    'merges that are no pairs',
    (folder) => {
      fs.rmSync(path.join(folder, 'tokenizer.json'));
      fs.writeFileSync(path.join(folder, 'vocab.json'), '{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"a":4}');
      fs.writeFileSync(path.join(folder, 'merges.txt'), '#version: 0.2\na b c\n');
    },
    'merges.txt',
    'merge 1',
    'two symbols',
  ),
  tokenizer(
    'a vocabulary without <s>',
    (folder) => {
      fs.rmSync(path.join(folder, 'tokenizer.json'));
      fs.writeFileSync(path.join(folder, 'vocab.json'), '{"a":0}');
      fs.writeFileSync(path.join(folder, 'merges.txt'), '#version: 0.2\n');
    },
    'vocab.json',
    '<s>',
  ),

  adapterField('of another method', { peft_type: 'IA3' }, 'peft_type', 'IA3', 'LORA'),
  adapterField('DoRA', { use_dora: true }, 'use_dora', 'DoRA is not supported'),
  adapterField('rank in words', { r: 'eight' }, '"r"', 'eight'),
  adapterField('a negative alpha', { lora_alpha: -1 }, 'lora_alpha', '-1'),
  adapterField('an unknown bias', { bias: 'some' }, 'bias', 'some', 'none'),
  adapter(
    'no weights',
    'FILE_NOT_FOUND',
    (folder) => fs.rmSync(path.join(folder, 'adapter_model.safetensors')),
    'adapter_model.safetensors',
  ),
  adapter(
    'truncated weights',
    'INVALID_CHECKPOINT',
    (folder) => fs.truncateSync(path.join(folder, 'adapter_model.safetensors'), 60),
    'adapter_model.safetensors',
    'fetch or write it again',
  ),
  adapter(
    'of another rank than its weights',
    'STATE_MISMATCH',
    (folder) => editJson(path.join(folder, 'adapter_config.json'), (json) => Object.assign(json, { r: 3 })),
    'adapter_model.safetensors',
    'lora_A',
  ),
];
