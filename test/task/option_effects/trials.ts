/**
 * For each option of fineTune two values between which its effect must be seen. Options of the
 * command line alone and of the hub are tried in option_effects.test.ts itself.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { FineTuneOptions, LoraConfig } from '../../../src';
import { addAdapter, saveAdapter } from '../../../src/lora';
import { createModel, saveModel } from '../../../src/models';
import { makeFiles } from '../../cli/command';
import { reviews, TINY } from '../tasks';

type Options = Partial<FineTuneOptions>;

export interface Trial {
  a: Options;
  b: Options;
  /** What both have, beside the defaults of observe.ts. */
  both?: Options;
  /** A run in the same folder before each, stopped after two steps. */
  stopped?: true;
}

/** Values under a field of `lora`. */
const lora = (a: LoraConfig, b: LoraConfig): Trial => ({ a: { lora: a }, b: { lora: b } });

const pair = <K extends keyof FineTuneOptions>(name: K, a: FineTuneOptions[K], b: FineTuneOptions[K]) =>
  ({ a: { [name]: a }, b: { [name]: b } }) as Trial;

/** Files that trials need, in a folder. */
export function makeInputs(dir: string) {
  const { model } = makeFiles(dir);
  const config = JSON.parse(fs.readFileSync(path.join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
  const folder = (name: string) => path.join(dir, name);
  saveModel(createModel(config as never, { task: 'masked-lm', seed: 9 }), folder('other'));
  saveModel(createModel(config as never, { task: 'sequence-classification', numLabels: 3, seed: 9 }), folder('three'));
  fs.mkdirSync(folder('bytes'));
  const tokenizer = JSON.parse(fs.readFileSync(path.join(TINY, 'tokenizer.json'), 'utf8')) as {
    model: { merges: unknown[] };
  };
  tokenizer.model.merges = [];
  fs.writeFileSync(path.join(folder('bytes'), 'tokenizer.json'), JSON.stringify(tokenizer));
  fs.copyFileSync(path.join(TINY, 'tokenizer_config.json'), path.join(folder('bytes'), 'tokenizer_config.json'));
  const rows = reviews(24, 1).map(({ text, label }, i) => [
    text,
    i % 3 === 0 ? 'a fine day' : 'a long night',
    label,
    `${i % 2}`,
  ]);
  const table = (name: string, separator: string, header = 'text,other,label,class') => {
    const lines = [header.split(','), ...rows].map((row) => row.join(separator));
    fs.writeFileSync(folder(name), `${lines.join('\n')}\n`);
    return folder(name);
  };
  const csv = table('columns.csv', ',');
  const adapted = createModel(config as never, { task: 'sequence-classification', numLabels: 2, seed: 9 });
  addAdapter(adapted, { r: 2, targetModules: ['query'] });
  saveAdapter(adapted, folder('adapter'), { baseModel: model });
  return {
    model,
    csv,
    bars: table('bars.csv', '|'),
    other: folder('other'),
    three: folder('three'),
    bytes: folder('bytes'),
    adapter: folder('adapter'),
  };
}

export function trialsOf(inputs: ReturnType<typeof makeInputs>, dir: string): Record<string, Trial> {
  const { csv, bars } = inputs;
  const dev = reviews(12, 2);
  const measured: Options = { dev, evaluateEvery: 1 };
  // With this rate the last state is not the best.
  const last: Options = { ...measured, learningRate: 0.5, schedule: 'constant' };
  const best: Options = { ...last, metricForBest: 'loss' };
  const numbered = reviews(24, 1).map(({ text }, i) => ({ text, label: i % 2 }));
  const dropped: Options = { method: 'full', learningRate: 1e-3 };
  return {
    model: pair('model', inputs.model, inputs.other),
    adapter: pair('adapter', undefined, inputs.adapter),
    train: pair('train', reviews(24, 1), reviews(32, 1)),
    dev: pair('dev', undefined, dev),
    devSplit: pair('devSplit', undefined, 0.25),
    stream: { a: {}, b: { stream: true, shuffleWindow: 4 }, both: { train: csv } },
    shuffleWindow: { ...pair('shuffleWindow', 4, 24), both: { train: csv, stream: true } },
    outputDir: pair('outputDir', path.join(dir, 'here'), path.join(dir, 'there')),
    tokenizer: pair('tokenizer', TINY, inputs.bytes),
    task: { ...pair('task', 'sequence-classification', 'regression'), both: { train: numbered, dev: numbered } },
    labelNames: pair('labelNames', ['negative', 'positive'], ['positive', 'negative']),
    numLabels: { ...pair('numLabels', 2, 3), both: { train: numbered } },
    ignoreMismatchedSizes: { ...pair('ignoreMismatchedSizes', false, true), both: { model: inputs.three } },
    report: pair('report', true, false),
    tensorboard: pair('tensorboard', false, true),
    modelType: pair('modelType', 'roberta', 'bert'),
    textColumn: { ...pair('textColumn', 'text', 'other'), both: { train: csv } },
    textPairColumn: { ...pair('textPairColumn', undefined, 'other'), both: { train: csv } },
    labelColumn: { ...pair('labelColumn', 'label', 'class'), both: { train: csv } },
    header: { ...pair('header', true, false), both: { train: csv, textColumn: '0', labelColumn: '2' } },
    delimiter: { ...pair('delimiter', undefined, '|'), both: { train: bars } },
    method: pair('method', 'lora', 'full'),
    'method.trainable': pair('method', { trainable: 'classifier' }, { trainable: 'classifier|query' }),
    'method.subspace': pair('method', { subspace: 40 }, { subspace: 80 }),
    'method.structure': pair('method', { subspace: 40, structure: 'did' }, { subspace: 40, structure: 'said' }),
    'lora.r': lora({ r: 4 }, { r: 8 }),
    'lora.loraAlpha': lora({ loraAlpha: 8 }, { loraAlpha: 32 }),
    'lora.useRslora': lora({ useRslora: false }, { useRslora: true }),
    'lora.loraDropout': lora({ loraDropout: 0 }, { loraDropout: 0.5 }),
    'lora.targetModules': lora({ targetModules: 'all-linear' }, { targetModules: ['query'] }),
    'lora.excludeModules': lora({}, { excludeModules: ['query'] }),
    'lora.pattern': lora({ pattern: 'query(4)|value(8)' }, { pattern: 'query(4)' }),
    'lora.bias': lora({ bias: 'none' }, { bias: 'lora_only' }),
    'lora.layersToTransform': lora({}, { layersToTransform: [1] }),
    'lora.layersPattern': lora(
      { layersToTransform: [1], layersPattern: ['layer'] },
      { layersToTransform: [1], layersPattern: ['blocks'] },
    ),
    'lora.rankPattern': lora({}, { rankPattern: { query: 2 } }),
    'lora.alphaPattern': lora({}, { alphaPattern: { query: 64 } }),
    'lora.modulesToSave': lora({}, { modulesToSave: ['classifier', 'roberta.embeddings.LayerNorm'] }),
    'lora.initLoraWeights': lora({ initLoraWeights: true }, { initLoraWeights: 'gaussian' }),
    epochs: pair('epochs', 1, 2),
    maxSteps: pair('maxSteps', 2, 5),
    batchSize: pair('batchSize', 8, 4),
    tokenBudget: pair('tokenBudget', undefined, 24),
    gradientAccumulation: pair('gradientAccumulation', 1, 2),
    learningRate: pair('learningRate', 1e-2, 1e-3),
    schedule: pair('schedule', 'linear', 'constant'),
    warmupRatio: pair('warmupRatio', 0, 0.9),
    warmupSteps: pair('warmupSteps', 0, 3),
    weightDecay: pair('weightDecay', 0, 0.5),
    maxGradNorm: pair('maxGradNorm', 0, 1e-3),
    maxLength: pair('maxLength', undefined, 5),
    truncationSide: { ...pair('truncationSide', 'left', 'right'), both: { maxLength: 5 } },
    seed: pair('seed', 0, 1),
    beta1: pair('beta1', 0.9, 0.5),
    beta2: pair('beta2', 0.999, 0.9),
    eps: pair('eps', 1e-8, 1e-2),
    checkpointEvery: pair('checkpointEvery', 1, 3),
    checkpointLimit: { ...pair('checkpointLimit', 1, 3), both: { checkpointEvery: 1 } },
    resume: { a: { overwrite: true }, b: { resume: true }, stopped: true },
    overwrite: { ...pair('overwrite', false, true), stopped: true },
    ratePatterns: pair('ratePatterns', [], [{ pattern: 'classifier', learningRate: 1e-4 }]),
    hiddenDropout: { ...pair('hiddenDropout', 0, 0.5), both: dropped },
    attentionDropout: { ...pair('attentionDropout', 0, 0.5), both: dropped },
    classifierDropout: { ...pair('classifierDropout', 0, 0.5), both: dropped },
    labelSmoothing: pair('labelSmoothing', 0, 0.2),
    classWeights: pair('classWeights', undefined, [1, 3]),
    keepFrozen: { ...pair('keepFrozen', false, true), both: { method: 'head', hiddenDropout: 0.5 } },
    fused: pair('fused', true, false),
    evaluateEvery: { ...pair('evaluateEvery', 1, 3), both: { dev } },
    metricForBest: { a: {}, b: { metricForBest: 'loss' }, both: last },
    earlyStoppingPatience: {
      ...pair('earlyStoppingPatience', undefined, 1),
      both: { ...best, epochs: 3, greaterIsBetter: true },
    },
    greaterIsBetter: { ...pair('greaterIsBetter', true, false), both: best },
    loadBestAtEnd: { ...pair('loadBestAtEnd', true, false), both: best },
    device: pair('device', 'auto', 'cpu'),
    precision: pair('precision', 'fp32', 'bf16'),
    // Without a library: processes that MPI starts are tried in test/distributed/mpi.test.ts.
    distributed: pair('distributed', 'none', 'mpi'),
    shares: pair('shares', 1, 2),
    baseWeights: pair('baseWeights', 'fp32', 'int8'),
    embeddingWeights: pair('embeddingWeights', 'fp32', 'int8'),
    signal: pair('signal', undefined, AbortSignal.abort()),
  };
}
