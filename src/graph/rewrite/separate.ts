/**
 * The opposite of fusion: a LoRA product as five ops, which the fused op is compared with.
 * Fusion is in fuse.ts; which of the two a plan takes is its option `fused` (src/graph/plan.ts).
 */
import { apply } from '../ops/op';
import { opByName } from '../ops/registry';
import type { Attributes, Graph, Value } from '../value';

/**
 * loraLinear → linear(x, W, b) + linear(s · linear(dropout(x), A), B). The scale is applied to the
 * rank's few columns, the cheapest place it has without fusion.
 */
export function separateLora(graph: Graph): void {
  for (const node of graph.nodes.splice(0)) {
    if (node.op !== 'loraLinear') {
      graph.nodes.push(node);
      continue;
    }
    const [x, W, b, A, B, , tokenIndex] = node.inputs;
    const { scaling, dropout, site } = node.attributes;
    /** `as` is a result that the fused op had too, or what to call a new one. */
    const step = (
      op: string,
      as: string | Value,
      inputs: (Value | undefined)[],
      attributes: Attributes = {},
    ): Value => {
      const result = typeof as === 'string' ? { names: [as] } : { outputs: [as] };
      return apply(graph, opByName(op), inputs, { attributes, path: node.path, ...result }).outputs[0] as Value;
    };
    const base = step('linear', 'base', [x, W, b]);
    const dropped =
      dropout === undefined || site === undefined ? x : step('dropout', 'dropped', [x, tokenIndex], { dropout, site });
    const xA = step('linear', 'xA', [dropped, A]);
    const u = step('scale', node.outputs[1] as Value, [xA], { factor: scaling as number });
    step('add', node.outputs[0] as Value, [base, step('linear', 'delta', [u, B])]);
  }
}
