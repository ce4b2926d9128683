/**
 * What passes share: a copy of the graph to work on, counts of uses, replacing nodes in place.
 * The passes are the other files here; their order is in src/graph/rewrite.ts.
 */
import { Graph, type Node, type Value } from '../value';

/** Changes a graph into an equivalent one, in place. */
export type RewritePass = (graph: Graph) => void;

/** The same graph on new values and nodes, so that a traced graph can be planned more than once. */
export function copyGraph(graph: Graph): Graph {
  const copy = new Graph(graph.training);
  for (const [name, value] of copyInto(copy, graph)) copy.outputs.set(name, value);
  return copy;
}

/**
 * Adds the nodes of a graph to another one, on values of that; parameters, and inputs of the same
 * name, are the same there.
 *
 * @param inputName the name of an input in the copy.
 * @returns the graph's outputs in the copy, by name.
 */
export function copyInto(copy: Graph, graph: Graph, inputName = (name: string) => name): Map<string, Value> {
  const copies = new Map<Value, Value>();
  const copied = (value: Value): Value => {
    let result = copies.get(value);
    if (!result) {
      const { kind, dtype, shape, name, parameter } = value;
      if (kind === 'input') result = copy.input(inputName(name), dtype, shape);
      else if (parameter) result = kind === 'gradient' ? copy.gradient(parameter) : copy.parameter(parameter);
      else result = copy.value(kind, dtype, shape, name);
      copies.set(value, result);
    }
    return result;
  };
  for (const node of graph.nodes) {
    copy.addNode({
      ...node,
      inputs: node.inputs.map((value) => value && copied(value)),
      outputs: node.outputs.map((value) => value && copied(value)),
    });
  }
  return new Map([...graph.outputs].map(([name, value]) => [name, copied(value)]));
}

/** How often each value is read; being an output of the graph counts. */
export function countUses(graph: Graph): Map<Value, number> {
  const uses = new Map<Value, number>();
  const count = (value: Value | undefined) => value && uses.set(value, (uses.get(value) ?? 0) + 1);
  for (const node of graph.nodes) node.inputs.forEach(count);
  for (const value of graph.outputs.values()) count(value);
  return uses;
}

/** The node that makes `value`, where one reader is all it has, so that the two can become one. */
export function producerForSoleReader(value: Value | undefined, uses: Map<Value, number>): Node | undefined {
  return value && uses.get(value) === 1 ? value.producer : undefined;
}

/**
 * Puts new nodes in the place of old ones; an empty list
 * removes. Results and all other nodes stay the same objects.
 */
export function replaceNodes(graph: Graph, replacements: ReadonlyMap<Node, readonly Node[]>): void {
  if (replacements.size === 0) return;
  for (const node of graph.nodes.splice(0)) {
    const added = replacements.get(node);
    if (added) for (const replacement of added) graph.addNode(replacement);
    else graph.nodes.push(node);
  }
}
