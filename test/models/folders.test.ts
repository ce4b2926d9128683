import * as fs from 'node:fs';
import * as path from 'node:path';
import { type JsonObject, readJsonObject } from '../../src/io/json';
import { writeModelFolder } from '../../src/io/model_folder';
import { SafetensorsFile, type TensorData } from '../../src/io/safetensors';
import { addAdapter, unload } from '../../src/lora';
import { createModel, loadModel, saveModel, type TaskModel } from '../../src/models';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { TINY_BERT, TINY_ROBERTA } from './configs';

const values = (model: TaskModel) => model.namedParameters().map(([name, p]) => [name, [...p.data()]]);

/** The tensors of a model under other names, to be written as somebody else's checkpoint. */
function tensorsOf(
  model: TaskModel,
  rename: (name: string) => string | undefined = (name) => name,
  dtype: TensorData['dtype'] = 'F32',
): [string, TensorData][] {
  return model.namedParameters().flatMap(([name, p]): [string, TensorData][] => {
    const other = rename(name);
    return other === undefined ? [] : [[other, { dtype, shape: p.shape, data: p.data() }]];
  });
}

function folderOf(config: JsonObject, tensors: [string, TensorData][], options = {}): string {
  const dir = path.join(temporaryFolder(), 'model');
  writeModelFolder(dir, config, tensors, options);
  return dir;
}

const classification = { task: 'sequence-classification', seed: 3 } as const;

