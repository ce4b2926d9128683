/**
 * PEFT's modules_to_save in the tree: a wrapper with one copy of a module for each adapter. Which
 * modules get one is found in match.ts.
 */
import type { Value } from '../graph/value';
import { Embedding, Module, ModuleDict } from '../nn';
import { cloneModule } from '../nn/clone';

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
   * @param rows of an embedding that has another number of them than the original.
   */
  addAdapter(name: string, rows?: number): void {
    const { original } = this;
    const copy =
      rows !== undefined && original instanceof Embedding
        ? new Embedding(rows, original.embeddingDim, { paddingIndex: original.paddingIndex })
        : cloneModule(original);
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
