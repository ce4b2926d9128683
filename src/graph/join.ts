/**
 * Training graphs of several models over one frozen base made one: one forward pass of what they
 * share, a loss and a backward pass for each. What is the same in them is found by
 * rewrite/share.ts; the losses are differentiated together by differentiate.ts.
 */
import { opByName } from './ops/registry';
import { copyInto } from './rewrite/edit';
import { Graph } from './value';

/** The batch inputs that a graph's loss reads: labels or targets, of which each has its own. */
export function lossInputs(graph: Graph): string[] {
  const losses = graph.nodes.filter(({ op }) => opByName(op).role === 'loss');
  return losses.flatMap(({ inputs }) => inputs.flatMap((value) => (value?.kind === 'input' ? value.name : [])));
}

/** The name of a graph's own input or loss among several. */
export const nameOfOwn = (name: string, index: number) => `${name}:${index}`;

/**
 * @param graphs that end in a loss; inputs of the same name have the same values in all of them,
 * but for those of the losses.
 * @returns a graph with the outputs `loss:0`, `loss:1`, …
 */
export function joinGraphs(graphs: readonly Graph[]): Graph {
  const joined = new Graph(graphs.some(({ training }) => training));
  for (const [i, graph] of graphs.entries()) {
    const own = new Set(lossInputs(graph));
    const outputs = copyInto(joined, graph, (name) => (own.has(name) ? nameOfOwn(name, i) : name));
    const loss = outputs.get('loss');
    if (loss) joined.outputs.set(nameOfOwn('loss', i), loss);
  }
  return joined;
}
