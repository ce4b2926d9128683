// A model of your own from the library's layers and ops: trained from scratch, then adapted to
// another task with LoRA, as any other model is.
// The modules that it is built from: src/nn.
//
//     npx tsx examples/own_module.ts
//
// The tasks: sequences of digits; label 1 where there are
// more 5s than 6s, then where there are more 3s than 8s.

// In your program all of these come from 'fused-lora'.

import { RandomStream } from '../src/base/philox';
import { EncodedSource } from '../src/data/batch/encoded_source';
import type { EncodedExample } from '../src/data/tokenize/encoded_example';
import { add, gatherRows } from '../src/graph/ops';
import type { Graph, Value } from '../src/graph/value';
import { addAdapter, formatTotals, parameterTable } from '../src/lora';
import { argmaxRows } from '../src/metrics/metrics';
import { Activation, Embedding, LayerNorm, Linear, Model, Module, SelfAttention, trace } from '../src/nn';
import { Evaluator } from '../src/train/evaluate';
import { Trainer } from '../src/train/trainer';

const HIDDEN = 32;
/** Token 10 starts a sequence, 0 to 9 are the digits. */
const START = 10;

/**
 * y = LayerNorm(x + f(x W1ᵀ + b1) W2ᵀ + b2). Properties that
 * hold modules are its children; their names are their paths.
 */
class FeedForward extends Module {
  readonly widen = new Linear(HIDDEN, 4 * HIDDEN, { std: 0.1 });
  readonly activation = new Activation('relu');
  readonly narrow = new Linear(4 * HIDDEN, HIDDEN, { std: 0.1 });
  readonly norm = new LayerNorm(HIDDEN);

  forward(x: Value): Value {
    return this.norm.call(add(x, this.narrow.call(this.activation.call(this.widen.call(x)))));
  }
}

/** Embeds digits, lets the first token look at all others, and classifies it. */
class DigitCounter extends Model {
  readonly digits = new Embedding(11, HIDDEN, { std: 0.5 });
  readonly attention = new SelfAttention({ hiddenSize: HIDDEN, numHeads: 4, std: 0.2 });
  readonly feedForward = new FeedForward();
  readonly classifier = new Linear(HIDDEN, 2);

  forward(ids: Value, cuSeqlens: Value, firstToken: Value): Value {
    const x = this.digits.call(ids);
    const seen = gatherRows(add(x, this.attention.call(x, cuSeqlens)), firstToken);
    return this.classifier.call(this.feedForward.call(seen));
  }

  /**
   * Takes its inputs from the batch, by name; the loss is
   * cross-entropy unless forwardLoss is overridden.
   */
  forwardLogits(graph: Graph): Value {
    return this.forward(
      graph.input('inputIds', 'i32', ['T']),
      graph.input('cuSeqlens', 'i32', ['S+1']),
      graph.input('firstToken', 'i32', ['S']),
    );
  }
}

/** Sequences of 5 to 14 digits, drawn until one of the two digits is ahead. */
function examples(count: number, seed: number, more: number, fewer: number): EncodedExample[] {
  const random = new RandomStream(seed, 1);
  return Array.from({ length: count }, () => {
    for (;;) {
      const digits = Array.from({ length: 5 + random.below(10) }, () => random.below(10));
      const lead = digits.filter((d) => d === more).length - digits.filter((d) => d === fewer).length;
      if (lead === 0) continue;
      const inputIds = Int32Array.of(START, ...digits);
      return { inputIds, tokenTypeIds: new Int32Array(inputIds.length), label: lead > 0 ? 1 : 0 };
    }
  });
}

const sourceOf = (data: EncodedExample[]) => new EncodedSource(data, { positions: { offset: 0 }, batchSize: 32 });

async function accuracy(model: Model, data: EncodedExample[]): Promise<number> {
  using evaluator = new Evaluator({ trace: (options) => trace(model, options) });
  const { logits, numOutputs } = await evaluator.run(sourceOf(data));
  const right = data.filter(({ label }, i) => argmaxRows(logits[i] as Float32Array, numOutputs)[0] === label);
  return right.length / data.length;
}

async function train(model: Model, data: EncodedExample[], learningRate: number): Promise<void> {
  const trainer = new Trainer({ trace: (options) => trace(model, options), learningRate, epochs: 3, seed: 1 });
  await trainer.train(sourceOf(data));
  trainer.dispose();
}

export interface OwnModuleResult {
  scratch: number;
  before: number;
  adapted: number;
}

/**
 * @returns accuracies: of the first task; of the second before and after the adapter was trained.
 */
export async function main(print: (line: string) => void = console.log): Promise<OwnModuleResult> {
  const model = new DigitCounter().nameTree(7);
  print(String(model));
  await train(model, examples(4000, 1, 5, 6), 3e-3);
  const scratch = await accuracy(model, examples(500, 2, 5, 6));
  print(`more 5s than 6s, trained from scratch: ${(100 * scratch).toFixed(1)} %`);

  const dev = examples(500, 4, 3, 8);
  const before = await accuracy(model, dev);
  addAdapter(model, { r: 8, loraAlpha: 16, targetModules: ['query', 'key', 'value', 'widen', 'narrow'] });
  print(formatTotals(parameterTable(model)));
  await train(model, examples(4000, 3, 3, 8), 1e-2);
  const adapted = await accuracy(model, dev);
  print(`more 3s than 8s: ${(100 * before).toFixed(1)} % before, ${(100 * adapted).toFixed(1)} % with LoRA`);
  model.dispose();
  return { scratch, before, adapted };
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
