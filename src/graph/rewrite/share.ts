/**
 * Work that is done twice on the same operands is done once: several heads gather the same rows,
 * and share a pooler that none of their adapters changes.
 * Masks of one graph have each its own number and never meet; in joined graphs the same number on
 * the same rows is the same mask. What else is left out: dead_tokens.ts.
 */
import type { Graph, Node, Value } from '../value';
import { replaceNodes } from './edit';

/** A node with op, operands and attributes of an earlier one gives way to its results. */
export function shareNodes(graph: Graph): void {
  const outputs = new Set(graph.outputs.values());
  const first = new Map<string, Node>();
  const copies = new Map<Value, Value>();
  const removed = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map((value) => value && (copies.get(value) ?? value));
    // Results that somebody reads by name stay.
    if (node.outputs.some((value) => value && outputs.has(value))) continue;
    const key = JSON.stringify([
      node.op,
      node.inputs.map((value) => value?.id ?? -1),
      node.outputs.map((value) => value !== undefined),
      Object.entries(node.attributes).sort(([a], [b]) => (a < b ? -1 : 1)),
    ]);
    const known = first.get(key);
    if (!known) {
      first.set(key, node);
      continue;
    }
    node.outputs.forEach((value, i) => {
      const same = known.outputs[i];
      if (value && same) copies.set(value, same);
    });
    removed.set(node, []);
  }
  replaceNodes(graph, removed);
}
