/**
 * Dead-token elimination: what works row by row, and of whose result only some rows
 * are gathered, is done for those rows alone. A classifier reads one token of each
 * sentence: its last layer then has queries, attention output and feed-forward for
 * that token only; a masked-language model's for the masked tokens. Rows do not depend
 * on each other, and dropout masks on the token alone, so the results are the same.
 * gatherRows itself: src/graph/ops/gather_rows.ts.
 */
import { segmentEnds } from '../ops/segmented_lora_linear';
import type { Graph, Node, Value } from '../value';
import { countUses, replaceNodes } from './edit';
import { shareNodes } from './share';

/** Positions of operands. */
interface RowOperands {
  /** Those that have a row for each row of the result. */
  rows: readonly number[];
  /** The one that says which tokens the rows are. */
  tokens?: number;
  /** The one that says where rows of an adapter end. */
  ends?: number;
}

const ROW_OPERANDS: Readonly<Record<string, RowOperands>> = {
  activation: { rows: [0] },
  add: { rows: [0, 1] },
  attention: { rows: [0], tokens: 4 },
  dropout: { rows: [0], tokens: 1 },
  layerNorm: { rows: [0] },
  linear: { rows: [0, 3] },
  loraLinear: { rows: [0, 5], tokens: 6 },
  scale: { rows: [0] },
  segmentedLoraLinear: { rows: [0, 7], tokens: 8, ends: 6 },
};

/**
 * gatherRows(f(x), index) → f(gatherRows(x, index)), through as many ops as nobody else reads.
 * Where branches that gather the same rows begin (several adapters above one base), each gets a
 * gather of what they share; those are made one, and it goes on down.
 */
export function eliminateDeadTokens(graph: Graph): void {
  const move = () => {
    const gathers = graph.nodes.filter(({ op }) => op === 'gatherRows');
    return gathers.map((gather) => dropDeadRows(graph, gather)).includes(true);
  };
  while (move()) shareNodes(graph);
}

function rowOperands(node: Node): Value[] {
  return (ROW_OPERANDS[node.op]?.rows ?? []).flatMap((position) => node.inputs[position] ?? []);
}

/**
 * The nodes before `gather` whose results nothing but
 * `gather` needs, and that work row by row; in order.
 */
function coneOf(graph: Graph, gather: Node): Node[] {
  const uses = countUses(graph);
  const inside = new Map<Value, number>([[gather.inputs[0] as Value, 1]]);
  const cone: Node[] = [];
  for (const node of graph.nodes.slice(0, graph.nodes.indexOf(gather)).reverse()) {
    const operands = ROW_OPERANDS[node.op];
    const [y, ...others] = node.outputs;
    if (!operands || !y || !inside.has(y) || inside.get(y) !== uses.get(y)) continue;
    if (others.some((value) => value && uses.has(value))) continue;
    // Its rows are a selection already.
    if (operands.tokens !== undefined && node.inputs[operands.tokens]) continue;
    for (const value of rowOperands(node)) inside.set(value, (inside.get(value) ?? 0) + 1);
    cone.push(node);
  }
  return cone.reverse();
}

/** @returns whether the gather went further down. */
function dropDeadRows(graph: Graph, gather: Node): boolean {
  const [whole, index] = gather.inputs as [Value, Value];
  const [gathered] = gather.outputs as [Value];
  if (whole.shape[0] !== 'T' || gathered.shape[0] === 'T') return false;
  const liveRows = new Map<Value, Value>();
  const withRowsOf = (value: Value): Value => {
    const copy = graph.value('computed', value.dtype, [gathered.shape[0] as 'S', ...value.shape.slice(1)], value.name);
    copy.name = value.name;
    return copy;
  };
  const replacements = new Map<Node, Node[]>();
  for (const node of coneOf(graph, gather)) {
    const added: Node[] = [];
    for (const value of rowOperands(node)) {
      if (liveRows.has(value)) continue;
      const rows = withRowsOf(value);
      rows.name = `${value.name}:gathered`;
      liveRows.set(value, rows);
      added.push({ ...gather, inputs: [value, index], outputs: [rows], path: node.path });
    }
    const { rows, tokens, ends } = ROW_OPERANDS[node.op] as RowOperands;
    const inputs = [...node.inputs];
    for (const position of rows) {
      const value = inputs[position];
      if (value) inputs[position] = liveRows.get(value);
    }
    if (ends !== undefined) {
      inputs[ends] = segmentEnds(graph, gathered.shape[0] as 'S', inputs[ends]?.shape[0] as number);
    }
    if (tokens !== undefined && (node.op === 'attention' || node.attributes['site'] !== undefined)) {
      while (inputs.length < tokens) inputs.push(undefined);
      inputs[tokens] = index;
    }
    const outputs = node.outputs.map((value) => value && (value === whole ? gathered : withRowsOf(value)));
    if (node.outputs[0] && outputs[0]) liveRows.set(node.outputs[0], outputs[0]);
    replacements.set(node, [...added, { ...node, inputs, outputs }]);
  }
  if (replacements.size === 0) return false;
  replacements.set(gather, []);
  replaceNodes(graph, replacements);
  return true;
}
