/**
 * The module of an elementwise function, with no parameters.
 * The functions and their gradients: src/graph/ops/activation.ts.
 */
import { type ActivationKind, activation } from '../graph/ops';
import type { Value } from '../graph/value';
import { Module } from './module';

/** y = f(x), elementwise: `gelu` (exact, by erf), `geluTanh`, `relu` or `tanh`. */
export class Activation extends Module {
  constructor(readonly kind: ActivationKind) {
    super();
  }

  /** f(x), elementwise. @param x [R, N] */
  forward(x: Value): Value {
    return activation(x, this.kind);
  }

  override extraRepr(): string {
    return this.kind;
  }
}
