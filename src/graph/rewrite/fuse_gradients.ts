/**
 * Fusion in the backward pass: where a product makes a gradient, the derivative of the activation
 * that comes next and the sum with what other readers brought become its epilogue, dx = f'(z) (dy W
 * …) + residual, instead of passes of their own.
 * The forward pass is fused by fuse.ts.
 */
import type { Graph, Node, Value } from '../value';
import { countUses, replaceNodes } from './edit';

/**
 * Where `preActivation` and `residual` stand among the operands
 * of the products that make a gradient, their first result.
 */
const EPILOGUE: Readonly<Record<string, { preActivation: number; residual: number }>> = {
  linearBackwardInput: { preActivation: 2, residual: 3 },
  loraLinearBackward: { preActivation: 7, residual: 8 },
  segmentedLoraLinearBackward: { preActivation: 9, residual: 10 },
};

/** On a differentiated graph. On the CPU the results are the same, bit for bit. */
export function fuseGradients(graph: Graph): void {
  fuseActivations(graph);
  fuseSums(graph);
}

/**
 * The product that makes `value` as its gradient and for one reader alone, and has no residual yet.
 */
function productOf(value: Value | undefined, uses: ReadonlyMap<Value, number>): Node | undefined {
  const node = value?.producer;
  const places = node && Object.hasOwn(EPILOGUE, node.op) ? EPILOGUE[node.op] : undefined;
  if (!node || !places || node.outputs[0] !== value || uses.get(value as Value) !== 1) return undefined;
  return node.inputs[places.residual] ? undefined : node;
}

function withOperand(node: Node, position: number, operand: Value | undefined): Node['inputs'] {
  const inputs = [...node.inputs];
  while (inputs.length <= position) inputs.push(undefined);
  inputs[position] = operand;
  return inputs;
}

/** activationBackward(dx, z) → dx {activation}; z, of the forward pass, is there already. */
function fuseActivations(graph: Graph): void {
  const uses = countUses(graph);
  const replacements = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    if (node.op !== 'activationBackward') continue;
    const [dy, z] = node.inputs;
    const product = productOf(dy, uses);
    const activation = node.attributes['activation'];
    if (!product || product.attributes['activation'] !== undefined || activation === undefined) continue;
    replacements.set(node, []);
    replacements.set(product, [
      {
        ...product,
        inputs: withOperand(product, (EPILOGUE[product.op] as { preActivation: number }).preActivation, z),
        outputs: [node.outputs[0], ...product.outputs.slice(1)],
        attributes: { ...product.attributes, activation },
      },
    ]);
  }
  replaceNodes(graph, replacements);
}

/** dx + other → dx {residual other}, of two products the later one. */
function fuseSums(graph: Graph): void {
  for (const node of [...graph.nodes]) {
    if (node.op !== 'add' || node.phase !== 'backward') continue;
    const uses = countUses(graph);
    const position = new Map(graph.nodes.map((each, i) => [each, i]));
    const [a, b] = node.inputs;
    const madeAt = (value: Value | undefined) => (value?.producer ? (position.get(value.producer) ?? -1) : -1);
    const [late, early] = madeAt(a) > madeAt(b) ? [a, b] : [b, a];
    const product = productOf(late, uses);
    if (!product || early === late) continue;
    replaceNodes(
      graph,
      new Map([
        [node, []],
        [
          product,
          [
            {
              ...product,
              inputs: withOperand(product, (EPILOGUE[product.op] as { residual: number }).residual, early),
              outputs: [node.outputs[0], ...product.outputs.slice(1)],
            },
          ],
        ],
      ]),
    );
  }
}
