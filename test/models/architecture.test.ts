import type { Graph } from '../../src/graph/value';
import { createModel, type Task } from '../../src/models';
import { trace } from '../../src/nn';
import { errorMessage } from '../io/temporary';
import { TINY_BERT, TINY_ROBERTA } from './configs';

const ops = (graph: Graph, last: number) => graph.nodes.slice(-last).map(({ op, path }) => `${op} ${path}`.trim());
const inputs = (graph: Graph) => [...graph.inputs.keys()].sort();
const ENCODER_INPUTS = ['cuSeqlens', 'inputIds', 'positionIds', 'tokenTypeIds'];

describe('heads', () => {
  it('RoBERTa classifies by dense, tanh and out_proj on the first token, with dropout masks by token', () => {
    const graph = trace(createModel(TINY_ROBERTA, { task: 'sequence-classification', numLabels: 3 }));
    expect(ops(graph, 7)).toEqual([
      'gatherRows',
      'dropout classifier.dropout',
      'linear classifier.dense',
      'activation classifier.activation',
      'dropout classifier.dropout',
      'linear classifier.out_proj',
      'crossEntropy loss',
    ]);
    expect(inputs(graph)).toEqual([...ENCODER_INPUTS, 'firstToken', 'labels'].sort());
    expect(graph.outputs.get('logits')!.shape).toEqual(['S', 3]);
    for (const node of graph.nodes.slice(-7).filter(({ op }) => op === 'dropout')) {
      expect(node.inputs[1]!.name).toBe('firstToken');
    }
  });

  it('BERT classifies by its pooler, dropout and a linear', () => {
    const graph = trace(createModel(TINY_BERT, { task: 'sequence-classification' }));
    expect(ops(graph, 6)).toEqual([
      'gatherRows',
      'linear bert.pooler.dense',
      'activation bert.pooler.activation',
      'dropout dropout',
      'linear classifier',
      'crossEntropy loss',
    ]);
  });

  it.each([TINY_ROBERTA, TINY_BERT])('regression has a squared loss with float targets', (config) => {
    const graph = trace(createModel(config, { task: 'regression' }));
    expect(ops(graph, 1)).toEqual(['mse loss']);
    const targets = graph.inputs.get('targets')!;
    expect([targets.dtype, targets.shape]).toEqual(['float', ['S', 1]]);
    expect(graph.inputs.has('labels')).toBe(false);
  });

  it.each([TINY_ROBERTA, TINY_BERT])('several labels a text have a target each', (config) => {
    const graph = trace(createModel(config, { task: 'multi-label-classification', numLabels: 3 }));
    expect(ops(graph, 1)).toEqual(['bceWithLogits loss']);
    expect(graph.inputs.get('targets')).toMatchObject({ dtype: 'float', shape: ['S', 3] });
  });

  it.each([TINY_ROBERTA, TINY_BERT])('token classification has logits for every token', (config) => {
    const graph = trace(createModel(config, { task: 'token-classification', numLabels: 5 }));
    expect(ops(graph, 3)).toEqual(['dropout dropout', 'linear classifier', 'crossEntropy loss']);
    expect(graph.outputs.get('logits')!.shape).toEqual(['T', 5]);
    expect(graph.inputs.get('labels')!.shape).toEqual(['T']);
    expect(graph.inputs.has('firstToken')).toBe(false);
  });

  it.each([
    [TINY_ROBERTA, 'roberta', 'lm_head', ['dense', 'activation', 'layer_norm', 'decoder']],
    [
      TINY_BERT,
      'bert',
      'cls.predictions',
      ['transform.dense', 'transform.transform_act_fn', 'transform.LayerNorm', 'decoder'],
    ],
  ])('masked LM decodes the masked rows alone, with the embedding as weight', (config, encoder, head, names) => {
    const model = createModel(config, { task: 'masked-lm' });
    const graph = trace(model);
    expect(graph.nodes.slice(-5, -1).map(({ path }) => path)).toEqual(names.map((name) => `${head}.${name}`));
    expect(graph.outputs.get('logits')!.shape).toEqual(['M', 30]);
    expect(graph.inputs.get('labels')!.shape).toEqual(['M']);
    const decoder = graph.nodes.at(-2)!;
    expect(decoder.inputs[1]!.name).toBe(`${encoder}.embeddings.word_embeddings.weight`);
    expect(decoder.inputs[2]!.name).toBe(`${head}.bias`);
    const all = model.namedParameters({ all: true }).map(([name]) => name);
    expect(all).toContain(`${head}.decoder.weight`);
    const once = model.namedParameters().map(([name]) => name);
    expect(once).not.toContain(`${head}.decoder.weight`);
    expect(once).not.toContain(`${head}.decoder.bias`);
    expect(once).toContain(`${head}.bias`);
  });

  it('passes loss options on', () => {
    const model = createModel(TINY_ROBERTA, { task: 'sequence-classification' });
    const graph = trace(model, { lossOptions: { labelSmoothing: 0.1, ignoreIndex: -1 } });
    expect(graph.nodes.at(-1)!.attributes).toEqual({ labelSmoothing: 0.1, ignoreIndex: -1 });
  });
});

