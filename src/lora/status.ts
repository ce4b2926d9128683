/**
 * What state a model's adapters are in: which modules have which, with rank and factor, active or
 * merged, learnable or not; as data and as text. The state is changed by manage.ts and merge.ts.
 */
import type { Module } from '../nn';
import { foldLayers } from '../nn/fold_layers';
import { adaptersOf, loraLinears, savedModules } from './registry';

/** An adapter in one Linear. */
export interface ModuleStatus {
  /** Path of the Linear in the base model. */
  path: string;
  rank: number;
  /** The factor of B A now: alpha / r (or alpha / √r), times `scale`. */
  scaling: number;
  /** What `setScale` set; 1 at first. */
  scale: number;
  /** Whether it is computed beside the base weight. */
  active: boolean;
  /** Whether the base weight holds it. */
  merged: boolean;
  learnable: boolean;
  /** Of A and B together. */
  parameters: number;
}

/** One adapter. */
export interface AdapterStatus {
  name: string;
  /** Whether it is one of those that are summed, or merged ones; false while all are disabled. */
  active: boolean;
  /** Whether the base weights hold it: all of its modules, none, or a part. */
  merged: boolean | 'in part';
  /** Whether it is trained while it is active. */
  trainable: boolean;
  modules: ModuleStatus[];
  /** Modules that it holds whole, its head among them; `used`: whether its copy is computed. */
  saved: { path: string; used: boolean; learnable: boolean; parameters: number }[];
  /** Of A, B and modules that are saved whole; trained biases belong to the base. */
  parameters: number;
  learnable: number;
}

/** All adapters of a model. */
export interface ModelAdapters {
  /** False after `disableAdapters`. */
  enabled: boolean;
  /** In the order in which they are summed; the first one's head is used. */
  active: readonly string[];
  /** In the order in which they were added. */
  adapters: AdapterStatus[];
}

const sum = (items: readonly { parameters: number; learnable: boolean }[], learnable = false) =>
  items.reduce((total, item) => total + (learnable && !item.learnable ? 0 : item.parameters), 0);

/** The state of a model's adapters. Nothing is changed, and no value is read. */
export function adapterStatus(model: Module): ModelAdapters {
  const { entries, active, disabled } = adaptersOf(model);
  const linears = new Map(loraLinears(model));
  const wrapped = new Map(savedModules(model));
  const adapters = [...entries].map(([name, { targets, saved, trainable }]): AdapterStatus => {
    const modules = targets.flatMap(({ path, rank, scale }): ModuleStatus[] => {
      const linear = linears.get(path);
      if (!linear) return [];
      const { A, B, settings } = linear.adapter(name);
      const merged = linear.merged.includes(name);
      return [
        {
          ...{ path, rank, scaling: settings.scaling, scale, merged },
          active: linear.merged.length === 0 && linear.active.includes(name),
          learnable: A.requiresGrad && B.requiresGrad,
          parameters: A.count + B.count,
        },
      ];
    });
    const held = saved.map((path) => {
      const copy = wrapped.get(path)?.modules_to_save.get(name);
      const parameters = copy?.parameters() ?? [];
      return {
        path,
        used: wrapped.get(path)?.active === name,
        learnable: parameters.length > 0 && parameters.every((parameter) => parameter.requiresGrad),
        parameters: parameters.reduce((total, { count }) => total + count, 0),
      };
    });
    const numMerged = modules.filter(({ merged }) => merged).length;
    return {
      name,
      active: !disabled && active.includes(name),
      merged: numMerged === 0 ? false : numMerged === modules.length ? true : 'in part',
      trainable,
      modules,
      saved: held,
      parameters: sum(modules) + sum(held),
      learnable: sum(modules, true) + sum(held, true),
    };
  });
  return { enabled: !disabled, active: disabled ? [] : active, adapters };
}

const number = (n: number) => n.toLocaleString('en-US');
const short = (n: number) => String(Number(n.toPrecision(6)));

/** Modules in text, those that differ in their layer alone as one line. */
function linesOf({ modules, saved }: AdapterStatus): string[] {
  const adapted = modules.map(({ path, rank, scaling, scale, active, merged, learnable, parameters }) => {
    const factor = `factor ${short(scaling)}${scale === 1 ? '' : ` (scale ${short(scale)})`}`;
    const state = merged ? 'merged' : active ? 'active' : 'idle';
    return {
      name: `${path}  r ${rank}, ${factor}, ${state}, ${learnable ? 'learnable' : 'frozen'}`,
      learnable,
      count: parameters,
    };
  });
  const whole = saved.map(({ path, used, learnable, parameters }) => ({
    name: `${path}  saved whole, ${used ? 'in use' : 'idle'}, ${learnable ? 'learnable' : 'frozen'}`,
    learnable,
    count: parameters,
  }));
  return [...foldLayers(adapted), ...whole].map(({ name }) => `  ${name}`);
}

/**
 * The status as text: a line for all, then each adapter with its modules; equal layers are one
 * line.
 */
export function formatAdapterStatus({ enabled, active, adapters }: ModelAdapters): string {
  if (adapters.length === 0) return 'no adapters';
  const head = `${adapters.length} ${adapters.length === 1 ? 'adapter' : 'adapters'}, ${
    enabled ? `active: ${active.join(' + ') || 'none'}` : 'disabled'
  }`;
  const blocks = adapters.map((adapter) => {
    const { name, merged, trainable, parameters, learnable } = adapter;
    const state = [
      adapter.active ? 'active' : 'idle',
      ...(merged === false ? [] : [merged === true ? 'merged' : 'merged in part']),
      trainable ? 'trained while active' : 'not trained',
    ].join(', ');
    const first = `${name}: ${state}; ${number(parameters)} parameters, thereof learnable: ${number(learnable)}`;
    return [first, ...linesOf(adapter)].join('\n');
  });
  return [head, ...blocks].join('\n');
}
