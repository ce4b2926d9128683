/**
 * Fusion of the forward pass: activations and residuals become epilogues of the products before
 * them,
 * and dropout + add + LayerNorm one op. The backward pass has its own: fuse_gradients.ts.
 */
import type { Graph, Node, Value } from '../value';
import { countUses, producerForSoleReader, replaceNodes } from './edit';

/** Where `residual` stands among the operands of the ops that have such an epilogue. */
const RESIDUAL: Readonly<Record<string, number>> = { linear: 3, loraLinear: 5, segmentedLoraLinear: 7 };

function isPlainProduct(node: Node | undefined): node is Node {
  return node !== undefined && Object.hasOwn(RESIDUAL, node.op) && !residualOf(node);
}

function residualOf(node: Node): Value | undefined {
  return node.inputs[RESIDUAL[node.op] as number];
}

function withOutput(node: Node, y: Value | undefined): (Value | undefined)[] {
  return [y, ...node.outputs.slice(1)];
}

/** activation(linear(x)) → linear(x) {activation}; the same for loraLinear. */
export function fuseActivation(graph: Graph): void {
  const uses = countUses(graph);
  const replacements = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    if (node.op !== 'activation') continue;
    const product = producerForSoleReader(node.inputs[0], uses);
    if (!isPlainProduct(product) || product.attributes['activation'] !== undefined) continue;
    replacements.set(product, []);
    replacements.set(node, [
      {
        ...product,
        outputs: withOutput(product, node.outputs[0]),
        attributes: { ...product.attributes, activation: node.attributes['activation'] ?? 'none' },
      },
    ]);
  }
  replaceNodes(graph, replacements);
}

/**
 * layerNorm(r + dropout(x)) → addLayerNorm(x, r), the operands
 * of the sum in either order, with or without dropout.
 */
export function fuseAddLayerNorm(graph: Graph): void {
  const uses = countUses(graph);
  const replacements = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    if (node.op !== 'layerNorm') continue;
    const [sum, gamma, beta] = node.inputs;
    const add = producerForSoleReader(sum, uses);
    if (add?.op !== 'add') continue;
    let [x, residual] = add.inputs;
    let dropout = producerForSoleReader(x, uses);
    if (dropout?.op !== 'dropout') {
      dropout = producerForSoleReader(residual, uses);
      if (dropout?.op === 'dropout') [x, residual] = [residual, x];
      else dropout = undefined;
    }
    replacements.set(add, []);
    if (dropout) replacements.set(dropout, []);
    replacements.set(node, [
      {
        ...node,
        op: 'addLayerNorm',
        inputs: [dropout ? dropout.inputs[0] : x, residual, gamma, beta, dropout?.inputs[1]],
        outputs: [node.outputs[0], undefined, undefined],
        attributes: { ...node.attributes, ...dropout?.attributes },
      },
    ]);
  }
  replaceNodes(graph, replacements);
}

/**
 * linear(x) + r → linear(x, residual r). After fuseAddLayerNorm, which saves more where it applies.
 */
export function fuseResidual(graph: Graph): void {
  const uses = countUses(graph);
  for (const node of [...graph.nodes]) {
    if (node.op !== 'add') continue;
    const [a, b] = node.inputs;
    const [product, residual] = [[a, b] as const, [b, a] as const]
      .map(([y, other]) => [producerForSoleReader(y, uses), other] as const)
      .find(([producer]) => isPlainProduct(producer)) ?? [undefined, undefined];
    if (!product) continue;
    const inputs = [...product.inputs];
    const position = RESIDUAL[product.op] as number;
    while (inputs.length <= position) inputs.push(undefined);
    inputs[position] = residual;
    // One at a time: a sum of three products finds the product that the first fusion made.
    replaceNodes(
      graph,
      new Map([
        [product, []],
        [node, [{ ...product, inputs, outputs: withOutput(product, node.outputs[0]) }]],
      ]),
    );
  }
}