describe.each([
  ['RoBERTa', TINY_ROBERTA, 'roberta', 'RobertaForSequenceClassification'],
  ['BERT', TINY_BERT, 'bert', 'BertForSequenceClassification'],
])('%s folders', (_, config, prefix, architecture) => {
  it('come back as they were saved', () => {
    const dir = path.join(temporaryFolder(), 'saved');
    const model = createModel(config, { ...classification, labelNames: ['bad', 'good'], classifierDropout: 0.3 });
    saveModel(model, dir);
    const loaded = loadModel(dir);
    expect(loaded.report).toEqual({ initialized: [], unused: [] });
    expect(values(loaded.model)).toEqual(values(model));
    expect(loaded.model.task).toBe('sequence-classification');
    expect(loaded.model.labelNames).toEqual(['bad', 'good']);
    expect(loaded.model.config.classifierDropout).toBe(0.3);
    expect(loaded.model.architecture).toBe(architecture);
  });

  it('of a base model get a new head, which is said', () => {
    const base = createModel(config, { ...classification, seed: 8 });
    const inBase = (name: string) => (name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : undefined);
    const dir = folderOf(config, tensorsOf(base, inBase));
    const { model, report } = loadModel(dir, classification);
    const heads = model.namedParameters().filter(([name]) => name.startsWith('classifier.'));
    expect(report).toEqual({ initialized: heads.map(([name]) => name), unused: [] });
    const encoder = ([name]: [string, number[]] | (string | number[])[]) => String(name).startsWith(prefix);
    expect(values(model).filter(encoder)).toEqual(values(base).filter(encoder));
    const fresh = createModel(config, classification);
    expect(values(model).filter((v) => !encoder(v))).toEqual(values(fresh).filter((v) => !encoder(v)));
  });

  it('of another task leave its head unused', () => {
    const mlm = createModel(config, { task: 'masked-lm' });
    const dir = path.join(temporaryFolder(), 'mlm');
    saveModel(mlm, dir);
    const { report } = loadModel(dir, classification);
    expect(report.unused.length).toBe(5);
    expect(report.unused.every((name) => /^(lm_head|cls)\./.test(name))).toBe(true);
    // A tied parameter is saved once, as transformers does.
    const names = [...SafetensorsFile.open(path.join(dir, 'model.safetensors')).tensors.keys()];
    expect(names.filter((name) => name.includes('decoder'))).toEqual([]);
    expect(names.filter((name) => name.endsWith('.bias') && /lm_head\.bias|predictions\.bias/.test(name))).toHaveLength(
      1,
    );
    expect(values(loadModel(dir).model)).toEqual(values(mlm));
  });

  it('with decoder copies, old LayerNorm names and buffers load', () => {
    const mlm = createModel(config, { task: 'masked-lm' });
    const old = tensorsOf(mlm, (name) =>
      name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'),
    );
    const words = mlm.encoderModel.embeddings.word_embeddings.weight;
    const head = prefix === 'bert' ? 'cls.predictions' : 'lm_head';
    old.push([`${head}.decoder.weight`, { dtype: 'F32', shape: words.shape, data: words.data() }]);
    old.push([`${prefix}.embeddings.position_ids`, { dtype: 'I64', shape: [1, 4], data: new BigInt64Array(4) }]);
    const { model, report } = loadModel(folderOf(config, old), { task: 'masked-lm' });
    expect(report).toEqual({ initialized: [], unused: [] });
    expect(values(model)).toEqual(values(mlm));
  });

  it.each(['F16', 'BF16', 'F64'] as const)('in %s and in shards load', (dtype) => {
    const base = createModel(config, classification);
    const dir = folderOf({ ...config, architectures: [architecture] }, tensorsOf(base, undefined, dtype), {
      maxShardBytes: 2000,
    });
    expect(fs.existsSync(path.join(dir, 'model.safetensors.index.json'))).toBe(true);
    const loaded = values(loadModel(dir).model);
    const expected = values(base);
    expect(loaded.map(([name]) => name)).toEqual(expected.map(([name]) => name));
    const step = { F16: 2 ** -11, BF16: 2 ** -8, F64: 0 }[dtype];
    loaded.forEach(([name, got], i) => {
      for (const [j, want] of (expected[i]![1] as number[]).entries()) {
        // Half precision loses more below 2^-14.
        const bound = step * Math.max(Math.abs(want), 2 ** -14);
        if (!(Math.abs((got as number[])[j]! - want) <= bound)) throw new Error(`${name}[${j}] is not ${want}`);
      }
    });
  });

  it('that lack a part of the encoder are an error', () => {
    const base = createModel(config, classification);
    const dir = folderOf(
      config,
      tensorsOf(base, (name) => (name.includes('layer.1.output') ? undefined : name)),
    );
    const message = errorMessage('INVALID_CHECKPOINT', () => loadModel(dir, classification));
    expect(message).toContain('lacks 4 tensors of the encoder');
    expect(message).toContain(`${prefix}.encoder.layer.1.output.dense.weight`);
  });

  it('of other sizes are an error, unless it is a head that may start anew', () => {
    const dir = path.join(temporaryFolder(), 'three');
    saveModel(createModel(config, { ...classification, numLabels: 3 }), dir);
    const message = errorMessage('STATE_MISMATCH', () => loadModel(dir, { numLabels: 2 }));
    expect(message).toContain('[3, 16], config.json and options ask for [2, 16]');
    expect(message).toContain('ignoreMismatchedSizes: true');
    const { report } = loadModel(dir, { numLabels: 2, ignoreMismatchedSizes: true });
    expect(report.initialized).toHaveLength(2);
    expect(report.unused).toEqual(report.initialized);
    const wide = { ...readJsonObject(path.join(dir, 'config.json'), '', 'INTERNAL'), intermediate_size: 32 };
    fs.writeFileSync(path.join(dir, 'config.json'), JSON.stringify(wide));
    expect(errorMessage('STATE_MISMATCH', () => loadModel(dir, { ignoreMismatchedSizes: true }))).toContain(
      'intermediate.dense.weight: [24, 16]',
    );
  });
});

