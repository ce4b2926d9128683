/**
 * The two figures of Aghajanyan et al. 2020 in small: d90 of a task against steps of pretraining,
 * and against the size of the model, on encoders that are pretrained here.
 * What the numbers are: docs/intrinsic_dimension.md; the words are those of
 * examples/sentiment_grammar/lexicon.ts.
 *
 *     npx tsx examples/intrinsic_dimension.ts FOLDER [--quick]
 *
 * The folder gets the encoders, results.json and report.html; the same command goes on.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
// In your program all of these come from 'fused-lora'.
import { type IntrinsicResults, intrinsicDimension, pretrain, type TextExample } from '../src';
import { ASPECTS, TRAIN_OPINIONS } from './sentiment_grammar/lexicon';

const TOKENIZER = path.join(__dirname, '..', 'assets', 'tiny-roberta');

/** `the plot is subtle and warm .`: two opinions of one kind, a function of the seed. */
function sentences(count: number, seed: number): TextExample[] {
  let state = seed;
  const pick = <T>(items: readonly T[]): T => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return items[Math.floor((state / 2 ** 32) * items.length)] as T;
  };
  return Array.from({ length: count }, () => {
    const label = pick(['positive', 'negative'] as const);
    const opinion = () => pick(TRAIN_OPINIONS[label]);
    return { text: `${pick(ASPECTS)} is ${opinion()} and ${opinion()} .`, label };
  });
}

/** What is pretrained and searched; less of it, where a test says so. */
export interface Plan {
  /** Steps of pretraining, at hidden size `atSize`. */
  steps: readonly number[];
  atSize: number;
  /** Hidden sizes, each pretrained for `atSteps` steps. */
  sizes: readonly number[];
  atSteps: number;
  structures: readonly ('did' | 'said')[];
  /** Learning rates in a subspace. */
  rates: readonly number[];
  labelled: number;
  measured: number;
  epochs: number;
  seeds: number;
  to: number;
  refine: number;
}

// After 80 steps of pretraining 3,162 dimensions were not enough: four points need more steps.
const PLAN: Plan = {
  ...{ steps: [320, 640, 1280, 2560], atSize: 32, sizes: [16, 32, 64, 128], atSteps: 1280, structures: ['did'] },
  ...{ rates: [3e-3, 1e-2], labelled: 640, measured: 400, epochs: 8, seeds: 2, to: 10_000, refine: 1 },
};

/** With --quick: a model less of each kind, and one seed. */
const QUICK: Plan = { ...PLAN, steps: [640, 1280, 2560], sizes: [16, 32, 64], seeds: 1, to: 3162 };

const configOf = (hidden: number) => ({
  ...{ model_type: 'roberta', vocab_size: 6144, hidden_size: hidden, intermediate_size: 4 * hidden },
  ...{ num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 66, type_vocab_size: 1 },
  ...{ pad_token_id: 1, bos_token_id: 0, eos_token_id: 2, hidden_act: 'gelu', initializer_range: 0.05 },
  ...{ hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, layer_norm_eps: 1e-5 },
});

/** An encoder of a size after so many steps, made once. */
async function encoderOf(work: string, hidden: number, steps: number, text: string): Promise<string> {
  const outputDir = path.join(work, `hidden-${hidden}-steps-${steps}`);
  if (fs.existsSync(path.join(outputDir, 'model.safetensors'))) return outputDir;
  const model = path.join(work, `hidden-${hidden}.json`);
  fs.writeFileSync(model, JSON.stringify(configOf(hidden)));
  await pretrain({
    ...{ model, tokenizer: TOKENIZER, text: [text], outputDir, maxSteps: steps, maxLength: 64, tokenBudget: 1024 },
    ...{ learningRate: 2e-3, checkpointEvery: 10_000, resume: true, seed: 1 },
  });
  return outputDir;
}

export async function main(
  work: string,
  print: (line: string) => void = console.log,
  plan: Plan = PLAN,
): Promise<IntrinsicResults> {
  fs.mkdirSync(work, { recursive: true });
  // Text without labels, of sentences that are not those of the task.
  const text = path.join(work, 'text.txt');
  fs.writeFileSync(
    text,
    sentences(20_000, 1)
      .map((example) => `${example.text}\n`)
      .join(''),
  );
  const began = performance.now();
  const pairs = [
    ...plan.steps.map((n) => [plan.atSize, n] as const),
    ...plan.sizes.map((n) => [n, plan.atSteps] as const),
  ];
  const models: string[] = [];
  for (const [size, count] of pairs) {
    const folder = await encoderOf(work, size, count, text);
    if (!models.includes(folder)) models.push(folder);
  }
  print(`${models.length} encoders pretrained in ${((performance.now() - began) / 60_000).toFixed(1)} minutes`);
  const results = await intrinsicDimension({
    ...{ models, outputDir: path.join(work, 'dimension'), train: sentences(plan.labelled, 2) },
    ...{ dev: sentences(plan.measured, 3), epochs: plan.epochs, batchSize: 16, device: 'cpu', precision: 'fp32' },
    ...{ rates: plan.rates, fullRates: [2e-3], structures: plan.structures, seeds: plan.seeds },
    ...{ to: plan.to, refine: plan.refine },
    onNotice: print,
  });
  for (const { model, weights, pretrainingSteps, full, searches } of results.models) {
    const found = searches.map(({ structure, least }) => `${structure} ${least ?? `above ${plan.to}`}`).join(', ');
    const { mean, deviation } = full.value;
    print(
      `${path.basename(model)}: ${weights} weights, ${pretrainingSteps} steps, full ${mean.toFixed(4)} ± ${deviation.toFixed(4)}, d90: ${found}`,
    );
  }
  print(`${(results.seconds / 60).toFixed(1)} minutes of fine-tuning`);
  return results;
}

if (require.main === module) {
  const [work, quick] = process.argv.slice(2);
  if (work === undefined) throw new Error('usage: intrinsic_dimension.ts FOLDER [--quick]');
  main(work, console.log, quick === '--quick' ? QUICK : PLAN).catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
