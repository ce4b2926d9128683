/**
 * The module of dropout: it is active in training graphs alone, and can be switched off.
 * The op and its mask: src/graph/ops/elementwise.ts.
 */
import { probability } from '../base/options';
import { dropout } from '../graph/ops';
import type { Value } from '../graph/value';
import { Module } from './module';

/** y = mask · x / (1 − p) in a training graph, x itself otherwise and after `eval()`. */
export class Dropout extends Module {
  constructor(readonly p: number) {
    super();
    probability('Dropout', 'p', p);
  }

  /**
   * x with a share p of its entries zeroed, the others times 1 / (1 − p); in training only.
   *
   * @param x [R, N]
   * @param tokenIndex [R] i32: the token of each row, where rows are
   * a selection (the first token of each sentence), so that the mask
   * is the one which these tokens would have had in the whole batch.
   */
  forward(x: Value, tokenIndex?: Value): Value {
    return this.training ? dropout(x, this.p, tokenIndex) : x;
  }

  override extraRepr(): string {
    return `p=${this.p}, inplace=False`;
  }
}
