/**
 * The base class of all modules: children, parameters, paths, training mode, values in and out.
 * Values by path are read and written in state.ts; a model as a whole is model.ts.
 */
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import { Parameter } from '../graph/parameter';
import { Value } from '../graph/value';
import { fixInitialValues } from './init';
import { loadState, type StateDict, type StateEntries, stateOf } from './state';

/**
 * Kept beside the modules, so that a module holds nothing
 * but its own children, parameters and options.
 */
const paths = new WeakMap<Module, string>();

const join = (prefix: string, name: string) => (prefix ? `${prefix}.${name}` : name);

/**
 * A part of a model: owns parameters and children, and builds
 * its part of the graph when it is called with symbolic values.
 *
 * Children and parameters are the module's own properties that hold a Module or a Parameter, so
 * assigning one registers it, and the names of the properties are the names in checkpoints:
 *
 *     class Output extends Module {
 *       readonly dense = new Linear(3072, 768);
 *       readonly LayerNorm = new LayerNorm(768);
 *       forward(x: Value, residual: Value): Value {
 *         return this.LayerNorm.call(add(this.dense.call(x), residual));
 *       }
 *     }
 *
 * `forward` runs once, at tracing, with values that hold no numbers: it can not depend on the data.
 */
export abstract class Module {
  /**
   * Whether this module drops out when a training graph is traced; set by `train()` and `eval()`.
   */
  training = true;

  /** Builds this module's part of the graph. Call it through {@link call}. */
  abstract forward(x: Value, ...rest: unknown[]): Value;

  /** The path of this module in the tree it was last traced or named in; '' for a root. */
  get path(): string {
    return paths.get(this) ?? '';
  }

