import * as fs from 'node:fs';
import type { JsonObject } from '../../src/io/json';
import { createModel } from '../../src/models';
import { checkFits, maxLengthOf, parseConfig, positionOffsetOf } from '../../src/models/config';
import { errorMessage, sharedData } from '../io/temporary';
import { TINY_BERT, TINY_ROBERTA, without } from './configs';

const parse = (json: JsonObject, options: { modelType?: string; tensorNames?: string[] } = {}) =>
  parseConfig(json, { file: 'here/config.json', ...options });

describe('config.json', () => {
  it('is read for both families', () => {
    const roberta = parse(TINY_ROBERTA);
    expect(roberta).toMatchObject({ family: 'roberta', hiddenSize: 16, numHiddenLayers: 2, hiddenAct: 'gelu' });
    expect(roberta).toMatchObject({ layerNormEps: 1e-5, padTokenId: 1, classifierDropout: null, labelNames: [] });
    expect([positionOffsetOf(roberta), maxLengthOf(roberta)]).toEqual([2, 16]);
    const bert = parse(TINY_BERT);
    expect(bert).toMatchObject({ family: 'bert', typeVocabSize: 2, layerNormEps: 1e-12 });
    expect([positionOffsetOf(bert), maxLengthOf(bert)]).toEqual([0, 16]);
  });

  it('has the defaults of transformers for fields that may be left out', () => {
    const config = parse(
      without(TINY_BERT, 'layer_norm_eps', 'hidden_dropout_prob', 'type_vocab_size', 'pad_token_id'),
    );
    expect(config).toMatchObject({ layerNormEps: 1e-12, hiddenDropout: 0.1, typeVocabSize: 2, padTokenId: 0 });
    expect(parse(without(TINY_ROBERTA, 'pad_token_id')).padTokenId).toBe(1);
  });

  it.each([
    ['gelu', 'gelu'],
    ['gelu_new', 'geluTanh'],
    ['gelu_pytorch_tanh', 'geluTanh'],
    ['relu', 'relu'],
  ])('hidden_act %s is %s', (name, kind) => {
    expect(parse({ ...TINY_ROBERTA, hidden_act: name }).hiddenAct).toBe(kind);
  });

  it('takes labels from id2label', () => {
    const config = parse({ ...TINY_ROBERTA, id2label: { 0: 'no', 1: 'yes', 2: 'perhaps' }, num_labels: 2 });
    expect([config.labelNames, config.numLabels]).toEqual([['no', 'yes', 'perhaps'], 3]);
    expect(parse({ ...TINY_ROBERTA, num_labels: 5 }).numLabels).toBe(5);
  });

  const early = without(TINY_ROBERTA, 'model_type', 'architectures');
  it.each<[string, JsonObject, { modelType?: string; tensorNames?: string[] }, string]>([
    ['architectures', { ...early, architectures: ['BertForMaskedLM'] }, {}, 'bert'],
    ['architectures', { ...early, architectures: ['XLMRobertaModel'] }, {}, 'xlm-roberta'],
    ['tensor names', { ...early, type_vocab_size: 3 }, { tensorNames: ['x', 'roberta.a'] }, 'roberta'],
    ['tensor names', early, { tensorNames: ['bert.embeddings'] }, 'bert'],
    ['positions and types', { ...early, max_position_embeddings: 514 }, {}, 'roberta'],
    ['positions and types', { ...early, max_position_embeddings: 512, type_vocab_size: 2 }, {}, 'bert'],
    ['the option', early, { modelType: 'bert' }, 'bert'],
  ])('early files without model_type are told by %s', (_, json, options, modelType) => {
    expect(parse(json, options).modelType).toBe(modelType);
  });

  it.each<[string, JsonObject, string]>([
    [
      'missing size',
      without(TINY_ROBERTA, 'hidden_size'),
      'field "hidden_size" is missing; expected an integer of at least 1',
    ],
    ['text for a number', { ...TINY_ROBERTA, vocab_size: '30' }, 'field "vocab_size" is "30"; expected an integer'],
    ['no layers', { ...TINY_ROBERTA, num_hidden_layers: 0 }, 'field "num_hidden_layers" is 0'],
    ['fraction', { ...TINY_ROBERTA, hidden_size: 16.5 }, 'field "hidden_size" is 16.5'],
    [
      'dropout 1',
      { ...TINY_ROBERTA, hidden_dropout_prob: 1 },
      'field "hidden_dropout_prob" is 1; expected a number from 0 to 1',
    ],
    ['activation', { ...TINY_ROBERTA, hidden_act: 'silu' }, 'field "hidden_act" is "silu"; expected one of "gelu"'],
    ['positions', { ...TINY_ROBERTA, position_embedding_type: 'relative_key' }, 'expected "absolute"'],
    ['decoder', { ...TINY_ROBERTA, is_decoder: true }, 'field "is_decoder" is true; expected false'],
    ['heads', { ...TINY_ROBERTA, num_attention_heads: 3 }, 'expected a multiple of "num_attention_heads", which is 3'],
    ['padding', { ...TINY_ROBERTA, pad_token_id: 30 }, 'field "pad_token_id" is 30; expected an id below "vocab_size"'],
    ['too few positions', { ...TINY_ROBERTA, max_position_embeddings: 2 }, 'expected more than pad_token_id + 1 = 2'],
    ['label of no text', { ...TINY_ROBERTA, id2label: { 0: 1 } }, 'field "id2label.0" is 1; expected a string'],
    [
      'quantised',
      { ...TINY_ROBERTA, quantization_config: { bits: 4 } },
      'codes of quantised weights are not read. Save the model as floats',
    ],
    ['other model', { ...TINY_ROBERTA, model_type: 'gpt2' }, 'field "model_type" is "gpt2"; expected one of roberta'],
    ['unknown family', { ...early, type_vocab_size: 3 }, "Pass the option modelType: 'roberta' or 'bert'"],
  ])('%s is an error that names the file and the field', (_, json, text) => {
    const message = errorMessage('INVALID_CONFIG', () => parse(json));
    expect(message).toContain('here/config.json: ');
    expect(message).toContain(text);
  });

  // Whether that is an error is for whoever needs the names: meaning/resolve.test.ts.
  it.each<[JsonObject, string]>([
    [{ 0: 'a', 2: 'b' }, 'field "id2label" has the ids 0, 2; expected 0 to 1'],
    [{ 0: 'a', '00': 'b' }, 'field "id2label" has the ids 0, 00'],
    [{ 0: 'a', x: 'b' }, 'field "id2label" has the ids 0, x'],
    [{ 0: 'a', 1: '' }, 'field "id2label" has no name for the id 1'],
  ])('id2label %j names no outputs, and says why', (id2label, problem) => {
    const { labelNames, labelProblem } = parse({ ...TINY_ROBERTA, id2label });
    expect(labelNames).toEqual([]);
    expect(labelProblem).toContain(problem);
  });

  it.each([
    ['roberta-base', 124_647_170],
    ['distilroberta-base', 82_119_938],
    ['roberta-large', 355_361_794],
    ['babyberta', undefined],
  ])('the real %s is read', (name, count) => {
    const file = sharedData('configs', `${name}.json`);
    if (!file) return;
    const json = JSON.parse(fs.readFileSync(file, 'utf8')) as JsonObject;
    const model = createModel(json, { task: 'sequence-classification', numLabels: 2 });
    expect(model.config.family).toBe('roberta');
    expect(model.positionOffset).toBe(2);
    expect(model.maxLength).toBe(model.config.maxPositionEmbeddings - 2);
    const total = model.parameters().reduce((sum, parameter) => sum + parameter.count, 0);
    if (count !== undefined) expect(total).toBe(count);
  });
});

it('a model of a configuration alone that is larger than the memory is told, whatever the memory', () => {
  const model = createModel(TINY_ROBERTA, { task: 'masked-lm' });
  const bytes = 4 * model.parameters().reduce((sum, { count }) => sum + count, 0);
  checkFits(model, 'config.json', bytes);
  expect(errorMessage('OUT_OF_MEMORY', () => checkFits(model, 'config.json', bytes - 1))).toMatch(
    /^config\.json: describes a model/,
  );
});
