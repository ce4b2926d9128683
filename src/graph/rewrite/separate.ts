/** The opposite of fusion: LoRA as separate calls, what the fused op is compared with. */
import { apply } from '../ops/op';
import { opByName } from '../ops/registry';
import type { Attributes, Graph, Value } from '../value';

/**
 * loraLinear → linear(x, W, b) + linear(s · linear(dropout(x), A), B). The scale is applied to the rank's few columns,
 * the cheapest place it has without fusion.
 */
export function separateLora(graph: Graph): void {
  for (const node of graph.nodes.splice(0)) {
    if (node.op !== 'loraLinear') {
      graph.nodes.push(node);
      continue;
    }
    const [x, W, b, A, B, , tokenIndex] = node.inputs;
    const { scaling, dropout, site } = node.attributes;
    const step = (op: string, name: string, inputs: (Value | undefined)[], attributes: Attributes = {}): Value =>
      apply(graph, opByName(op), inputs, { attributes, path: node.path, names: [name] }).outputs[0] as Value;

    const base = step('linear', 'base', [x, W, b]);
    const dropped =
      dropout === undefined || site === undefined ? x : step('dropout', 'dropped', [x, tokenIndex], { dropout, site });
    const u = step('scale', 'u', [step('linear', 'xA', [dropped, A])], { factor: scaling as number });
    const delta = step('linear', 'delta', [u, B]);
    apply(graph, opByName('add'), [base, delta], { path: node.path, outputs: [node.outputs[0]] });
  }
}
