/**
 * Which peak learning rate and weight decay each trained parameter gets: AdamW's options.
 * How the rate changes over the steps is in schedule.ts; the step itself is native/ops/optimizer.h.
 */
import { FusedLoraError } from '../base/errors';
import { compilePattern } from '../base/patterns';
import type { Parameter } from '../graph/parameter';
import type { OptimizerGroup } from '../graph/program';

export interface AdamWOptions {
  /** Peak learning rate. */
  learningRate: number;
  /** Default 0.9. */
  beta1?: number;
  /** Default 0.999. */
  beta2?: number;
  /** Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay; never on biases and LayerNorm. Default 0. */
  weightDecay?: number;
  /**
   * Other rates for parameters whose name a pattern matches (anywhere); the first that matches
   * counts.
   */
  ratePatterns?: { pattern: string; learningRate: number }[];
}

/** A group before the schedule: `learningRate` is the peak. */
export interface ParameterGroups {
  groups: OptimizerGroup[];
  groupOf: Map<Parameter, number>;
}

/** Biases and LayerNorm weights are not decayed, as in transformers' Trainer. */
export function isDecayed(name: string): boolean {
  return !/(^|\.)bias$/.test(name) && !/layer_?norm/i.test(name);
}

/**
 * @param trained the parameters that a program trains.
 * @throws INVALID_ARGUMENT for a rate or decay that is negative or not finite, a pattern that is no
 * regex or matches nothing.
 */
export function groupParameters(trained: readonly Parameter[], options: AdamWOptions): ParameterGroups {
  const { beta1, beta2, eps, weightDecay, patterns } = checkAdamW(options);
  const unmatched = patterns.find(({ regex }) => !trained.some((p) => regex.test(p.name)));
  if (unmatched) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `the rate pattern '${unmatched.pattern}' matches no trained parameter; trained are for example ${trained
        .slice(0, 3)
        .map((p) => p.name)
        .join(', ')}`,
    );
  }

  const groups: OptimizerGroup[] = [];
  const indexByKey = new Map<string, number>();
  const groupOf = new Map<Parameter, number>();
  for (const parameter of trained) {
    const learningRate = patterns.find((p) => p.regex.test(parameter.name))?.learningRate ?? options.learningRate;
    const decay = isDecayed(parameter.name) ? weightDecay : 0;
    const key = `${learningRate} ${decay}`;
    let index = indexByKey.get(key);
    if (index === undefined) {
      index = groups.length;
      indexByKey.set(key, index);
      groups.push({ learningRate, beta1, beta2, eps, weightDecay: decay });
    }
    groupOf.set(parameter, index);
  }
  return { groups, groupOf };
}

/**
 * The options with their defaults, patterns compiled, before there is a model.
 *
 * @throws INVALID_ARGUMENT for a rate or decay that is negative or not finite, and a pattern that
 * is no regex.
 */
export function checkAdamW(options: AdamWOptions) {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0 } = options;
  // AdamW moves every weight by about the rate: above 1 nothing can be learnt, and at 0 nothing is.
  if (!(options.learningRate > 0 && options.learningRate <= 1)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `learningRate is ${options.learningRate}, expected above 0 and at most 1 (usual are 1e-5 to 1e-2)`,
    );
  }
  requireRange('weightDecay', weightDecay, 0, Number.POSITIVE_INFINITY);
  requireRange('beta1', beta1, 0, 1);
  requireRange('beta2', beta2, 0, 1);
  requireRange('eps', eps, 0, Number.POSITIVE_INFINITY);
  const { ratePatterns = [] } = options;
  if (!Array.isArray(ratePatterns)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `ratePatterns is ${typeof ratePatterns}; it must be a list of { pattern, learningRate }`,
    );
  }
  const patterns = ratePatterns.map(({ pattern, learningRate }) => {
    requireRange(`the rate for '${pattern}'`, learningRate, 0, Number.POSITIVE_INFINITY);
    return { pattern, regex: compilePattern(pattern, 'ratePatterns'), learningRate };
  });
  return { beta1, beta2, eps, weightDecay, patterns };
}

function requireRange(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value < high)) {
    const most = high === Number.POSITIVE_INFINITY ? 'a finite number' : `below ${high}`;
    throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${value}, expected at least ${low} and ${most}`);
  }
}
