/**
 * Domain-adaptive pretraining: an encoder is trained further on text of a domain, without labels
 * (masked language modelling), then fine-tuned with LoRA on few labels.
 * Plain classification of a CSV, without such a start: docs/data.md.
 *
 *     npx tsx examples/domain_adaptation.ts
 *
 * The domain: reviews by people with words of their own (`the cast is tolmic and lovely .`). The
 * labelled sentences have none of these words, the dev sentences have no others: what they mean can
 * be learnt from the unlabelled text alone.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
// In your program all of these come from 'fused-lora'.
import {
  cutPieces,
  Evaluator,
  fineTune,
  MaskedSource,
  openTextModel,
  pretrain,
  type TextExample,
  type TextModel,
  trace,
} from '../src';

const ENCODER = path.join(__dirname, '..', 'assets', 'tiny-roberta');
/** Labels are dear, text is not. */
const [DOCUMENTS, LABELLED] = [2400, 96];

const PARTS = ['cast', 'story', 'music', 'ending', 'film', 'acting', 'script', 'plot'];
const KNOWN = {
  positive: ['lovely', 'great', 'wonderful', 'funny', 'beautiful', 'excellent'],
  negative: ['awful', 'boring', 'terrible', 'stupid', 'bad', 'dull'],
};
const OWN = {
  positive: ['tolmic', 'brivy', 'quenty', 'dazzo'],
  negative: ['grobby', 'vexil', 'murkle', 'stibbo'],
};
const LABELS = ['positive', 'negative'] as const;

/** Sentences with two opinion words of one kind; which ones is a function of the seed. */
function sentences(count: number, seed: number, words: (label: 'positive' | 'negative') => string[]): TextExample[] {
  let state = seed;
  const pick = <T>(items: readonly T[]): T => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return items[Math.floor((state / 2 ** 32) * items.length)] as T;
  };
  return Array.from({ length: count }, () => {
    const label = pick(LABELS);
    return { text: `the ${pick(PARTS)} is ${pick(words(label))} and ${pick(words(label))} .`, label };
  });
}

/** Mean masked-LM loss on texts that were not trained on: exp of it is the perplexity. */
async function heldOutLoss(folder: string, texts: readonly string[]): Promise<number> {
  const { model, tokenizer }: TextModel = await openTextModel(folder, { task: 'masked-lm' });
  const { clsId, sepId, maskId, vocabSize, specialIds } = tokenizer;
  const documents = texts.map((text) => Int32Array.from(tokenizer.textIds(text)));
  const pieces = cutPieces(documents, { maxLength: 64, beginTokenId: clsId as number, endTokenId: sepId as number });
  // The same masks for every model: they are a function of the seed.
  const source = new MaskedSource(pieces, {
    positions: { offset: model.positionOffset, maxPositions: model.config.maxPositionEmbeddings },
    vocabulary: { maskTokenId: maskId as number, vocabSize, specialTokenIds: specialIds },
    tokenBudget: 1024,
    shuffle: false,
    seed: 1,
  });
  using evaluator = new Evaluator({ trace: (options) => trace(model, options) });
  const { loss } = await evaluator.run(source);
  model.dispose();
  return loss;
}

/** Dev accuracy of LoRA on an encoder. */
async function accuracyOf(model: string, train: TextExample[], dev: TextExample[], outputDir: string): Promise<number> {
  const { textModel, metrics } = await fineTune({
    model,
    train,
    dev,
    outputDir,
    method: 'lora',
    lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
    learningRate: 2e-3,
    epochs: 4,
    batchSize: 16,
    evaluateEvery: 1000, // At the end alone.
  });
  textModel.model.dispose();
  return metrics?.['accuracy'] as number;
}

export interface DomainResult {
  /** Masked-LM losses on held-out text, before and after. */
  loss: { before: number; after: number };
  /** Accuracies of LoRA on the encoder as it was, and on the adapted one. */
  accuracy: { before: number; after: number };
}

export async function main(print: (line: string) => void = console.log): Promise<DomainResult> {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'domain-'));
  const adapted = path.join(work, 'encoder');
  try {
    const [text, heldOut] = [1, 2].map((seed) =>
      sentences(DOCUMENTS, seed, (label) => [...KNOWN[label], ...OWN[label]]).map((sentence) => sentence.text),
    ) as [string[], string[]];
    const file = path.join(work, 'text.txt');
    fs.writeFileSync(file, text.map((line) => `${line}\n`).join(''));
    const { documents, training } = await pretrain({
      model: ENCODER,
      text: [file],
      outputDir: adapted,
      maxSteps: 60,
      tokenBudget: 512,
      learningRate: 1e-3,
      checkpointEvery: 1000,
    });
    print(`adapted on ${documents} documents, ${training.steps} steps, ${training.seconds.toFixed(0)} s`);

    const loss = {
      before: await heldOutLoss(ENCODER, heldOut.slice(-200)),
      after: await heldOutLoss(adapted, heldOut.slice(-200)),
    };
    const perplexity = (x: number) => Math.exp(x).toFixed(1);
    print(`perplexity of masked tokens in held-out text: ${perplexity(loss.before)} → ${perplexity(loss.after)}`);

    const train = sentences(LABELLED, 3, (label) => KNOWN[label]);
    const dev = sentences(200, 4, (label) => OWN[label]);
    const accuracy = {
      before: await accuracyOf(ENCODER, train, dev, path.join(work, 'lora-before')),
      after: await accuracyOf(adapted, train, dev, path.join(work, 'lora-after')),
    };
    const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
    print(`LoRA with ${LABELLED} labels: ${percent(accuracy.before)} → ${percent(accuracy.after)}`);
    return { loss, accuracy };
  } finally {
    fs.rmSync(work, { recursive: true });
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
