/**
 * What a trainable model is: a module that names its batch inputs and has a loss; and tracing it.
 * The models of this library: src/models.
 */
import { bceWithLogits, type CrossEntropyOptions, crossEntropy, mse } from '../graph/ops';
import { Graph, type Value } from '../graph/value';
import { Module } from './module';

/** What changes a loss. */
export type LossOptions = CrossEntropyOptions;

/**
 * What a program can be made of: a module that finds its own batch inputs and has a loss.
 *
 * Batch inputs and their shapes: inputIds, positionIds, tokenTypeIds [T]; cuSeqlens [S+1];
 * firstToken [S] (the first token of each sequence); rowIndex [M] (tokens picked for
 * masked-language modelling); labels [S], [T] or [M]; targets [S, n] (floats).
 */
export abstract class Model extends Module {
  /**
   * Builds the graph from batch inputs (`graph.input`).
   * @returns the logits, [S, n], [T, n] or [M, n].
   */
  abstract forwardLogits(graph: Graph): Value;

  /**
   * The loss of these logits: cross-entropy with the batch input `labels`, one
   * a row of the logits. Override it for another; {@link squaredLoss} is there
   * for regression, {@link binaryLoss} for labels that exclude no other.
   */
  forwardLoss(graph: Graph, logits: Value, options: LossOptions): Value {
    const rows = logits.shape[0] as 'T' | 'S' | 'M';
    return crossEntropy(logits, graph.input('labels', 'i32', [rows]), options);
  }
}

/** mean((logits − targets)²) with the batch input `targets`, of the shape of the logits. */
export function squaredLoss(graph: Graph, logits: Value): Value {
  return mse(logits, graph.input('targets', 'float', logits.shape));
}

/**
 * The mean binary cross-entropy with the batch input `targets`, of the shape of the logits: each
 * label is there (1) or not (0).
 */
export function binaryLoss(graph: Graph, logits: Value): Value {
  return bceWithLogits(logits, graph.input('targets', 'float', logits.shape));
}

/** Of {@link trace}. */
export interface TraceOptions {
  /** Whether dropout is active. Default: the model's own mode (`train()`, `eval()`). */
  training?: boolean;
  /** Whether the graph ends in a loss. Default true. */
  loss?: boolean;
  lossOptions?: LossOptions;
}

/**
 * The graph of a model: its outputs are `logits` and, where asked for, `loss`. Modules get their
 * paths and parameters their names.
 */
export function trace(model: Model, options: TraceOptions = {}): Graph {
  model.nameTree();
  const graph = new Graph(options.training ?? model.training);
  const logits = model.forwardLogits(graph);
  graph.outputs.set('logits', logits);
  if (options.loss ?? true) {
    graph.outputs.set(
      'loss',
      graph.scope('loss', () => model.forwardLoss(graph, logits, options.lossOptions ?? {})),
    );
  }
  return graph;
}
