/**
 * Which slots an adapted layer reads in a graph that is traced for rows of several adapters. The
 * slots are filled by slots.ts; the layer that asks is lora_linear.ts.
 */
import type { AdapterSlots } from '../graph/ops';
import type { Graph } from '../graph/value';
import type { Module } from '../nn';

const slotsOfGraphs = new WeakMap<Graph, ReadonlyMap<Module, AdapterSlots>>();

/** What this layer reads in this graph; undefined where it has its active adapters, as ever. */
export function slotsIn(graph: Graph, layer: Module): AdapterSlots | undefined {
  return slotsOfGraphs.get(graph)?.get(layer);
}

/** Traces `body` with these slots. */
export function withSlots<R>(graph: Graph, slots: ReadonlyMap<Module, AdapterSlots>, body: () => R): R {
  slotsOfGraphs.set(graph, slots);
  try {
    return body();
  } finally {
    slotsOfGraphs.delete(graph);
  }
}
