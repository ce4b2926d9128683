/**
 * Several adapters of one model side by side in slots, for batches whose rows are of different
 * adapters: the stacked values of each adapted layer, and how a traced graph comes to use them.
 * The layer itself is lora_linear.ts, the op src/graph/ops/segmented_lora_linear.ts.
 */
import type { AdapterSlots } from '../graph/ops';
import { Parameter } from '../graph/parameter';
import type { Graph } from '../graph/value';
import type { Module } from '../nn';
import { invalidLora } from './config';
import { withSlots } from './graph_slots';
import type { LoraLinear } from './lora_linear';
import { adapterEntry, loraLinears } from './registry';

/**
 * Adapters of a model in slots. A program that was traced with the table stays as it is while
 * adapters come and go in it.
 */
export class AdapterSlotTable {
  /** The adapter in each slot. */
  readonly names: (string | undefined)[];
  private readonly rank: number;
  private readonly layers = new Map<LoraLinear, AdapterSlots>();

  /**
   * @param names of adapters of the model, one a slot from the first on.
   * @throws FusedLoraError INVALID_LORA for merged adapters, and those that train biases.
   */
  constructor(
    private readonly model: Module,
    names: readonly string[],
  ) {
    for (const name of names) adapterEntry(model, name);
    const slots = Math.max(1, names.length);
    const layers = loraLinears(model);
    this.rank = Math.max(1, ...layers.flatMap(([, layer]) => names.map((name) => rankOf(layer, name))));
    this.names = Array.from({ length: slots }, () => undefined);
    for (const [path, layer] of layers) {
      const { inFeatures, outFeatures } = layer;
      const make = (what: string, rows: number, columns: number) =>
        new Parameter([rows, columns], new Float32Array(rows * columns), {
          name: `${path}.slots.${what}`,
          requiresGrad: false,
        });
      this.layers.set(layer, {
        A: make('A', slots * this.rank, inFeatures),
        B: make('B', slots * outFeatures, this.rank),
        settings: make('settings', slots, 2),
      });
    }
    for (const [slot, name] of names.entries()) this.put(slot, name);
  }

  /**
   * Puts an adapter of the model into a slot, in the place of the one that was there; undefined
   * leaves it without one. Programs see it from their next batch on.
   */
  put(slot: number, name: string | undefined): void {
    if (!(slot in this.names)) throw invalidLora(`there is no slot ${slot}; slots are 0 to ${this.names.length - 1}.`);
    if (name !== undefined) this.check(name);
    for (const [layer, slots] of this.layers) {
      const known = name !== undefined && layer.adapters.has(name) ? layer.adapter(name) : undefined;
      if (known) {
        slots.A.setPart(known.A.data(), slot * this.rank * layer.inFeatures);
        slots.B.setPart(known.B.data(), slot * layer.outFeatures * this.rank);
      }
      const { rank, scaling } = known?.settings ?? { rank: 0, scaling: 0 };
      slots.settings.setPart(Float32Array.of(rank, scaling), 2 * slot);
    }
    this.names[slot] = name;
  }

  /** The slot of an adapter; undefined where it is in none. */
  slotOf(name: string): number | undefined {
    const slot = this.names.indexOf(name);
    return slot < 0 ? undefined : slot;
  }

  /** Traces `body` on a graph: adapted layers in it read their slots. */
  use<R>(graph: Graph, body: () => R): R {
    return withSlots(graph, this.layers, body);
  }

  /** Frees the memory on every device. */
  dispose(): void {
    for (const { A, B, settings } of this.layers.values()) for (const one of [A, B, settings]) one.dispose();
  }

  private check(name: string): void {
    if (adapterEntry(this.model, name).config.bias !== 'none') {
      throw invalidLora(`adapter "${name}" trains biases, which belong to the base: it can not share a batch.`);
    }
    for (const [path, layer] of loraLinears(this.model)) {
      if (layer.merged.length > 0) throw invalidLora(`adapters are merged into "${path}". Call unmerge(model) first.`);
      const rank = rankOf(layer, name);
      if (rank > this.rank) {
        throw invalidLora(`adapter "${name}" has rank ${rank} at "${path}", and the slots were made for ${this.rank}.`);
      }
      if (rank > 0 && !this.layers.has(layer)) {
        throw invalidLora(`adapter "${name}" adapts "${path}", which no adapter did when the slots were made.`);
      }
    }
  }
}

function rankOf(layer: LoraLinear, name: string): number {
  return layer.adapters.get(name)?.rank ?? 0;
}
