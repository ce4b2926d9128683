/**
 * Copies of modules and parameters with values of their own: what an adapter's saved modules are.
 * They are put into a model by src/lora/modules_to_save.ts.
 */
import { isSource, Parameter } from '../graph/parameter';
import { Module } from './module';

/** A parameter of the same values (a source is shared, not read), and of the same requiresGrad. */
export function cloneParameter(parameter: Parameter): Parameter {
  const values = parameter.snapshot();
  return new Parameter(parameter.shape, isSource(values) ? values : values.slice(), {
    requiresGrad: parameter.requiresGrad,
    name: parameter.name,
  });
}

/**
 * A copy of a module and all below, with parameters of its own of the same values. Parameters and
 * children shared inside are shared inside the copy. Properties that are neither are taken as they
 * are; private fields (`#name`) are not copied.
 *
 * @param copyParameter what a parameter of the copy is.
 */
export function cloneModule<M extends Module>(module: M, copyParameter = cloneParameter): M {
  const done = new Map<unknown, unknown>();
  const copy = (value: unknown): unknown => {
    if (!(value instanceof Module || value instanceof Parameter)) return value;
    const known = done.get(value);
    if (known) return known;
    if (value instanceof Parameter) {
      const parameter = copyParameter(value);
      done.set(value, parameter);
      return parameter;
    }
    const twin = Object.create(Object.getPrototypeOf(value)) as Record<string, unknown>;
    done.set(value, twin);
    for (const [name, held] of Object.entries(value)) twin[name] = copy(held);
    return twin;
  };
  return copy(module) as M;
}
