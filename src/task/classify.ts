/**
 * Predictions of a trained model for texts, or for sentences in words, in their order. What logits
 * mean is in src/metrics/predictions.ts; predictions against labels are measured by evaluate.ts.
 */
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import { shown } from '../base/shown';
import type { TaskSettings } from '../base/tasks';
import { numberCut } from '../data/batch/sources';
import { type Example, isTokenExample, requireObject, type TokenExample, textExamples } from '../data/examples/example';
import { encodeExamples, isEmptyText } from '../data/tokenize/encode';
import { encodeTokenExamples } from '../data/tokenize/encode_words';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { BackendName } from '../graph/parameter';
import type { PrecisionOption } from '../graph/precision';
import { adapterNames } from '../lora';
import { adapterEntry, headSettings } from '../lora/registry';
import { cooled } from '../metrics/calibration';
import { type Prediction, predictText, predictWords } from '../metrics/predictions';
import { checkedThreshold } from '../metrics/probabilities';
import { type Calibration, readCalibration } from './calibrate';
import { defaultAdapter, MixedEvaluator, type MixedEvaluatorOptions } from './mixed_evaluator';
import { ModelEvaluator } from './model_evaluator';
import { SharedEvaluator } from './shared_evaluator';
import { notesOnPairs, requireTrained, type TextModel } from './text_model';

/** Of {@link Classifier}. */
export interface ClassifierOptions {
  /** Default auto. */
  device?: DeviceOption;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption | undefined;
  /**
   * Of the frozen weights of layers: fp32, or int8 codes, which take a quarter of the memory and
   * change answers a little. On the CPU. Default fp32.
   */
  baseWeights?: BaseWeights | undefined;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights | undefined;
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

/** Programs for lists of adapters that are kept. */
const KEPT_LISTS = 8;

const CLASSIFIER_KEYS: Record<keyof ClassifierOptions | 'signal', true> = {
  device: true,
  precision: true,
  baseWeights: true,
  embeddingWeights: true,
  threshold: true,
  calibration: true,
  tokenBudget: true,
  onNotice: true,
  // Of `classify`, which passes its options on.
  signal: true,
};

/** Texts as they are run, and what makes a prediction of the logits of one of them. */
interface EncodedTexts {
  encoded: readonly EncodedExample[];
  predict(logits: Float32Array, text: number, settings: TaskSettings): Prediction;
}

/** A program for predictions, kept between calls. Dispose of it when done; the model stays. */
export class Classifier {
  private readonly evaluator: ModelEvaluator;
  /** For texts that name an adapter, made when the first comes. */
  private mixed: MixedEvaluator | undefined;
  /** For texts that several adapters answer, by the list of those. */
  private readonly shared = new Map<string, SharedEvaluator>();
  /** What the head is for that was active when the program was made. */
  private readonly settings: TaskSettings;
  private readonly tokenBudget: number;
  /** Of the calibration that was asked for. */
  private readonly calibrated: Calibration | undefined;
  private readonly backend: BackendName;
  private cut = 0;
  private empty = 0;
  private readonly told = new Set<string>();

  constructor(
    private readonly textModel: TextModel,
    private readonly options: ClassifierOptions = {},
  ) {
    checkKeys('Classifier', options, CLASSIFIER_KEYS);
    checkedThreshold(options.threshold ?? textModel.threshold);
    requireTrained(textModel, 'Classifier');
    const { calibration = false } = options;
    this.calibrated = calibration === true ? readCalibration(textModel) : calibration || undefined;
    const { backend } = chooseDevice(options.device);
    const { precision = 'auto', baseWeights, embeddingWeights } = options;
    this.backend = backend;
    this.evaluator = new ModelEvaluator(textModel.model, {
      backend,
      precision,
      baseWeights,
      embeddingWeights,
      loss: false,
    });
    const { task, numLabels, labelNames, headSettings: head } = textModel.model;
    this.settings = { task, numLabels, labelNames, threshold: head?.threshold };
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
    if (Array.isArray(texts) && texts.length === 0) return [];
    const { encoded, predict } = await this.encode(texts, signal);
    const named = texts.map((text) => (typeof text === 'string' ? undefined : text.adapter));
    if (named.every((name) => name === undefined)) {
      const { logits } = await this.evaluator.run(encoded, { tokenBudget: this.tokenBudget }, signal);
      const { temperature = 1 } = this.calibrated ?? {};
      return logits.map((one, i) => predict(cooled(one, temperature), i, this.settings));
    }
    this.requireNoCalibration();
    const { model } = this.textModel;
    const otherwise = named.includes(undefined) ? defaultAdapter(model) : undefined;
    const adapters = named.map((name) => (name === undefined ? otherwise : (name ?? undefined)));
    this.mixed ??= new MixedEvaluator(model, adapterNames(model), this.programOptions);
    const logits = await this.mixed.run(encoded, adapters, this.tokenBudget, signal);
    return logits.map((one, i) => predict(one, i, headSettings(model, adapters[i]) as TaskSettings));
  }

