/**
 * adamw and squaredNorm: what a program's `apply` runs on every trained parameter; in no graph.
 * Contract: native/ops/optimizer.h. Learning rates and clipping are decided in
 * src/train/trainer.ts.
 */
import { bytesOf, defineOp, elements } from './op';

export const adamwOp = defineOp('adamw', {
  role: 'optimizer',
  // Decay 1, clip 1, moments 3 + 4, update 5.
  flops: (call, sizes) => 14 * elements(call.inputs[0], sizes),
  bytes: (call, sizes) => 7 * bytesOf(call.inputs[0], sizes),
});

export const squaredNormOp = defineOp('squaredNorm', {
  role: 'optimizer',
  flops: (call, sizes) => 2 * elements(call.inputs[0], sizes),
  bytes: (call, sizes) => bytesOf(call.inputs[0], sizes),
});