  /** `forward` under this module's path, so that nodes, errors and printed graphs name it. */
  call(...args: Parameters<this['forward']>): Value {
    const x: unknown = args[0];
    const where = this.path || this.constructor.name;
    if (!(x instanceof Value)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${where}: was called with ${x === null ? 'null' : typeof x}; its first argument must be a Value of a graph (see trace)`,
      );
    }
    return x.graph.scope(this.path, () => {
      const y: unknown = (this.forward as (...all: unknown[]) => Value)(...args);
      if (y instanceof Value && y.graph === x.graph) return y;
      const what = y instanceof Promise ? 'a Promise' : y instanceof Value ? 'a Value of another graph' : typeof y;
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${where}: forward returned ${what}; it must return a Value of the graph it was called in. It builds a graph and ` +
          'computes nothing, so it can neither wait for data nor branch on it.',
      );
    });
  }

  /** Direct children by name, in the order in which they were assigned. */
  namedChildren(): [string, Module][] {
    return Object.entries(this).filter((entry): entry is [string, Module] => entry[1] instanceof Module);
  }

  /**
   * This module ('') and all below by path, each once, parents before children.
   *
   * @param isLast what is below such a module is left out: of many adapters a walk over all of
   * their A and B takes most of the time.
   */
  namedModules(isLast?: (module: Module) => boolean): [string, Module][] {
    const found: [string, Module][] = [];
    const seen = new Set<Module>();
    const visit = (path: string, module: Module) => {
      if (seen.has(module)) return;
      seen.add(module);
      found.push([path, module]);
      if (isLast?.(module)) return;
      for (const [name, child] of module.namedChildren()) visit(join(path, name), child);
    };
    visit('', this);
    return found;
  }

  /** This module's own parameters by name. */
  ownParameters(): [string, Parameter][] {
    return Object.entries(this).filter((entry): entry is [string, Parameter] => entry[1] instanceof Parameter);
  }

  /**
   * All parameters by path, a module's own before those of its children. One that sits at several
   * paths (tied weights) comes once, under the first.
   *
   * @param options.all gives each path of a shared parameter.
   */
  namedParameters(options: { all?: boolean } = {}): [string, Parameter][] {
    const seen = new Set<Parameter>();
    const found: [string, Parameter][] = [];
    for (const [path, module] of this.namedModules()) {
      for (const [name, parameter] of module.ownParameters()) {
        if (!options.all && seen.has(parameter)) continue;
        seen.add(parameter);
        found.push([join(path, name), parameter]);
      }
    }
    return found;
  }

  /** The parameters of {@link namedParameters}, without their names. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /**
   * The module at a path such as `roberta.encoder.layer.3.attention.self.query`; '' is this module.
   *
   * @throws FusedLoraError INVALID_ARGUMENT when there is none; lists names that are near.
   */
  getSubmodule(path: string): Module {
    let module: Module = this;
    for (const name of path === '' ? [] : path.split('.')) {
      const child = module.namedChildren().find(([known]) => known === name)?.[1];
      if (!child) {
        const names = this.namedModules().map(([known]) => known);
        const near = nearNames(path, names);
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `${this.constructor.name} has no module "${path}". ${near.length ? `Near it: ${near.join(', ')}` : `It has: ${this.childNames()}`}.`,
        );
      }
      module = child;
    }
    return module;
  }

  /**
   * Puts another module in the place of one of this tree.
   *
   * @param path a child's name or a path below this module.
   * @returns the module that was there.
   */
  replaceChild(path: string, module: Module): Module {
    if (path === '') throw new FusedLoraError('INVALID_ARGUMENT', 'replaceChild: a module can not replace itself');
    const old = this.getSubmodule(path);
    const cut = path.lastIndexOf('.');
    const parent = this.getSubmodule(cut < 0 ? '' : path.slice(0, cut));
    (parent as unknown as Record<string, Module>)[path.slice(cut + 1)] = module;
    return old;
  }

  /** Makes all parameters of this module and below trainable, or freezes them. */
  requiresGrad_(requiresGrad = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = requiresGrad;
    return this;
  }

  /** Lets this module and all below drop out in training graphs (`true`, the default), or never. */
  train(mode = true): this {
    for (const [, module] of this.namedModules()) module.training = mode;
    return this;
  }

  /** `train(false)`. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Gives every module its path and every parameter its name, and fixes initial values that no seed
   * was given for yet. Tracing does it by itself.
   *
   * @param seed of initial values, an integer from 0 to 2^53 - 1.
   */
  nameTree(seed = 0): this {
    for (const [path, module] of this.namedModules()) paths.set(module, path);
    for (const [path, parameter] of this.namedParameters()) {
      parameter.name = path;
      fixInitialValues(parameter, seed, path);
    }
    return this;
  }

  /**
   * All parameters by path (a shared one at each of its
   * paths); values are read when they are asked for.
   */
  stateDict(): StateDict {
    return stateOf(this);
  }

  /**
   * Sets parameters by path.
   *
   * @param options.strict (default) refuses any name that is missing,
   * unexpected or of another shape, before anything is changed. Otherwise
   * only shapes are checked, and the names left out are given back.
   * @throws FusedLoraError STATE_MISMATCH listing the names.
   */
  loadStateDict(state: StateEntries, options: { strict?: boolean } = {}): { missing: string[]; unexpected: string[] } {
    return loadState(this, state, options.strict ?? true);
  }

  /**
   * Frees what the devices hold for the parameters of this module and below; the values stay.
   *
   * @throws FusedLoraError BUSY while a step runs on one of them; nothing is freed then.
   */
  dispose(): void {
    const parameters = this.parameters();
    for (const parameter of parameters) parameter.checkIdle();
    for (const parameter of parameters) parameter.dispose();
  }

  /** What `toString` prints in the parentheses of a module without children. */
  extraRepr(): string {
    return '';
  }

  /** The tree as PyTorch prints it; equal neighbours of a list are printed once. */
  toString(): string {
    const children = this.namedChildren().map(([name, child]) => ({ name, text: child.toString() }));
    const extra = this.extraRepr();
    if (children.length === 0) return `${this.constructor.name}(${extra})`;
    const lines: string[] = extra ? [extra] : [];
    for (let i = 0; i < children.length; ) {
      let end = i + 1;
      const { name, text } = children[i]!;
      if (this.foldsEqualChildren) while (end < children.length && children[end]!.text === text) end++;
      const label = end - i > 1 ? `(${name}-${children[end - 1]!.name}): ${end - i} x ` : `(${name}): `;
      lines.push(label + text.replaceAll('\n', '\n  '));
      i = end;
    }
    return `${this.constructor.name}(\n  ${lines.join('\n  ')}\n)`;
  }

  /** Whether `toString` prints equal neighbours once. */
  protected get foldsEqualChildren(): boolean {
    return false;
  }

  private childNames(): string {
    return (
      this.namedChildren()
        .map(([name]) => name)
        .join(', ') || 'no children'
    );
  }
}
