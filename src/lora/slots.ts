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

const WHAT = ['A', 'B', 'settings'] as const;

/** The values of one adapted layer, and the parameters that programs read them as. */
interface Layer {
  linear: LoraLinear;
  slots: AdapterSlots;
}

/**
 * Adapters of a model in slots. A program that was traced with the table stays as it is while
 * adapters come and go in it. Their values are on devices alone: here they are read again from the
 * adapters, when a device asks for them.
 */
export class AdapterSlotTable {
  /** The adapter in each slot. */
  readonly names: (string | undefined)[];
  private readonly rank: number;
  /** By path. */
  private readonly layers = new Map<string, Layer>();

  /**
   * @param names of adapters of the model, one a slot from the first on.
   * @throws FusedLoraError INVALID_LORA for merged adapters, and those that train biases.
   */
  constructor(
    private readonly model: Module,
    names: readonly string[],
  ) {
    const ranks = names.flatMap((name) => adapterEntry(model, name).targets.map(({ rank }) => rank));
    this.rank = Math.max(1, ...ranks);
    const count = Math.max(1, names.length);
    this.names = Array.from({ length: count }, () => undefined);
    for (const [path, linear] of loraLinears(model)) {
      const { inFeatures, outFeatures } = linear;
      const shapes = { A: [this.rank, inFeatures], B: [outFeatures, this.rank], settings: [1, 2] } as const;
      const make = (what: keyof AdapterSlots) => {
        const [rows, columns] = shapes[what];
        const name = `${path}.slots.${what}`;
        const source = { description: name, read: () => this.stacked(linear, what, rows * columns) };
        return new Parameter([count * rows, columns], source, { name, requiresGrad: false });
      };
      this.layers.set(path, { linear, slots: { A: make('A'), B: make('B'), settings: make('settings') } });
    }
    for (const name of names) this.check(name);
    // No device has read anything yet.
    for (const [slot, name] of names.entries()) this.names[slot] = name;
  }

  /**
   * Puts an adapter of the model into a slot, in the place of the one that was there; undefined
   * leaves it without one. Programs see it from their next batch on.
   */
  put(slot: number, name: string | undefined): void {
    if (!(slot in this.names)) throw invalidLora(`there is no slot ${slot}; slots are 0 to ${this.names.length - 1}.`);
    if (name !== undefined) this.check(name);
    // What can fail, a file that is gone, does so before anything is changed.
    const parts = [...this.layers.values()].flatMap(({ linear, slots }) =>
      WHAT.flatMap((what) => {
        const values = valuesOf(linear, name, what);
        return values ? [{ parameter: slots[what], values }] : [];
      }),
    );
    for (const { parameter, values } of parts) parameter.setPart(values, (slot * parameter.count) / this.names.length);
    this.names[slot] = name;
  }

  /** The slot of an adapter; undefined where it is in none. */
  slotOf(name: string): number | undefined {
    const slot = this.names.indexOf(name);
    return slot < 0 ? undefined : slot;
  }

  /** Traces `body` on a graph: adapted layers in it read their slots. */
  use<R>(graph: Graph, body: () => R): R {
    return withSlots(graph, new Map([...this.layers.values()].map(({ linear, slots }) => [linear, slots])), body);
  }

  /** Frees the memory on every device. */
  dispose(): void {
    for (const { slots } of this.layers.values()) for (const one of Object.values(slots)) (one as Parameter).dispose();
  }

  /** All slots of a layer, of `count` values each. */
  private stacked(linear: LoraLinear, what: keyof AdapterSlots, count: number): Float32Array {
    const all = new Float32Array(this.names.length * count);
    for (const [slot, name] of this.names.entries()) all.set(valuesOf(linear, name, what) ?? [], slot * count);
    return all;
  }

  private check(name: string): void {
    const { config, targets } = adapterEntry(this.model, name);
    if (config.bias !== 'none') {
      throw invalidLora(`adapter "${name}" trains biases, which belong to the base: it can not share a batch.`);
    }
    for (const [path, { linear }] of this.layers) {
      if (linear.merged.length > 0) throw invalidLora(`adapters are merged into "${path}". Call unmerge(model) first.`);
    }
    for (const { path, rank } of targets) {
      if (rank > this.rank) {
        throw invalidLora(`adapter "${name}" has rank ${rank} at "${path}", and the slots were made for ${this.rank}.`);
      }
      if (!this.layers.has(path)) {
        throw invalidLora(`adapter "${name}" adapts "${path}", which no adapter did when the slots were made.`);
      }
    }
  }
}

/** What an adapter has in a slot of a layer; of one that is not there the rank, which is 0. */
function valuesOf(linear: LoraLinear, name: string | undefined, what: keyof AdapterSlots): Float32Array | undefined {
  const known = name !== undefined && linear.adapters.has(name) ? linear.adapter(name) : undefined;
  if (what !== 'settings') return known?.[what].data();
  const { rank, scaling } = known?.settings ?? { rank: 0, scaling: 0 };
  return Float32Array.of(rank, scaling);
}
