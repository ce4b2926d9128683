import { addAdapter, type LoraConfig, resolveLoraConfig } from '../../src/lora';
import { errorMessage } from '../io/temporary';
import { tinyRoberta, trainedNames, valuesOf } from './models';

describe('the configuration', () => {
  it("has PEFT's defaults", () => {
    expect(resolveLoraConfig({})).toMatchObject({
      r: 8,
      loraAlpha: 8,
      useRslora: false,
      loraDropout: 0,
      targetModules: ['query', 'value'],
      rankPattern: {},
      alphaPattern: {},
      modulesToSave: undefined,
      bias: 'none',
      initLoraWeights: true,
    });
  });

  it('scales by 1 with a pattern, unless alpha is given', () => {
    expect(resolveLoraConfig({ pattern: 'att_q' }).loraAlpha).toBeUndefined();
    expect(resolveLoraConfig({ pattern: 'att_q', loraAlpha: 3 }).loraAlpha).toBe(3);
  });

  // Field values that TypeScript would refuse come from JavaScript and JSON.
  it.each<[string, object]>([
    ['r is 0; a rank must be an integer from 1 to 256', { r: 0 }],
    ['r is -4', { r: -4 }],
    ['r is 2.5', { r: 2.5 }],
    ['r is 257', { r: 257 }],
    ['r is 8', { r: '8' }],
    ['rankPattern["query"] is 0', { rankPattern: { query: 0 } }],
    ['loraAlpha is 0', { loraAlpha: 0 }],
    ['loraAlpha is NaN', { loraAlpha: Number.NaN }],
    ['alphaPattern["query"] is -1', { alphaPattern: { query: -1 } }],
    ['loraDropout is 1', { loraDropout: 1 }],
    ['targetModules is 5', { targetModules: 5 }],
    ['targetModules is ""', { targetModules: '' }],
    ['modulesToSave is "classifier"', { modulesToSave: 'classifier' }],
    ['bias is "some"; it must be one of "none", "all", "lora_only"', { bias: 'some' }],
    ['initLoraWeights is "pissa"', { initLoraWeights: 'pissa' }],
    ['has no field "alpha". Did you mean loraAlpha?', { alpha: 16 }],
    ['has no field "lora_alpha". Did you mean loraAlpha?', { lora_alpha: 16 }],
    ['pattern and targetModules are both given', { pattern: 'att_q', targetModules: ['query'] }],
    ['pattern scales by 1', { pattern: 'att_q', useRslora: true }],
    ['pattern is empty', { pattern: ' ' }],
    ['pattern "query(0)" asks for rank 0', { pattern: 'query(0)' }],
    ['has an empty alternative', { pattern: 'query|' }],
    ['pattern holds "que[ry", which is no regular expression', { pattern: 'que[ry' }],
    ['targetModules holds "(query", which is no regular expression', { targetModules: '(query' }],
    ['layersPattern is given without layersToTransform', { layersPattern: 'layer' }],
    ['layersToTransform needs targetModules to be a list', { layersToTransform: [1], targetModules: '.*query' }],
    ['layersToTransform is [-1]', { layersToTransform: -1 }],
    ['matches no module of RobertaForSequenceClassification. Near: roberta.encoder', { targetModules: ['qurey'] }],
    ['targetModules ".*nothing" matches no module', { targetModules: '.*nothing' }],
    ['pattern "nothing(4)" matches no module', { pattern: 'nothing(4)' }],
    ['"roberta.embeddings.LayerNorm" is matched, but it is a LayerNorm', { targetModules: ['LayerNorm'] }],
    ['"roberta.embeddings.word_embeddings" is matched, but it is a Embedding', { targetModules: ['word_embeddings'] }],
    ['rank 17 is too large for "roberta.encoder.layer.0.attention.self.query" of 16 to 16: at most 16', { r: 17 }],
    ['modulesToSave ["klassifier"] matches no module. Near: classifier', { modulesToSave: ['klassifier'] }],
  ])('%s: is an error, and the model stays as it was', (text, config) => {
    const model = tinyRoberta();
    const before = [String(model), trainedNames(model), valuesOf(model)];
    expect(errorMessage('INVALID_LORA', () => addAdapter(model, config as LoraConfig))).toContain(text);
    expect([String(model), trainedNames(model), valuesOf(model)]).toEqual(before);
  });

  it.each(['', 'a.b', 'über', '../x', '1st'])('the adapter name %j is an error', (name) => {
    expect(errorMessage('INVALID_LORA', () => addAdapter(tinyRoberta(), {}, name))).toContain(
      'can not name an adapter',
    );
  });

  it('the same name twice is an error', () => {
    const model = tinyRoberta();
    addAdapter(model, {});
    expect(errorMessage('INVALID_LORA', () => addAdapter(model, {}))).toContain('already has an adapter "default"');
  });

  it('a tied decoder can not be adapted', () => {
    const message = errorMessage('INVALID_LORA', () =>
      addAdapter(tinyRoberta('masked-lm'), { targetModules: ['decoder'] }),
    );
    expect(message).toContain('"lm_head.decoder" is matched, but it shares its weight');
  });
});