describe('options', () => {
  const dropouts = (graph: Graph) =>
    Object.fromEntries(
      graph.nodes.filter((n) => n.attributes['dropout']).map((n) => [n.path, n.attributes['dropout']]),
    );

  it('override dropout rates', () => {
    const options = { hiddenDropout: 0.2, attentionDropout: 0.3, classifierDropout: 0.05 };
    const model = createModel(TINY_ROBERTA, { task: 'sequence-classification', ...options });
    expect(dropouts(trace(model))).toMatchObject({
      'roberta.embeddings.dropout': 0.2,
      'roberta.encoder.layer.1.attention.self': 0.3,
      'roberta.encoder.layer.1.output.dropout': 0.2,
      'classifier.dropout': 0.05,
    });
    expect(dropouts(trace(createModel(TINY_ROBERTA, { task: 'regression', hiddenDropout: 0.25 })))).toMatchObject({
      'classifier.dropout': 0.25,
    });
  });

  it('take the task from architectures where none is given', () => {
    expect(createModel(TINY_ROBERTA).task).toBe('masked-lm');
    const architectures = ['RobertaForSequenceClassification'];
    expect(createModel({ ...TINY_ROBERTA, architectures }).task).toBe('sequence-classification');
    expect(createModel({ ...TINY_ROBERTA, architectures, problem_type: 'regression' }).task).toBe('regression');
    const severalLabels = { ...TINY_ROBERTA, architectures, problem_type: 'multi_label_classification' };
    expect(createModel(severalLabels).task).toBe('multi-label-classification');
    expect(errorMessage('INVALID_ARGUMENT', () => createModel(TINY_BERT))).toContain('"BertModel" tells no task');
  });

  it('name labels', () => {
    const task = 'sequence-classification' as const;
    expect(createModel(TINY_ROBERTA, { task }).labelNames).toEqual(['LABEL_0', 'LABEL_1']);
    const named = createModel(TINY_ROBERTA, { task, labelNames: ['bad', 'good', 'odd'] });
    expect([named.numLabels, named.labelNames]).toEqual([3, ['bad', 'good', 'odd']]);
    const fromFile = createModel({ ...TINY_ROBERTA, id2label: { 0: 'x', 1: 'y' } }, { task });
    expect(fromFile.labelNames).toEqual(['x', 'y']);
    expect(createModel({ ...TINY_ROBERTA, id2label: { 0: 'x', 1: 'y' } }, { task, numLabels: 3 }).labelNames).toEqual([
      'LABEL_0',
      'LABEL_1',
      'LABEL_2',
    ]);
  });

  it.each<[string, Parameters<typeof createModel>[1]]>([
    ['task is "nonsense"', { task: 'nonsense' as Task }],
    ['numLabels is 0', { task: 'regression', numLabels: 0 }],
    ['labelNames has 1 names', { task: 'sequence-classification', numLabels: 2, labelNames: ['a'] }],
    ['labelNames has a name twice', { task: 'sequence-classification', labelNames: ['a', 'a'] }],
    ['hiddenDropout is 1', { task: 'regression', hiddenDropout: 1 }],
  ])('%s is an error', (text, options) => {
    expect(errorMessage('INVALID_ARGUMENT', () => createModel(TINY_ROBERTA, options))).toContain(text);
  });

  it('refuse an untied decoder', () => {
    const json = { ...TINY_ROBERTA, tie_word_embeddings: false };
    expect(errorMessage('INVALID_CONFIG', () => createModel(json))).toContain('tie_word_embeddings');
    expect(createModel(json, { task: 'regression' }).task).toBe('regression');
  });
});
