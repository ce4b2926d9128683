/**
 * A table whose rows are looked up by ids: words, positions, token types.
 * Sums of several in one op: src/graph/ops/embedding.ts.
 */
import { positiveInteger } from '../base/options';
import { type EmbeddingTerm, embeddingSum } from '../graph/ops';
import type { Parameter } from '../graph/parameter';
import type { Value } from '../graph/value';
import { initializedParameter } from './init';
import { Module } from './module';

/** Of {@link Embedding}. */
export interface EmbeddingOptions {
  /** A row that starts at zero and gets no gradient. */
  paddingIndex?: number | undefined;
  /** Standard deviation of the initial rows, N(0, std²). Default 0.02, as in BERT. */
  std?: number;
}

/** y[t] = W[ids[t]]. */
export class Embedding extends Module {
  /** [numEmbeddings, embeddingDim] */
  readonly weight: Parameter;
  readonly paddingIndex: number | undefined;

  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    options: EmbeddingOptions = {},
  ) {
    super();
    positiveInteger('Embedding', { numEmbeddings, embeddingDim });
    this.paddingIndex = options.paddingIndex;
    this.weight = initializedParameter([numEmbeddings, embeddingDim], {
      kind: 'normal',
      std: options.std ?? 0.02,
      zeroRow: options.paddingIndex,
    });
  }

  /**
   * @param ids [T] i32
   * @returns [T, embeddingDim]
   */
  forward(ids: Value): Value {
    return embeddingSum(this.term(ids));
  }

  /** This embedding as one of several that are summed in one pass. */
  term(ids: Value): EmbeddingTerm {
    return { ids, table: this.weight, paddingIndex: this.paddingIndex };
  }

  override extraRepr(): string {
    const padding = this.paddingIndex === undefined ? '' : `, padding_idx=${this.paddingIndex}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}
