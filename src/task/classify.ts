/** Predictions of a trained model for texts, or for sentences in words, in their order. */

import { checkKeys } from '../base/options';
import { EncodedSource } from '../data/batch/batch_source';
import type { EncodedExample } from '../data/batch/packing';
import type { TokenExample } from '../data/examples/token_examples';
import { encodeExamples } from '../data/tokenize/encode';
import { encodeTokenExamples } from '../data/tokenize/encode_words';
import type { BackendName } from '../graph/parameter';
import type { PrecisionOption } from '../graph/precision';
import { areEntityTags, type Entity, findEntities } from '../metrics/entities';
import { checkedThreshold, sigmoid } from '../metrics/threshold';
import { trace } from '../nn';
import { Evaluator } from '../train/evaluate';
import { chooseDevice, type DeviceOption } from './device';
import { positionsOf } from './encoding';
import { type Example, isTokenExample, requireObject, textExamples } from './examples';
import type { TextModel } from './text_model';

/** What a model says about a text; which fields there are depends on its task. */
export interface Prediction {
  /** The most probable class; absent for regression. */
  label?: string;
  /** Of `label`. */
  probability?: number;
  /** Of every class by name; of classes that exclude each other they add up to 1. */
  probabilities?: Record<string, number>;
  /** What a multi-label classifier gives: the labels whose probability is above the threshold; their `probabilities` are each label's own. */
  labels?: string[];
  /** What a regression model gives. */
  values?: number[];
  /** What a token classifier gives: one entry a word. */
  words?: WordPrediction[];
  /** Of a token classifier whose labels are entity tags (B-PER, I-PER, O): the entities, `end` after the last word. */
  entities?: (Entity & { text: string })[];
}

/** What a token classifier says about a word. */
export interface WordPrediction {
  word: string;
  /** The most probable class; null for a word beyond maxLength or without token ids, which no model has seen. */
  label: string | null;
  /** Of `label`. */
  probability: number | null;
}

/** Of {@link Classifier}. */
export interface ClassifierOptions {
  /** Default auto. */
  device?: DeviceOption;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption | undefined;
  /** Of multi-label classification: what the probability of a label must be above. Default 0.5. */
  threshold?: number;
  /** Most tokens a batch. Default 4096. */
  tokenBudget?: number;
}

const CLASSIFIER_KEYS: Record<keyof ClassifierOptions | 'signal', true> = {
  device: true,
  precision: true,
  threshold: true,
  tokenBudget: true,
  // Of `classify`, which passes its options on.
  signal: true,
};

/** exp(x) / Σ exp(x), in float64, and where it is largest. */
function distribution(logits: Float32Array): { best: number; probabilities: number[] } {
  const most = Math.max(...logits);
  const exponentials = Array.from(logits, (x) => Math.exp(x - most));
  const sum = exponentials.reduce((total, x) => total + x, 0);
  return { best: logits.indexOf(most), probabilities: exponentials.map((x) => x / sum) };
}

/** A program for predictions, kept between calls. Dispose of it when done; the model stays. */
export class Classifier {
  private readonly evaluator: Evaluator;
  private readonly tokenBudget: number;
  private readonly threshold: number;

  constructor(
    private readonly textModel: TextModel,
    options: ClassifierOptions = {},
  ) {
    checkKeys('Classifier', options, CLASSIFIER_KEYS);
    this.threshold = checkedThreshold(options.threshold);
    const backend: BackendName = chooseDevice(options.device).backend;
    const { model } = textModel;
    this.evaluator = new Evaluator({
      trace: (o) => trace(model, o),
      backend,
      precision: options.precision ?? 'auto',
      loss: false,
    });
    this.tokenBudget = Math.max(options.tokenBudget ?? 4096, textModel.maxLength);
  }

  /**
   * @param texts texts or pairs; labels are not read. A token classifier takes `{ tokens: [...] }`, or a text, whose words are what
   * blanks divide. What is longer than the model's maxLength is cut.
   * @returns one prediction a text, in their order. The same text gives the same bits in whatever company it comes.
   */
  async predict(texts: readonly (string | Example)[], signal?: AbortSignal): Promise<Prediction[]> {
    if (texts.length === 0) return [];
    const { model, tokenizer, maxLength } = this.textModel;
    if (model.task === 'token-classification') {
      const sentences = texts.map((text, i) => {
        if (typeof text === 'string') return inWords(text);
        requireObject(text, i);
        return isTokenExample(text) ? text : inWords(text.text);
      });
      const encoded = await encodeTokenExamples(sentences, tokenizer, { maxLength, signal });
      const logits = await this.logitsOf(encoded, signal);
      return encoded.map(({ firstPieces }, i) => this.words(sentences[i]!.tokens, firstPieces, logits[i]!));
    }
    const examples = texts.map((text) => (typeof text === 'string' ? { text } : text));
    const encoded = await encodeExamples(textExamples(examples, model.task), tokenizer, { maxLength, signal });
    return (await this.logitsOf(encoded, signal)).map((row) => this.prediction(row));
  }

  /** Frees the program; the model stays. */
  dispose(): void {
    this.evaluator.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private async logitsOf(encoded: readonly EncodedExample[], signal?: AbortSignal): Promise<Float32Array[]> {
    const source = new EncodedSource(encoded, {
      positions: positionsOf(this.textModel.model),
      tokenBudget: this.tokenBudget,
      shuffle: false,
    });
    return (await this.evaluator.run(source, signal)).logits;
  }

  private prediction(logits: Float32Array): Prediction {
    const { task, labelNames } = this.textModel.model;
    if (task === 'regression') return { values: [...logits] };
    const named = (probabilities: number[]) =>
      Object.fromEntries(labelNames.map((name, i) => [name, probabilities[i] as number]));
    if (task === 'multi-label-classification') {
      const probabilities = sigmoid(logits);
      const labels = labelNames.filter((_, i) => (probabilities[i] as number) > this.threshold);
      return { labels, probabilities: named(probabilities) };
    }
    const { best, probabilities } = distribution(logits);
    return {
      label: labelNames[best] as string,
      probability: probabilities[best] as number,
      probabilities: named(probabilities),
    };
  }

  /** @param logits [tokens × classes] */
  private words(words: readonly string[], firstPieces: Int32Array, logits: Float32Array): Prediction {
    const { labelNames, numLabels } = this.textModel.model;
    const predictions = words.map((word, i): WordPrediction => {
      const t = firstPieces[i] as number;
      if (t < 0) return { word, label: null, probability: null };
      const { best, probabilities } = distribution(logits.subarray(t * numLabels, (t + 1) * numLabels));
      return { word, label: labelNames[best] as string, probability: probabilities[best] as number };
    });
    if (!areEntityTags(labelNames)) return { words: predictions };
    const entities = findEntities(predictions.map(({ label }) => label ?? 'O'));
    return {
      words: predictions,
      entities: entities.map((entity) => ({ ...entity, text: words.slice(entity.start, entity.end).join(' ') })),
    };
  }
}

/** The words of a text: what blanks divide. */
function inWords(text: string): TokenExample {
  return { tokens: text.split(/\s+/).filter((word) => word !== '') };
}

/** {@link Classifier.predict} for a single call. */
export async function classify(
  textModel: TextModel,
  texts: readonly (string | Example)[],
  options: ClassifierOptions & { signal?: AbortSignal } = {},
): Promise<Prediction[]> {
  using classifier = new Classifier(textModel, options);
  return await classifier.predict(texts, options.signal);
}
