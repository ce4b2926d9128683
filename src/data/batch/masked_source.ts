/**
 * Masked-language modelling over pieces of text: other tokens are masked in each epoch (RoBERTa's
 * dynamic masking). Documents are read in src/data/read/text_documents.ts; the loss of the masked
 * tokens is src/graph/ops/loss.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { RANDOM_SITE, RandomStream } from '../../base/philox';
import type { EncodedExample } from '../tokenize/encoded_example';
import type { Batch } from './batch';
import { EncodedSource, type SourceOptions } from './encoded_source';
import { packBatch } from './packing';

/** What masking must know of a vocabulary. */
export interface MaskingVocabulary {
  maskTokenId: number;
  vocabSize: number;
  /** Never masked and never put in the place of a token. */
  specialTokenIds: ReadonlySet<number>;
}

export interface MaskedSourceOptions extends SourceOptions {
  vocabulary: MaskingVocabulary;
  /** Share of a sequence's tokens to be predicted, at least one. Default 0.15. */
  maskProbability?: number;
}

/**
 * BERT's recipe: of the chosen tokens 80 % become the mask, 10 % a random token, 10 % stay as they
 * are. A function of the stream.
 *
 * @param count tokens to choose.
 */
function mask(
  ids: Int32Array,
  share: number,
  vocabulary: MaskingVocabulary,
  random: RandomStream,
): { inputIds: Int32Array; masked: { positions: Int32Array; labels: Int32Array } } {
  const { maskTokenId, vocabSize, specialTokenIds } = vocabulary;
  const candidates: number[] = [];
  ids.forEach((id, t) => {
    if (!specialTokenIds.has(id)) candidates.push(t);
  });
  const count = Math.min(candidates.length, Math.max(1, Math.round(candidates.length * share)));
  // The first steps of a shuffle choose `count` of them.
  for (let i = 0; i < count; i++) {
    const j = i + random.below(candidates.length - i);
    [candidates[i], candidates[j]] = [candidates[j] as number, candidates[i] as number];
  }
  const positions = Int32Array.from(candidates.slice(0, count)).sort();
  const labels = positions.map((t) => ids[t] as number);
  const inputIds = ids.slice();
  for (const t of positions) {
    const u = random.uniform();
    if (u < 0.8) inputIds[t] = maskTokenId;
    else if (u < 0.9) {
      let id: number;
      do id = random.below(vocabSize);
      while (specialTokenIds.has(id));
      inputIds[t] = id;
    }
  }
  return { inputIds, masked: { positions, labels } };
}

/**
 * Batches with `rowIndex` and `labels` of the masked tokens; what is masked is a function of seed,
 * epoch and example.
 */
export class MaskedSource extends EncodedSource {
  private readonly share: number;

  constructor(
    examples: readonly EncodedExample[],
    private readonly masking: MaskedSourceOptions,
  ) {
    const { vocabulary, ...options } = masking;
    super(examples, options);
    this.share = masking.maskProbability ?? 0.15;
    if (!(this.share > 0 && this.share <= 1)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `maskProbability is ${this.share}; it must be above 0 and at most 1`,
      );
    }
    if (!vocabulary.specialTokenIds.has(vocabulary.maskTokenId)) {
      throw new FusedLoraError('INVALID_ARGUMENT', 'specialTokenIds lacks the mask token');
    }
  }

  protected override pack(indices: Int32Array, epoch: number): Batch {
    const { seed = 0, positions, vocabulary } = this.masking;
    const masked = Array.from(indices, (index) => {
      const example = this.examples[index] as EncodedExample;
      const random = new RandomStream(seed, RANDOM_SITE.masking, epoch, index);
      return { ...example, ...mask(example.inputIds, this.share, vocabulary, random) };
    });
    const batch = packBatch(masked, Int32Array.from(masked.keys()), positions);
    return { ...batch, exampleIndices: indices };
  }
}

/** Of {@link cutPieces}. */
export interface CutOptions {
  /** Tokens of a piece, its two special tokens counted. */
  maxLength: number;
  /** Put before and after each piece. */
  beginTokenId: number;
  endTokenId: number;
  /**
   * What is left of a document after the last whole piece is dropped below this many tokens.
   * Default 8.
   */
  minLength?: number;
}

/**
 * Cuts the token ids of documents (without special tokens) into pieces that stand for themselves;
 * no piece holds two documents.
 */
export function cutPieces(documents: Iterable<Int32Array>, options: CutOptions): EncodedExample[] {
  const { maxLength, beginTokenId, endTokenId, minLength = 8 } = options;
  if (!(Number.isSafeInteger(maxLength) && maxLength >= 3)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `maxLength is ${maxLength}; it must be an integer of at least 3`);
  }
  const room = maxLength - 2;
  const zeros = new Int32Array(maxLength);
  const pieces: EncodedExample[] = [];
  for (const ids of documents) {
    for (let start = 0; start < ids.length; start += room) {
      const part = ids.subarray(start, start + room);
      if (part.length < Math.min(minLength, room) && (start > 0 || part.length === 0)) continue;
      const inputIds = new Int32Array(part.length + 2);
      inputIds[0] = beginTokenId;
      inputIds.set(part, 1);
      inputIds[part.length + 1] = endTokenId;
      pieces.push({ inputIds, tokenTypeIds: zeros.subarray(0, inputIds.length) });
    }
  }
  return pieces;
}
