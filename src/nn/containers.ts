/**
 * Modules by number and by name, as in PyTorch: `layer.0`, `adapters.default`.
 * What a module is, and how it finds its children: module.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { Value } from '../graph/value';
import { Module } from './module';

function define(owner: Module, name: string, module: Module): void {
  Object.defineProperty(owner, name, { value: module, enumerable: true, configurable: true, writable: true });
}

/** Modules by number: `layer.0`, `layer.1`, … */
export class ModuleList<M extends Module = Module> extends Module implements Iterable<M> {
  constructor(modules: Iterable<M> = []) {
    super();
    let index = 0;
    for (const module of modules) define(this, String(index++), module);
  }

  get length(): number {
    return this.namedChildren().length;
  }

  /** The module of this number. */
  at(index: number): M {
    const child = this.namedChildren()[index]?.[1];
    if (!child) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${this.path || 'ModuleList'} has ${this.length} modules, none of number ${index}`,
      );
    }
    return child as M;
  }

  /** The modules in order. */
  *[Symbol.iterator](): Iterator<M> {
    for (const [, child] of this.namedChildren()) yield child as M;
  }

  /** Calls the modules one after the other, each with the result of the one before. */
  forward(x: Value, ...rest: unknown[]): Value {
    let y = x;
    for (const module of this) y = (module as Module).call(y, ...rest);
    return y;
  }

  protected override get foldsEqualChildren(): boolean {
    return true;
  }
}

/** Modules by name, put in and taken out at run time. It has no forward of its own. */
export class ModuleDict<M extends Module = Module> extends Module {
  /** The module of this name. */
  get(name: string): M | undefined {
    const held = Object.hasOwn(this, name) ? (this as unknown as Record<string, unknown>)[name] : undefined;
    return held instanceof Module ? (held as M) : undefined;
  }

  /** Puts a module in, or in place of another. */
  set(name: string, module: M): void {
    define(this, name, module);
  }

  /** Takes a module out. */
  delete(name: string): void {
    if (this.get(name)) Reflect.deleteProperty(this, name);
  }

  /** Gives a module another name, in its place among the others. */
  rename(from: string, to: string): void {
    const modules = this.namedChildren() as [string, M][];
    if (!modules.some(([name]) => name === from)) return;
    for (const [name] of modules) this.delete(name);
    for (const [name, module] of modules) this.set(name === from ? to : name, module);
  }

  get names(): string[] {
    return this.namedChildren().map(([name]) => name);
  }

  forward(_x: Value): Value {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${this.path || 'ModuleDict'}: a ModuleDict can not be called; call one of its modules`,
    );
  }
}
