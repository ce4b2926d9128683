/**
 * The folder of a point in a subspace: adapter_config.json with what the subspace is drawn by, and
 * z in adapter_model.safetensors, some kilobytes. The names are those of adapters, since it is used
 * as one; PEFT refuses its peft_type. Adapters of LoRA are src/lora/peft_files.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import type { BackendName } from '../graph/parameter';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic';
import { readJsonObject } from '../io/json';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, SUBSPACE_TYPE } from '../io/model_files';
import { SafetensorsFile, writeSafetensors } from '../io/safetensors';
import { expected, validate } from '../io/validate';
import type { Module } from '../nn';
import { fixInitialValues, startedAnew } from '../nn/init';
import { SUBSPACE_STRUCTURES, type SubspaceConfig } from './config';
import { Subspace } from './subspace';

const fields = z.object({
  subspace: z.object({
    dimension: expected.integer(1),
    structure: expected.oneOf(SUBSPACE_STRUCTURES),
    seed: expected.integer(0),
    numLabels: expected.integer(1),
    initialized: z.array(expected.string(), { error: 'a list of names' }),
    modelSeed: expected.integer(0),
    weights: expected.integer(1),
    base: expected.string(),
  }),
});

/** What adapter_config.json says of a subspace. */
export interface SavedSubspace extends SubspaceConfig {
  /** Outputs of the head. */
  numLabels: number;
  /** Parameters that began with initial values, which the base has not: a new head. */
  initialized: readonly string[];
  /** Of these values. */
  modelSeed: number;
  /** How many weights the model has, and a checksum of some of what they begin with. */
  weights: number;
  base: string;
}

/**
 * @returns undefined for a folder without one.
 * @throws FusedLoraError INVALID_CONFIG naming the field.
 */
export function readSubspace(dir: string): SavedSubspace | undefined {
  const file = path.join(dir, ADAPTER_CONFIG);
  if (!fs.existsSync(file)) return undefined;
  const json = readJsonObject(file, 'to know the adapter', 'INVALID_CONFIG', { inFolder: true });
  return json['peft_type'] === SUBSPACE_TYPE ? validate(fields, json, file).subspace : undefined;
}

/**
 * Writes z and what it takes to make the weights of it again; the folder is seen whole or not.
 */
export function writeSubspace(
  dir: string,
  subspace: Subspace,
  base: { name: string; revision: string | undefined } & Pick<SavedSubspace, 'numLabels' | 'initialized' | 'modelSeed'>,
  extra: (folder: string) => void,
): void {
  const { name, revision, ...others } = base;
  const json = {
    peft_type: SUBSPACE_TYPE,
    base_model_name_or_path: name,
    ...(revision !== undefined && { revision }),
    subspace: { ...subspace.config, ...others, weights: subspace.count, base: subspace.checksum },
  };
  writeFolderAtomic(dir, (temporary) => {
    const tensors = subspace.gains ? { z: subspace.z, gains: subspace.gains } : { z: subspace.z };
    writeSafetensors(
      path.join(temporary, ADAPTER_WEIGHTS),
      Object.entries(tensors).map(([name, parameter]) => [
        name,
        { dtype: 'F32', shape: parameter.shape, data: () => parameter.data() },
      ]),
    );
    writeFileAtomic(path.join(temporary, ADAPTER_CONFIG), `${JSON.stringify(json, null, 2)}\n`);
    extra(temporary);
  });
}

/**
 * Gives a model the weights of a saved point.
 *
 * @param model the base, with a head of the shape that it was trained with.
 * @throws FusedLoraError STATE_MISMATCH for a model with other weights than it was trained on;
 * INVALID_CHECKPOINT.
 */
export async function loadSubspace(model: Module, dir: string, backend: BackendName): Promise<void> {
  const { dimension, structure, seed, weights, base, ...head } = readSubspace(dir) as SavedSubspace;
  const byPath = new Map(model.namedParameters());
  for (const name of head.initialized) {
    const parameter = byPath.get(name);
    const fresh = parameter && startedAnew(parameter);
    if (!fresh) continue;
    fixInitialValues(fresh, head.modelSeed, name);
    parameter.setData(fresh.data());
  }
  const subspace = new Subspace(model, { dimension, structure, seed });
  const file = path.join(dir, ADAPTER_WEIGHTS);
  if (subspace.count !== weights) {
    throw new FusedLoraError(
      'STATE_MISMATCH',
      `${dir}: is of a model of ${weights} weights, and this one has ${subspace.count}. Give the base model and the number of labels that it was trained with.`,
    );
  }
  if (subspace.checksum !== base) {
    throw new FusedLoraError(
      'STATE_MISMATCH',
      `${dir}: belongs on another base model (${base}) than this one (${subspace.checksum}). Give the one that it was trained on (--model with --adapter, baseModel).`,
    );
  }
  const tensors = SafetensorsFile.open(file, { inFolder: true });
  for (const [name, parameter] of [
    ['z', subspace.z],
    ['gains', subspace.gains],
  ] as const) {
    if (!parameter) continue;
    const info = tensors.tensors.get(name);
    if (info?.shape.join() !== parameter.shape.join()) {
      throw new FusedLoraError(
        'INVALID_CHECKPOINT',
        `${file}: ${name} is ${info ? `[${info.shape.join(', ')}]` : 'missing'}, ${ADAPTER_CONFIG} says [${parameter.shape.join(', ')}]. Fetch or write it again.`,
      );
    }
    parameter.setData(tensors.readFloat32(name));
  }
  await subspace.materialize(backend);
}