describe('config.json of a saved model', () => {
  const saved = (model: TaskModel) => {
    const dir = path.join(temporaryFolder(), 'saved');
    saveModel(model, dir);
    return readJsonObject(path.join(dir, 'config.json'), '', 'INTERNAL');
  };

  it('is what transformers reads, and keeps what is not known here', () => {
    const model = createModel(
      { ...TINY_ROBERTA, bos_token_id: 5, torch_dtype: 'float16', num_labels: 7 },
      {
        task: 'sequence-classification',
        labelNames: ['no', 'yes'],
        hiddenDropout: 0.2,
      },
    );
    expect(saved(model)).toMatchObject({
      architectures: ['RobertaForSequenceClassification'],
      model_type: 'roberta',
      bos_token_id: 5,
      hidden_dropout_prob: 0.2,
      id2label: { 0: 'no', 1: 'yes' },
      label2id: { no: 0, yes: 1 },
      problem_type: 'single_label_classification',
      torch_dtype: 'float32',
    });
    expect(saved(model)).not.toHaveProperty('num_labels');
  });

  it('names the task', () => {
    expect(saved(createModel(TINY_BERT, { task: 'regression' }))).toMatchObject({ problem_type: 'regression' });
    const tokens = saved(createModel(TINY_BERT, { task: 'token-classification', numLabels: 3 }));
    expect(tokens).toMatchObject({ architectures: ['BertForTokenClassification'] });
    expect(tokens).not.toHaveProperty('problem_type');
    const mlm = saved(createModel({ ...TINY_ROBERTA, model_type: 'camembert' }, { task: 'masked-lm' }));
    expect(mlm).toMatchObject({ architectures: ['CamembertForMaskedLM'], model_type: 'camembert' });
    expect(mlm).not.toHaveProperty('id2label');
  });

  it('is not written with adapters in the model', () => {
    const model = createModel(TINY_ROBERTA, { task: 'regression' });
    addAdapter(model, { r: 2 });
    const dir = path.join(temporaryFolder(), 'saved');
    expect(errorMessage('INVALID_ARGUMENT', () => saveModel(model, dir))).toContain('mergeAndUnload(model)');
    expect(fs.existsSync(dir)).toBe(false);
    unload(model);
    saveModel(model, dir);
    expect(loadModel(dir).model.task).toBe('regression');
  });
});

describe('a model that should not be written', () => {
  const bert = () => createModel(TINY_BERT, classification);
  const withValue = (value: number) => {
    const model = bert();
    const [name, parameter] = model.namedParameters().find(([path]) => path.endsWith('layer.1.output.dense.weight'))!;
    parameter.setData(parameter.data().map((old, i) => (i === 7 ? value : old)));
    return { model, name };
  };

  it.each<['F32' | 'F16' | 'BF16', number, boolean]>([
    ['F16', 65519, true],
    ['F16', 65520, false],
    ['F16', -1e5, false],
    ['BF16', 1e5, true],
    ['BF16', 3.4e38, false],
    ['F32', 3.4e38, true],
    ['F32', Number.NaN, false],
    ['F32', Number.NEGATIVE_INFINITY, false],
  ])('as %s with %s: written %s', (dtype, value, fits) => {
    const dir = path.join(temporaryFolder(), 'saved');
    const { model, name } = withValue(value);
    if (fits) {
      saveModel(model, dir, { dtype });
      expect(
        loadModel(dir)
          .model.namedParameters()
          .every(([, p]) => p.data().every(Number.isFinite)),
      ).toBe(true);
      return;
    }
    const message = errorMessage('INVALID_ARGUMENT', () => saveModel(model, dir, { dtype }));
    expect(message).toContain(`"${name}" holds ${Math.fround(value)}`);
    expect(fs.existsSync(dir)).toBe(false);
  });

  it('beside an adapter: whoever loads the folder would put it on the model', () => {
    const dir = temporaryFolder();
    fs.writeFileSync(path.join(dir, 'adapter_config.json'), '{}');
    expect(errorMessage('INVALID_ARGUMENT', () => saveModel(bert(), dir))).toContain('holds an adapter');
    expect(fs.readdirSync(dir)).toEqual(['adapter_config.json']);
  });
});

describe('a source that changes', () => {
  it('is an error at the next read', () => {
    const dir = path.join(temporaryFolder(), 'saved');
    saveModel(createModel(TINY_ROBERTA, { task: 'regression' }), dir);
    const { model } = loadModel(dir);
    const [, parameter] = model.namedParameters()[0]!;
    fs.appendFileSync(path.join(dir, 'model.safetensors'), 'x');
    expect(errorMessage('SOURCE_CHANGED', () => parameter.data())).toContain('model.safetensors');
  });
});
