/**
 * Predictions of a trained model for texts, or for sentences in words, in their order. What logits
 * mean is in src/metrics/predictions.ts; predictions against labels are measured by evaluate.ts.
 */
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import { shown } from '../base/shown';
import { numberCut } from '../data/batch/sources';
import { type Example, isTokenExample, requireObject, type TokenExample, textExamples } from '../data/examples/example';
import { encodeExamples, isEmptyText } from '../data/tokenize/encode';
import { encodeTokenExamples } from '../data/tokenize/encode_words';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { BackendName } from '../graph/parameter';
import type { PrecisionOption } from '../graph/precision';
import { adapterNames } from '../lora';
import { cooled } from '../metrics/calibration';
import { type Prediction, predictText, predictWords } from '../metrics/predictions';
import { checkedThreshold } from '../metrics/probabilities';
import { type Calibration, readCalibration } from './calibrate';
import { defaultAdapter, MixedEvaluator } from './mixed_evaluator';
import { ModelEvaluator } from './model_evaluator';
import { notesOnPairs, requireTrained, type TextModel } from './text_model';

/** Of {@link Classifier}. */
export interface ClassifierOptions {
  /** Default auto. */
  device?: DeviceOption;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption | undefined;
  /**
   * Of multi-label classification: what the probability of a label must be above. Default: the
   * model's.
   */
  threshold?: number;
  /**
   * Temperature and thresholds that `calibrate` fitted; true reads those beside the weights. A
   * threshold that is given holds for all labels. Default false.
   */
  calibration?: Calibration | boolean;
  /** Most tokens a batch. Default 4096. */
  tokenBudget?: number;
  /**
   * Told of the first text that is cut or empty, and of pairs where there should be none, or the
   * reverse.
   */
  onNotice?: ((line: string) => void) | undefined;
}

const CLASSIFIER_KEYS: Record<keyof ClassifierOptions | 'signal', true> = {
  device: true,
  precision: true,
  threshold: true,
  calibration: true,
  tokenBudget: true,
  onNotice: true,
  // Of `classify`, which passes its options on.
  signal: true,
};

/** A program for predictions, kept between calls. Dispose of it when done; the model stays. */
export class Classifier {
  private readonly evaluator: ModelEvaluator;
  /** For texts that name an adapter, made when the first comes. */
  private mixed: MixedEvaluator | undefined;
  private readonly tokenBudget: number;
  private readonly threshold: number | readonly number[];
  private readonly temperature: number;
  private readonly backend: BackendName;
  private cut = 0;
  private empty = 0;
  private readonly told = new Set<string>();

  constructor(
    private readonly textModel: TextModel,
    private readonly options: ClassifierOptions = {},
  ) {
    checkKeys('Classifier', options, CLASSIFIER_KEYS);
    const threshold = checkedThreshold(options.threshold ?? textModel.threshold);
    requireTrained(textModel, 'Classifier');
    const { calibration: given = false } = options;
    const calibration = given === true ? readCalibration(textModel) : given === false ? undefined : given;
    this.temperature = calibration?.temperature ?? 1;
    this.threshold = options.threshold === undefined ? (calibration?.thresholds ?? threshold) : threshold;
    const { backend } = chooseDevice(options.device);
    const { precision = 'auto' } = options;
    this.backend = backend;
    this.evaluator = new ModelEvaluator(textModel.model, { backend, precision, loss: false });
    this.tokenBudget = Math.max(options.tokenBudget ?? 4096, textModel.maxLength);
  }

  /**
   * @param texts texts or pairs; labels are not read. A token classifier takes `{ tokens: [...] }`,
   * or a text, whose words are what blanks divide. What is longer than the model's maxLength is
   * cut. With `{ text, adapter: 'intent' }` that adapter of the model answers, and its head: texts
   * of several adapters run in the same batches.
   * @throws FusedLoraError INVALID_ARGUMENT for what is no list; INVALID_DATA naming the text that
   * is none.
   * @returns one prediction a text, in their order. The same text gives the same bits in whatever
   * company it comes.
   */
  async predict(texts: readonly (string | Example)[], signal?: AbortSignal): Promise<Prediction[]> {
    if (!Array.isArray(texts)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `predict: texts is ${shown(texts)}; it must be a list, of one text too: predict(['a text'])`,
      );
    }
    if (texts.length === 0) return [];
    const { model, tokenizer, maxLength, truncationSide } = this.textModel;
    const shared = { maxLength, truncationSide, signal };
    if (model.task === 'token-classification') {
      const sentences = texts.map((text, i) => {
        if (typeof text === 'string') return inWords(text);
        requireObject(text, i);
        return isTokenExample(text) ? text : inWords(text.text);
      });
      const encoded = await encodeTokenExamples(sentences, tokenizer, shared);
      this.count(encoded);
      const logits = await this.logitsOf(encoded, texts, signal);
      return encoded.map(({ firstPieces }, i) => predictWords(logits[i]!, model, sentences[i]!.tokens, firstPieces));
    }
    const examples = texts.map((text) => (typeof text === 'string' ? { text } : text));
    const encoded = await encodeExamples(textExamples(examples, model.task), tokenizer, shared);
    this.count(encoded);
    this.countEmpty(examples);
    for (const note of notesOnPairs(this.textModel.pairs, examples)) this.tell(note);
    return (await this.logitsOf(encoded, texts, signal)).map((logits) => predictText(logits, model, this.threshold));
  }

  /** How many of the texts so far were longer than the model's maxLength and lost tokens. */
  get numberCut(): number {
    return this.cut;
  }

  /** How many of the texts so far had no word. */
  get numberEmpty(): number {
    return this.empty;
  }

  private countEmpty(examples: readonly Example[]): void {
    for (const [i, example] of examples.entries()) {
      if (isTokenExample(example) || !isEmptyText(example)) continue;
      const { place = `text ${i}` } = example;
      if (++this.empty === 1) this.tell(`${place}: its text is empty; it is classified all the same`);
    }
  }

  private count(encoded: readonly EncodedExample[]): void {
    const before = this.cut;
    this.cut += numberCut(encoded);
    if (before > 0 || this.cut === 0) return;
    const { maxLength, truncationSide } = this.textModel;
    const side = truncationSide === 'left' ? ' on the left' : '';
    this.tell(`texts of more than ${maxLength} tokens are cut${side} (maxLength, --max-length)`);
  }

  private tell(line: string): void {
    if (!this.told.has(line)) this.options.onNotice?.(line);
    this.told.add(line);
  }

  /** Frees the program; the model stays. */
  dispose(): void {
    this.evaluator.dispose();
    this.mixed?.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private async logitsOf(
    encoded: readonly EncodedExample[],
    texts: readonly (string | Example)[],
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const named = texts.map((text) => (typeof text === 'string' ? undefined : text.adapter));
    if (named.some((name) => name !== undefined)) {
      if (this.options.calibration) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          'calibration is of one adapter, and texts name the adapter that answers; leave one out',
        );
      }
      const { model } = this.textModel;
      const { precision } = this.options;
      const otherwise = named.includes(undefined) ? defaultAdapter(model) : undefined;
      this.mixed ??= new MixedEvaluator(model, adapterNames(model), { backend: this.backend, precision });
      const adapters = named.map((name) => (name === undefined ? otherwise : (name ?? undefined)));
      return await this.mixed.run(encoded, adapters, this.tokenBudget, signal);
    }
    const { logits } = await this.evaluator.run(encoded, { tokenBudget: this.tokenBudget }, signal);
    return logits.map((row) => cooled(row, this.temperature));
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
