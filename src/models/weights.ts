/**
 * A checkpoint's tensors brought to their places in a model, by old names and new. Which model it
 * is was decided in auto.ts; adapters have files of their own (src/lora).
 */
import { FusedLoraError } from '../base/errors';
import { listNames, nearNames } from '../base/near';
import type { Parameter } from '../graph/parameter';
import { FLOAT_DTYPES } from '../io/dtypes';
import { type TensorInfo, tensorSource } from '../io/safetensors';
import type { Module } from '../nn';
import { stateMismatch } from '../nn/state';

/** What a checkpoint did not decide. */
export interface LoadReport {
  /**
   * Parameters that the checkpoint lacks (a new head), which got initial values as transformers
   * gives them.
   */
  initialized: string[];
  /** Tensors of the checkpoint that this model has no place for (another task's head). */
  unused: string[];
}

/** Buffers that old versions of transformers saved; they are computed, not learnt. */
const BUFFERS = /(^|\.)(position_ids|token_type_ids)$/;

/**
 * The name that a tensor has in a model with a head: base models are saved without the prefix, old
 * ones with gamma and beta.
 */
function modernName(name: string, prefix: string): string {
  const renamed = name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
  return /^(embeddings|encoder|pooler)\./.test(renamed) ? `${prefix}.${renamed}` : renamed;
}

export interface FitOptions {
  /** Name of the encoder in the model: roberta or bert. */
  prefix: string;
  /** The folder, for errors. */
  dir: string;
  /** Gives head parameters of another shape initial values, where they would be an error. */
  ignoreMismatchedSizes?: boolean | undefined;
  /**
   * Whether the checkpoint's head is of another kind of task, and stays unused whatever its shape.
   */
  leavesHeadOut?: boolean | undefined;
  /**
   * Whether an adapter brings its own tensor for a path, so that this one may have another shape.
   */
  replaced?: ((path: string) => boolean) | undefined;
}

/**
 * Makes the tensors of a checkpoint the sources of a model's parameters; their values are read when
 * they are needed.
 *
 * @throws FusedLoraError STATE_MISMATCH when a shape differs; INVALID_CHECKPOINT when a part of the
 * encoder is missing or not of a floating-point type.
 */
export function fitCheckpoint(model: Module, tensors: Map<string, TensorInfo>, options: FitOptions): LoadReport {
  const { prefix, dir } = options;
  const byPath = new Map(model.namedParameters({ all: true }));
  const found = new Map<Parameter, TensorInfo>();
  const unused: string[] = [];
  const misshapen: string[] = [];
  // Paths in the model's order, so that of tied tensors the first (the embedding) counts.
  const named = new Map<string, TensorInfo>();
  for (const [name, info] of tensors) {
    const modern = modernName(name, prefix);
    if (byPath.has(modern)) named.set(modern, info);
    else if (!BUFFERS.test(name)) unused.push(name);
  }
  for (const [path, parameter] of byPath) {
    const info = named.get(path);
    if (!info || found.has(parameter)) continue;
    const head = !path.startsWith(`${prefix}.`);
    if (head && options.leavesHeadOut) {
      unused.push(info.name);
      continue;
    }
    if (info.shape.join() !== parameter.shape.join()) {
      if (head && (options.ignoreMismatchedSizes || options.replaced?.(path))) unused.push(info.name);
      else
        misshapen.push(
          `${info.name}: [${info.shape.join(', ')}], config.json and options ask for [${parameter.shape.join(', ')}]`,
        );
    } else if (!FLOAT_DTYPES.includes(info.dtype)) {
      throw new FusedLoraError(
        'INVALID_CHECKPOINT',
        `${info.file}: tensor "${info.name}" is ${info.dtype}; expected ${FLOAT_DTYPES.join(', ')}. Convert the checkpoint.`,
      );
    } else {
      found.set(parameter, info);
    }
  }
  if (misshapen.length > 0) {
    throw stateMismatch(
      `the model of ${dir}`,
      { misshapen },
      'Take the config.json and numLabels that the checkpoint was made with, or pass ignoreMismatchedSizes: true to start its head anew.',
    );
  }
  const initialized = model
    .namedParameters()
    .filter(([, parameter]) => !found.has(parameter))
    .map(([name]) => name);
  const lost = initialized.filter((name) => name.startsWith(`${prefix}.`) && !name.startsWith(`${prefix}.pooler.`));
  if (lost.length > 0) {
    const near = nearNames(lost[0] as string, tensors.keys(), 3);
    throw new FusedLoraError(
      'INVALID_CHECKPOINT',
      `${dir}: lacks ${lost.length} tensors of the encoder: ${listNames(lost)}. ` +
        `${near.length ? `It has names like ${near.join(', ')}. ` : ''}Fetch the whole checkpoint, or correct config.json.`,
    );
  }
  for (const [parameter, info] of found) {
    parameter.setSource(tensorSource(info));
  }
  return { initialized, unused };
}
