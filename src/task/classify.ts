/** Predictions of a trained classifier or regressor for texts, in their order. */
import { EncodedSource } from '../data/batch_source';
import { encodeExamples, type TextExample } from '../data/encode';
import type { BackendName } from '../graph/parameter';
import { trace } from '../nn';
import { Evaluator } from '../train/evaluate';
import { chooseDevice, type DeviceOption } from './device';
import { positionsOf } from './encoding';
import type { TextModel } from './text_model';

export interface Prediction {
  /** The most probable class; absent for regression. */
  label?: string;
  /** Of `label`. */
  probability?: number;
  /** Of every class by name; they add up to 1. */
  probabilities?: Record<string, number>;
  /** What a regression model gives. */
  values?: number[];
}

export interface ClassifierOptions {
  /** Default auto. */
  device?: DeviceOption;
  /** Most tokens a batch. Default 4096. */
  tokenBudget?: number;
}

/** exp(x) / Σ exp(x), in float64. */
function softmax(logits: Float32Array): number[] {
  const most = Math.max(...logits);
  const exponentials = Array.from(logits, (x) => Math.exp(x - most));
  const sum = exponentials.reduce((total, x) => total + x, 0);
  return exponentials.map((x) => x / sum);
}

/** A program for predictions, kept between calls. Dispose of it when done; the model stays. */
export class Classifier {
  private readonly evaluator: Evaluator;
  private readonly tokenBudget: number;

  constructor(
    private readonly textModel: TextModel,
    options: ClassifierOptions = {},
  ) {
    const backend: BackendName = chooseDevice(options.device).backend;
    const { model } = textModel;
    this.evaluator = new Evaluator({ trace: (o) => trace(model, o), backend, loss: false });
    this.tokenBudget = Math.max(options.tokenBudget ?? 4096, textModel.maxLength);
  }

  /**
   * @param texts texts or pairs; labels are not read. What is longer than the model's maxLength is cut.
   * @returns one prediction a text, in their order. The same text gives the same bits in whatever company it comes.
   */
  async predict(texts: readonly (string | TextExample)[], signal?: AbortSignal): Promise<Prediction[]> {
    if (texts.length === 0) return [];
    const { model, tokenizer, maxLength } = this.textModel;
    const examples = texts.map((text) => (typeof text === 'string' ? { text } : text));
    const encoded = await encodeExamples(examples, tokenizer, { maxLength, signal });
    const source = new EncodedSource(encoded, {
      positions: positionsOf(model),
      tokenBudget: this.tokenBudget,
      shuffle: false,
    });
    const { logits } = await this.evaluator.run(source, signal);
    return logits.map((row) => this.prediction(row));
  }

  dispose(): void {
    this.evaluator.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private prediction(logits: Float32Array): Prediction {
    const { task, labelNames } = this.textModel.model;
    if (task === 'regression') return { values: [...logits] };
    const probabilities = softmax(logits);
    const best = probabilities.indexOf(Math.max(...probabilities));
    return {
      label: labelNames[best] as string,
      probability: probabilities[best] as number,
      probabilities: Object.fromEntries(labelNames.map((name, i) => [name, probabilities[i] as number])),
    };
  }
}

/** {@link Classifier.predict} for a single call. */
export async function classify(
  textModel: TextModel,
  texts: readonly (string | TextExample)[],
  options: ClassifierOptions & { signal?: AbortSignal } = {},
): Promise<Prediction[]> {
  using classifier = new Classifier(textModel, options);
  return await classifier.predict(texts, options.signal);
}
