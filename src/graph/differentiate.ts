/**
 * Reverse mode on the graph: adds the backward pass of the output named 'loss', or of several.
 * What no trainable parameter needs is never built. Each op's gradient rule is in src/graph/ops.
 */
import { FusedLoraError } from '../base/errors';
import { apply, type GradientContext, type GradientTarget, placeOf } from './ops/op';
import { opByName } from './ops/registry';
import type { Attributes, Graph, Node, Value, ValueType } from './value';

/**
 * Adds backward nodes to `graph` and, to its forward nodes, the optional outputs that they read.
 * Parameter gradients are graph.gradient(parameter); a parameter used twice is an output of two
 * nodes, which add to it. Throws INVALID_ARGUMENT when there is no single loss or nothing to train;
 * graphs that were joined (join.ts) have a loss each, and what they train is apart.
 */
export function differentiate(graph: Graph): void {
  const losses = findLosses(graph);
  const pass = new BackwardPass(graph);
  const forward = [...graph.nodes];
  const last = Math.max(...losses.map((loss) => forward.indexOf(loss)));
  // Nodes after the loss do not lead to it.
  for (const node of forward.slice(0, last + 1).reverse()) pass.visit(node, losses.includes(node));
  if (graph.trained.length === 0) throw nothingTrainable(graph);
}

function findLosses(graph: Graph): Node[] {
  const losses = graph.nodes.filter((node) => opByName(node.op).role === 'loss');
  const output = graph.outputs.get('loss');
  const joined = new Set([...graph.outputs].flatMap(([name, value]) => (name.startsWith('loss:') ? value : [])));
  const isOne = losses.length === 1 && losses[0]?.outputs[0] === output;
  const areJoined = joined.size === losses.length && losses.every(({ outputs: [y] }) => y && joined.has(y));
  if (losses.length === 0 || !(isOne || areJoined)) {
    const made = losses.map((node) => placeOf(opByName(node.op), node)).join(', ') || 'none';
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `training needs one loss op whose result is the graph output 'loss'; the graph has ${made}` +
        `${output ? '' : " and no output 'loss'"}. Return crossEntropy(...), mse(...) or bceWithLogits(...) as 'loss' from forward()`,
    );
  }
  return losses;
}

function nothingTrainable(graph: Graph): FusedLoraError {
  const trainable = graph.parameters.filter((parameter) => parameter.requiresGrad).map(({ name }) => name);
  return new FusedLoraError(
    'INVALID_ARGUMENT',
    trainable.length === 0
      ? `nothing to train: all ${graph.parameters.length} parameters of the graph are frozen; ` +
          'add an adapter or set requiresGrad on what is to be trained'
      : `nothing to train: no trainable parameter leads to the loss; trainable are ${trainable.join(', ')}`,
  );
}

class BackwardPass {
  private readonly needed = new Set<Value>();
  /** Gradients of a value by its readers, in the order in which the backward pass makes them. */
  private readonly parts = new Map<Value, Value[]>();

  constructor(private readonly graph: Graph) {
    for (const node of graph.nodes) {
      if (!node.inputs.some((value) => this.needs(value))) continue;
      for (const output of node.outputs) if (output) this.needed.add(output);
    }
  }

  needs(value: Value | undefined): boolean {
    return value !== undefined && (value.parameter?.requiresGrad === true || this.needed.has(value));
  }

  visit(node: Node, isLoss: boolean): void {
    const y = node.outputs[0];
    const dy = y && this.sum(y, node.path);
    if (!isLoss && !dy) return;
    const rule = opByName(node.op).gradient;
    if (!rule) throw new FusedLoraError('INTERNAL', `${node.op} has no gradient rule`);
    rule(node, this.context(node, dy));
  }

  private sum(value: Value, path: string): Value | undefined {
    return this.parts
      .get(value)
      ?.reduce(
        (sum, part) =>
          apply(this.graph, opByName('add'), [sum, part], { phase: 'backward', path, names: ['gradient'] })
            .outputs[0] as Value,
      );
  }

  private context(node: Node, dy: Value | undefined): GradientContext {
    return {
      get dy(): Value {
        if (!dy) throw new FusedLoraError('INTERNAL', `${node.op}: a loss has no incoming gradient`);
        return dy;
      },
      needs: (...operands) => operands.some((value) => this.needs(value)),
      keep: (output) => this.keep(node, output),
      compute: (op, inputs, attributes = {}) =>
        apply(this.graph, opByName(op), inputs, { attributes, phase: 'backward', path: node.path }).outputs[0] as Value,
      emit: (op, inputs, targets, attributes = {}) => this.emit(node, op, inputs, targets, attributes),
      pass: (target, gradient) => this.pass(node, target, gradient),
    };
  }

  private keep(node: Node, output: number): Value {
    const known = node.outputs[output];
    if (known) return known;
    const op = opByName(node.op);
    const { dtype, shape } = op.infer(node)[output] as ValueType;
    const value = this.graph.value('computed', dtype, shape, `${node.path || op.name}:${op.outputs[output]?.name}`);
    value.producer = node;
    while (node.outputs.length <= output) node.outputs.push(undefined);
    node.outputs[output] = value;
    return value;
  }

  private emit(
    node: Node,
    op: string,
    inputs: readonly (Value | undefined)[],
    targets: readonly GradientTarget[],
    attributes: Attributes,
  ): void {
    const definition = opByName(op);
    const wanted = targets.map((target) => [target].flat().filter((value): value is Value => this.needs(value)));
    if (wanted.every((values) => values.length === 0)) return;
    const outputs = wanted.map(([first], i) => {
      if (!first) return undefined;
      if (definition.outputs[i]?.accumulated && first.parameter) return this.graph.gradient(first.parameter);
      return this.graph.value('computed', first.dtype, first.shape, `${first.name}:gradient`);
    });
    apply(this.graph, definition, inputs, { outputs, attributes, phase: 'backward', path: node.path });
    wanted.forEach((values, i) => {
      const gradient = outputs[i];
      for (const value of values) if (gradient?.kind === 'computed') this.pass(node, value, gradient);
    });
  }

  private pass(node: Node, target: Value | undefined, gradient: Value): void {
    if (!target || !this.needs(target)) return;
    if (target.parameter) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${placeOf(opByName(node.op), node)}: parameter ${target.name} is trained, but stands where this op takes ` +
          'activations; use it as a weight, bias, table or LayerNorm parameter, or freeze it',
      );
    }
    const parts = this.parts.get(target);
    if (parts) parts.push(gradient);
    else this.parts.set(target, [gradient]);
  }
}