  /**
   * Each text by each of several adapters, with the head of each. What the adapters share runs once
   * for all of them: embeddings and every layer below the first one that any of them changes.
   *
   * @param texts as of {@link predict}; none of them names an adapter.
   * @param adapters of the model: `['intent', 'toxic', 'pii']`.
   * @throws FusedLoraError as {@link predict}; INVALID_ARGUMENT for adapters that are none of the
   * model's.
   * @returns one object a text, in their order, with a prediction by the name of each adapter: the
   * same bits as with that adapter alone.
   */
  async predictEach(
    texts: readonly (string | Example)[],
    adapters: readonly string[],
    signal?: AbortSignal,
  ): Promise<Record<string, Prediction>[]> {
    const { model } = this.textModel;
    const names = checkedNames(model, adapters);
    if (Array.isArray(texts) && texts.length === 0) return [];
    this.requireNoCalibration();
    const { encoded, predict } = await this.encode(texts, signal);
    const own = texts.findIndex((text) => typeof text !== 'string' && text.adapter !== undefined);
    if (own >= 0) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `text ${own} names an adapter, and all of ${names.join(', ')} are to answer it. Leave one of the two out.`,
      );
    }
    const logits = await this.sharedBy(names).run(encoded, { tokenBudget: this.tokenBudget }, signal);
    const answers = names.map((name) => {
      const settings = headSettings(model, name) as TaskSettings;
      return [name, logits.get(name)!.map((one, i) => predict(one, i, settings))] as const;
    });
    return texts.map((_, i) => Object.fromEntries(answers.map(([name, all]) => [name, all[i] as Prediction])));
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
    for (const one of this.shared.values()) one.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private get programOptions(): MixedEvaluatorOptions {
    const { precision, baseWeights, embeddingWeights } = this.options;
    return { backend: this.backend, precision, baseWeights, embeddingWeights };
  }

  private requireNoCalibration(): void {
    if (this.calibrated === undefined) return;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'calibration is of one adapter, and several of them answer here; leave calibration out',
    );
  }

  /** The program for a list of adapters; of many lists the last ones are kept. */
  private sharedBy(names: readonly string[]): SharedEvaluator {
    const key = names.join();
    const known = this.shared.get(key) ?? new SharedEvaluator(this.textModel.model, names, this.programOptions);
    this.shared.delete(key);
    this.shared.set(key, known);
    const [oldest] = this.shared.keys();
    if (this.shared.size > KEPT_LISTS && oldest !== undefined) {
      this.shared.get(oldest)?.dispose();
      this.shared.delete(oldest);
    }
    return known;
  }

  private async encode(texts: readonly (string | Example)[], signal?: AbortSignal): Promise<EncodedTexts> {
    if (!Array.isArray(texts)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `predict: texts is ${shown(texts)}; it must be a list, of one text too: predict(['a text'])`,
      );
    }
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
      return {
        encoded,
        predict: (logits, i, settings) => predictWords(logits, settings, sentences[i]!.tokens, encoded[i]!.firstPieces),
      };
    }
    const examples = texts.map((text) => (typeof text === 'string' ? { text } : text));
    const encoded = await encodeExamples(textExamples(examples, model.task), tokenizer, shared);
    this.count(encoded);
    this.countEmpty(examples);
    for (const note of notesOnPairs(this.textModel.pairs, examples)) this.tell(note);
    const threshold = this.options.threshold ?? this.calibrated?.thresholds;
    return {
      encoded,
      predict: (logits, _, settings) =>
        predictText(logits, settings, threshold ?? settings.threshold ?? this.textModel.threshold),
    };
  }
}

/** @throws FusedLoraError INVALID_ARGUMENT for what is no list of adapters of the model. */
function checkedNames(model: TextModel['model'], adapters: readonly string[]): readonly string[] {
  if (!Array.isArray(adapters) || adapters.length === 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `adapters is ${shown(adapters)}; it must be a list of the model's adapters: ${adapterNames(model).join(', ') || 'it has none'}`,
    );
  }
  for (const name of adapters) adapterEntry(model, name);
  return [...new Set(adapters)];
}

/** The words of a text: what blanks divide. */
function inWords(text: string): TokenExample {
  return { tokens: text.split(/\s+/).filter((word) => word !== '') };
}

/** {@link Classifier.predict} for a single call. */
export async function classify(
  textModel: TextModel,
  texts: readonly (string | Example)[],
  options?: ClassifierOptions & { signal?: AbortSignal; adapters?: undefined },
): Promise<Prediction[]>;
/** {@link Classifier.predictEach} for a single call: each text by each of the adapters. */
export async function classify(
  textModel: TextModel,
  texts: readonly (string | Example)[],
  options: ClassifierOptions & { signal?: AbortSignal; adapters: readonly string[] },
): Promise<Record<string, Prediction>[]>;
export async function classify(
  textModel: TextModel,
  texts: readonly (string | Example)[],
  { adapters, ...options }: ClassifierOptions & { signal?: AbortSignal; adapters?: readonly string[] | undefined } = {},
): Promise<Prediction[] | Record<string, Prediction>[]> {
  using classifier = new Classifier(textModel, options);
  return adapters === undefined
    ? await classifier.predict(texts, options.signal)
    : await classifier.predictEach(texts, adapters, options.signal);
}
