/**
 * One frozen base for several open models: parameters that were read from the same tensor are the
 * same while they are trained together, so that a weight is packed once and programs can be shared.
 * Who trains so: fine_tune.ts. What each model trains stays its own.
 */
import { isSource, type Parameter } from '../graph/parameter';
import type { TaskModel } from '../models';
import type { Module } from '../nn';
import { hasInitialValues } from '../nn/init';

export class SharedBase {
  /** By the tensor that they were read from. */
  private readonly known = new Map<string, Parameter>();

  /**
   * Puts parameters that another model brought into this one's tree.
   *
   * @returns gives the model its own ones back: later each may be merged or trained by itself.
   */
  share(model: TaskModel): Disposable {
    const replaced: [Module, string, Parameter][] = [];
    for (const [, module] of model.namedModules()) {
      for (const [name, parameter] of module.ownParameters()) {
        const place = placeOf(parameter);
        if (place === undefined) continue;
        const shared = this.known.get(place) ?? parameter;
        this.known.set(place, shared);
        if (shared === parameter) continue;
        replaced.push([module, name, parameter]);
        put(module, name, shared);
      }
    }
    return {
      [Symbol.dispose]: () => {
        for (const [module, name, own] of replaced) put(module, name, own);
      },
    };
  }
}

/** Where a frozen parameter's values are read from; undefined for what has values of its own. */
function placeOf(parameter: Parameter): string | undefined {
  if (parameter.requiresGrad || hasInitialValues(parameter)) return undefined;
  const values = parameter.snapshot();
  return isSource(values) ? `${values.description} [${parameter.shape.join()}]` : undefined;
}

function put(module: Module, name: string, parameter: Parameter): void {
  (module as unknown as Record<string, Parameter>)[name] = parameter;
}
