/**
 * PEFT's modules_to_save in the tree: a wrapper with one copy of a module for each adapter. Which
 * modules get one is found in match.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { Parameter } from '../graph/parameter';
import type { Value } from '../graph/value';
import { Embedding, Linear, Module, ModuleDict } from '../nn';
import { cloneModule, cloneParameter } from '../nn/clone';
import { hasInitialValues, startedAnew } from '../nn/init';

/**
 * A module that each adapter trains a copy of (the head, an embedding), in its place in the tree.
 * The original is kept aside: it is neither counted nor saved, and comes back when adapters are
 * disabled or unloaded. What else the original has (the table of an embedding, the parts of an
 * encoder) is that of the module that is used now.
 */
export class ModulesToSave extends Module {
  /** Copies by adapter. */
  readonly modules_to_save = new ModuleDict();
  /** The adapter whose copy is used; undefined for the original. */
  active: string | undefined;
  declare readonly original: Module;

  constructor(original: Module) {
    super();
    // Not enumerable, so that it is no child.
    Object.defineProperty(this, 'original', { value: original });
    for (const name of memberNames(original)) {
      if (name in this) continue;
      const get = () => (this.current as unknown as Record<string, unknown>)[name];
      Object.defineProperty(this, name, { get, enumerable: false, configurable: true });
    }
  }

  /**
   * Adds an adapter's own copy of the module.
   *
   * @param rows of an embedding, or outputs of a head, that has another number of them than the
   * original.
   */
  addAdapter(name: string, rows?: number): void {
    const { original } = this;
    const copy = rows === undefined ? cloneModule(original) : copyOfSize(original, rows);
    copy.train(original.training);
    this.modules_to_save.set(name, copy);
  }

  /** Takes an adapter's copy out. */
  deleteAdapter(name: string): void {
    this.modules_to_save.delete(name);
    if (this.active === name) this.active = undefined;
  }

  /** Gives an adapter's copy another name, in its place among the others. */
  renameAdapter(from: string, to: string): void {
    this.modules_to_save.rename(from, to);
    if (this.active === from) this.active = to;
  }

  /** The module that is used now. */
  get current(): Module {
    return (this.active === undefined ? undefined : this.modules_to_save.get(this.active)) ?? this.original;
  }

  forward(x: Value, ...rest: unknown[]): Value {
    return this.current.call(x, ...rest);
  }
}

/** The Linear that gives a head's outputs: the head itself, or the last one in it. */
export function outputsOf(head: Module): Linear | undefined {
  const last = head instanceof Linear ? head : (head as { out_proj?: unknown }).out_proj;
  return last instanceof Linear ? last : undefined;
}

/** A copy with other rows of an embedding, or other outputs of a head, whose last Linear is new. */
function copyOfSize(original: Module, rows: number): Module {
  if (original instanceof Embedding) {
    return new Embedding(rows, original.embeddingDim, { paddingIndex: original.paddingIndex });
  }
  const last = outputsOf(original);
  if (!last) throw new FusedLoraError('INTERNAL', `${original.path}: is no head, and can not have ${rows} outputs`);
  const { inFeatures, weight, bias } = last;
  const outputs = new Linear(inFeatures, rows, {
    weight: anew(weight, [rows, inFeatures]),
    bias: bias ? anew(bias, [rows]) : false,
  });
  if (last === original) return outputs;
  // What else is new in the head begins with this adapter too.
  const copy = cloneModule(original, (p) => (hasInitialValues(p) ? anew(p, p.shape) : cloneParameter(p)));
  copy.replaceChild('out_proj', outputs);
  return copy;
}

function anew(parameter: Parameter, shape: readonly number[]): Parameter {
  const started = startedAnew(parameter, shape);
  if (started) return started;
  throw new FusedLoraError('INTERNAL', `${parameter.name}: has no initial values to begin with anew`);
}

/** Own properties of a module, and what its classes below Module give. */
function memberNames(module: Module): string[] {
  const names = Object.getOwnPropertyNames(module);
  let prototype: object = Object.getPrototypeOf(module);
  while (prototype !== Module.prototype && prototype !== Object.prototype) {
    names.push(...Object.getOwnPropertyNames(prototype));
    prototype = Object.getPrototypeOf(prototype);
  }
  return names;
}
