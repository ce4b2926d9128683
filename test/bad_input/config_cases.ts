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
  field('layers without end', { num_hidden_layers: 300_000 }, 'num_hidden_layers', '300000', 'at most 256', 'limit'),
  field('more layers than weights', { num_hidden_layers: 3 }, 'num_hidden_layers', 'is 3', 'weights', 'have 2 layers'),
  field('a vocabulary without end', { vocab_size: 2_000_000_000 }, 'vocab_size', '2000000000', 'at most 10000000'),
  field('a hidden size without end', { hidden_size: 10_000_000 }, 'hidden_size', 'at most 65536'),
  field('an intermediate size without end', { intermediate_size: 2 ** 40 }, 'intermediate_size', 'at most 524288'),
  field('heads without end', { num_attention_heads: 1e9 }, 'num_attention_heads', 'at most 4096'),
  field('positions without end', { max_position_embeddings: 1e12 }, 'max_position_embeddings', 'at most 4194304'),
  field('token types without end', { type_vocab_size: 1e9 }, 'type_vocab_size', 'at most 65536'),
  field('labels without end', { num_labels: 1e9, id2label: null }, 'num_labels', 'at most 1000000'),
  field(
    'a matrix without end',
    { vocab_size: 9_000_000, hidden_size: 65_536 },
    '"vocab_size" and "hidden_size" are 9000000 and 65536',
    'more than 4294967296 values',
  ),
  field('a negative number of layers', { num_hidden_layers: -1 }, 'num_hidden_layers', '-1'),
  field('half a layer', { num_hidden_layers: 1.5 }, 'num_hidden_layers', '1.5'),
  field('heads that do not divide the hidden size', { num_attention_heads: 3 }, '16', '3'),
  field('a vocabulary of 2^60', { vocab_size: 2 ** 60 }, 'vocab_size'),
  {
    name: 'sizes that the checkpoint does not have',
    code: 'STATE_MISMATCH',
    says: ['model', 'word_embeddings.weight: [6144, 16]', '65536', 'Take the config.json'],
    prepare: withConfig({ hidden_size: 2 ** 16, num_attention_heads: 1 }),
    run: load,
  },
  field('a dropout of 2', { hidden_dropout_prob: 2 }, 'hidden_dropout_prob', '2'),
  field('an unknown activation', { hidden_act: 'swish9' }, 'hidden_act', 'swish9', 'gelu'),
  field('an unknown architecture', { model_type: 'llama' }, 'model_type', 'llama', 'roberta'),
  field('a decoder', { is_decoder: true }, 'is_decoder', 'decoders'),
  field('relative positions', { position_embedding_type: 'relative_key' }, 'position_embedding_type', 'absolute'),
  field('a quantised checkpoint', { quantization_config: { bits: 4 } }, 'quantization_config', 'not read', 'as floats'),
  field('label ids with a gap', { id2label: { 0: 'a', 2: 'b' } }, 'id2label', 'ids 0, 2', '0 to 1', 'labelNames'),
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

  tokenizer(
    'a token id without end',
    (folder) =>
      editJson(path.join(folder, 'tokenizer.json'), (json) => {
        ((json['model'] as JsonObject)['vocab'] as JsonObject)['end'] = 2_000_000_000;
      }),
    'tokenizer.json',
    'the id of "end" is 2000000000',
    '9999999',
  ),
  tokenizer(
    'an added token id without end',
    (folder) => fs.writeFileSync(path.join(folder, 'added_tokens.json'), '{"<end>": 2000000000}'),
    'added_tokens.json',
    '2000000000',
  ),
  tokenizer(
    'words without end',
    (folder) =>
      editJson(path.join(folder, 'tokenizer.json'), (json) => ({
        ...json,
        model: {
          ...{ type: 'WordPiece', unk_token: '<unk>', continuing_subword_prefix: '##', vocab: { '<unk>': 3 } },
          max_input_chars_per_word: 1e9,
        },
      })),
    'tokenizer.json',
    'max_input_chars_per_word is 1000000000; 1000 is the limit',
  ),

  adapterField('rank without end', { r: 1e9 }, '"r"', 'at most 10000000'),
  adapterField(
    'patterns without end',
    { rank_pattern: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`layer.${i}`, 2])) },
    'rank_pattern',
    'at most 1000 patterns',
  ),
  adapterField('names without end', { target_modules: Array(20_001).fill('query') }, 'target_modules', 'at most 20000'),
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
