/**
 * The article "Dive Into LoRA Adapters" (Mariano Kamp) from end to end: adapters by its pattern,
 * its table of parameters, then the head alone, everything and LoRA trained on an encoder that is
 * at hand, merged, and its results beside ours. docs/article.md tells it;
 * the task is examples/sentiment_grammar.
 *
 *     npx tsx examples/dive_into_lora.ts
 *     npx tsx examples/dive_into_lora.ts --model roberta-base --train train.tsv --dev dev.tsv
 *
 * Without a model it takes the small encoder of the quickstart and a task made by a grammar.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
// In your program all of these come from 'fused-lora'.
import {
  addAdapter,
  createModel,
  type Example,
  evaluate,
  type FineTuneOptions,
  fineTune,
  formatParameterTable,
  formatTotals,
  mergeAndUnload,
  openTextModel,
  parameterTable,
  saveModel,
} from '../src';
import { makeSentimentTask } from './sentiment_grammar';

/** config.json of roberta-base: what its shapes follow from. Counting needs no weights. */
const ROBERTA_BASE = {
  model_type: 'roberta',
  vocab_size: 50265,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 514,
  type_vocab_size: 1,
  pad_token_id: 1,
  bos_token_id: 0,
  eos_token_id: 2,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  layer_norm_eps: 1e-5,
};

/** The article's: the query of attention, and both linears called output.dense. */
const PATTERN = 'query|output.dense';
const RANK = 4;

/** SST-2 on RoBERTa-base: results.csv of marianokamp/peft_lora. */
const ARTICLE = {
  full: { accuracy: 0.9459, deviation: 0.0022, trained: 100 },
  head: { accuracy: 0.8243, deviation: 0.0015, trained: 0.475 },
  lora: { accuracy: 0.9456, deviation: 0.0033, trained: 1.0074 },
} as const;

type Method = keyof typeof ARTICLE;

export interface DiveResult {
  /** Of RoBERTa-base with two labels: before, with adapters. */
  counts: { before: number; total: number; learnable: number };
  /** Of the encoder that was at hand, on dev. */
  accuracy: Record<Method, number>;
  /** Of LoRA once its adapter is merged into the weights. */
  merged: number;
}

/** The table of the article, which needs no weights. */
function countParameters(print: (line: string) => void): DiveResult['counts'] {
  const model = createModel(ROBERTA_BASE, { task: 'sequence-classification', numLabels: 2 });
  const before = parameterTable(model).total;
  print(`RoBERTa-base before: ${formatTotals(parameterTable(model))}`);
  // Freezes all, puts adapters on the modules of the pattern, and leaves the head to learn.
  addAdapter(model, { pattern: PATTERN, r: RANK });
  const table = parameterTable(model);
  const shown = formatParameterTable(table).split('\n');
  const ofLastLayer = shown.filter((line) => /layer\.11\.output|^classifier/.test(line));
  print(`with adapters of rank ${RANK} on ${PATTERN}, the last layer and the head of ${shown.length - 2} rows:`);
  for (const line of [...ofLastLayer, shown.at(-1) as string]) print(line);
  model.dispose();
  return { before, total: table.total, learnable: table.learnable };
}

const SETTINGS: Readonly<Record<Method, Partial<FineTuneOptions>>> = {
  full: { method: 'full', learningRate: 3e-4 },
  head: { method: 'head', learningRate: 3e-3 },
  lora: { method: 'lora', lora: { pattern: PATTERN, r: RANK }, learningRate: 2e-3 },
};
/** Rates for RoBERTa-base, as in the article. */
const BASE_RATES: Readonly<Record<Method, number>> = { full: 5e-5, head: 1e-3, lora: 4e-4 };

export interface DiveOptions {
  model?: string;
  train?: string | readonly Example[];
  dev?: string | readonly Example[];
  epochs?: number;
  /** Where the runs go; a temporary folder, which is removed, without it. */
  output?: string;
}

export async function main(
  print: (line: string) => void = console.log,
  options: DiveOptions = {},
): Promise<DiveResult> {
  const counts = countParameters(print);
  const dir = options.output ?? fs.mkdtempSync(path.join(os.tmpdir(), 'dive-into-lora-'));
  const model = options.model ?? path.join(__dirname, '..', 'assets', 'tiny-roberta');
  const task = makeSentimentTask();
  const { train = task.train, dev = task.dev, epochs = 3 } = options;
  const accuracy: Record<Method, number> = { head: 0, full: 0, lora: 0 };
  const trained: Record<Method, number> = { head: 0, full: 0, lora: 0 };
  try {
    for (const method of ['head', 'full', 'lora'] as const) {
      const { textModel, metrics, parameters, training } = await fineTune({
        ...SETTINGS[method],
        ...(options.model !== undefined && { learningRate: BASE_RATES[method] }),
        ...{ model, train, dev, epochs, outputDir: path.join(dir, method), metricForBest: 'accuracy', report: true },
      });
      textModel.model.dispose();
      accuracy[method] = metrics?.['accuracy'] as number;
      trained[method] = (100 * parameters.learnable) / parameters.total;
      print(`${method}: accuracy ${accuracy[method].toFixed(4)}, ${training.samplesPerSecond.toFixed(0)} samples/s`);
    }
    const merged = await mergedAccuracy(path.join(dir, 'lora'), path.join(dir, 'merged'), dev);
    print(`merged into the weights: accuracy ${merged.toFixed(4)}`);
    print('');
    print(
      '| | trained here | accuracy here | trained in the article | accuracy in the article (RoBERTa-base, SST-2) |',
    );
    print('| --- | --- | --- | --- | --- |');
    for (const method of ['full', 'lora', 'head'] as const) {
      const { accuracy: theirs, deviation, trained: share } = ARTICLE[method];
      print(
        `| ${method} | ${trained[method].toFixed(3)} % | ${accuracy[method].toFixed(4)} | ${share} % | ${theirs} ± ${deviation} |`,
      );
    }
    return { counts, accuracy, merged };
  } finally {
    if (options.output === undefined) fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** W0 + s·B·A as plain weights: a model that has no adapter any more, and the same answers. */
async function mergedAccuracy(adapter: string, folder: string, dev: string | readonly Example[]): Promise<number> {
  const textModel = await openTextModel(adapter);
  mergeAndUnload(textModel.model);
  saveModel(textModel.model, folder);
  const { metrics } = await evaluate(textModel, dev);
  textModel.model.dispose();
  return metrics['accuracy'] as number;
}

if (require.main === module) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { model: text, train: text, dev: text, epochs: text, output: text } });
  const { epochs, ...others } = values;
  main(console.log, { ...others, ...(epochs !== undefined && { epochs: Number(epochs) }) }).catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
