/**
 * A graph in two where nothing below is trained: what comes before a value, as a graph of its own,
 * and what comes after it with the value as a batch input. Who keeps the value between runs:
 * src/train/kept_source.ts.
 */
import { opByName } from './ops/registry';
import { copyGraph } from './rewrite/edit';
import type { Graph, Node, Value } from './value';

/** The batch input, and the output, that the value becomes. */
export const KEPT = 'kept';

/** Where a graph is cut. */
export interface Cut {
  /** Of the value. */
  name: string;
  /** Whether it has a row a token or a sequence. */
  rows: 'T' | 'S';
  /** Values a row. */
  features: number;
}

/** The nodes that outputs depend on, when `inputs` are given. */
function needed(graph: Graph, outputs: Iterable<Value>, inputs: ReadonlySet<Value>): Set<Node> {
  const nodes = new Set<Node>();
  const visit = (value: Value | undefined) => {
    const node = value && !inputs.has(value) ? value.producer : undefined;
    if (!node || nodes.has(node)) return;
    nodes.add(node);
    node.inputs.forEach(visit);
  };
  for (const value of outputs) visit(value);
  return new Set(graph.nodes.filter((node) => nodes.has(node)));
}

/** Values that no parameter which is trained leads to. */
function constants(graph: Graph): Value[] {
  const trained = new Set<Value>();
  const found: Value[] = [];
  for (const node of graph.nodes) {
    const follows = node.inputs.some((value) => value && (trained.has(value) || value.parameter?.requiresGrad));
    for (const value of node.outputs) {
      if (!value) continue;
      if (follows) trained.add(value);
      else found.push(value);
    }
  }
  return found;
}

/**
 * The last value of a graph from which all that is trained follows, and beside which nothing of the
 * texts is read any more.
 *
 * @param graph without dropout, so that the value is the same at each pass.
 * @param input of the texts.
 * @returns undefined where what is trained stands at the beginning.
 */
export function lowestCut(graph: Graph, input = 'inputIds'): Cut | undefined {
  const text = graph.inputs.get(input);
  const candidates = constants(graph).filter(
    ({ dtype, shape: [rows, features] }) =>
      dtype === 'float' && (rows === 'T' || rows === 'S') && typeof features === 'number',
  );
  const value = candidates.reverse().find((one) => {
    const rest = needed(graph, graph.outputs.values(), new Set([one]));
    return ![...rest].some(({ inputs }) => inputs.includes(text));
  });
  const [rows] = value?.shape ?? [];
  return value && { name: value.name, rows: rows as 'T' | 'S', features: value.features };
}

/** What makes the value: a graph with the one output {@link KEPT}. */
export function beforeCut(graph: Graph, { name }: Cut): Graph {
  const copy = copyGraph(graph);
  const value = copy.values.find((one) => one.name === name) as Value;
  const nodes = needed(copy, [value], new Set());
  copy.nodes.splice(0, copy.nodes.length, ...nodes);
  copy.outputs.clear();
  copy.outputs.set(KEPT, value);
  return copy;
}

/**
 * What follows from the value, which is the batch input {@link KEPT}.
 *
 * @returns undefined where the graph has no such value.
 */
export function afterCut(graph: Graph, { name, rows, features }: Cut): Graph | undefined {
  const copy = copyGraph(graph);
  const value = copy.values.find((one) => one.name === name);
  if (!value) return undefined;
  const kept = copy.input(KEPT, 'float', [rows, features]);
  const nodes = needed(copy, copy.outputs.values(), new Set([value]));
  for (const node of nodes) node.inputs = node.inputs.map((one) => (one === value ? kept : one));
  copy.nodes.splice(0, copy.nodes.length, ...nodes);
  return copy;
}

/** Share of a forward pass that comes before the cut, for short texts. */
export function shareBefore(graph: Graph, cut: Cut): number {
  const sizes = { T: 256, S: 8, M: 8 };
  const flops = (one: Graph) => one.nodes.reduce((sum, node) => sum + opByName(node.op).flops(node, sizes), 0);
  return flops(beforeCut(graph, cut)) / Math.max(1, flops(graph));
}
