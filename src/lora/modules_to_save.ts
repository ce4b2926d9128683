import type { Value } from '../graph/value';
import { Module, ModuleDict } from '../nn';
import { cloneModule } from '../nn/clone';

/**
 * A module that each adapter trains a copy of (the head), in its place in the tree. The original is kept aside: it is neither counted nor
 * saved, and comes back when adapters are disabled or unloaded.
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
  }

  /** Adds an adapter's own copy of the module. */
  addAdapter(name: string): void {
    this.modules_to_save.set(name, cloneModule(this.original));
  }

  /** Takes an adapter's copy out. */
  deleteAdapter(name: string): void {
    this.modules_to_save.delete(name);
    if (this.active === name) this.active = undefined;
  }

  /** The module that is used now. */
  get current(): Module {
    return (this.active === undefined ? undefined : this.modules_to_save.get(this.active)) ?? this.original;
  }

  forward(x: Value, ...rest: unknown[]): Value {
    return this.current.call(x, ...rest);
  }
}
