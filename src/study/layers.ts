/**
 * How many layers a study's model has, for `frozenLayers`: a number beyond them is refused, and the
 * range of a preset ends with them. What the method `upper` trains is trial_options.ts.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { findModel } from '../io/find_model';
import { CONFIG } from '../io/model_files';
import { openModelFolder } from '../io/model_folder';
import { parseConfig } from '../models/config';
import type { ResolvedStudy } from './options';
import { endsOf } from './space/distribution';
import type { Arm } from './trial_options';

const NAME = 'frozenLayers';

async function layersOf({ common, signal, onNotice }: ResolvedStudy): Promise<number> {
  const { model, revision, token, cacheDir, offline, modelType } = common;
  const hub = compact({ revision, token, cacheDir, offline, signal, onNotice });
  const { folder } = await findModel(model as string, hub);
  const { config, tensors } = openModelFolder(folder);
  const file = path.join(folder, CONFIG);
  return parseConfig(config, { file, modelType, tensorNames: tensors.keys() }).numHiddenLayers;
}

/**
 * The arms of a study, with `frozenLayers` as the model has layers.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for a number that leaves none of them to be trained; what
 * finding the model throws.
 */
export async function withFrozenLayers(study: ResolvedStudy): Promise<Arm[]> {
  const { arms, ofPreset } = study;
  if (!arms.some(({ space }) => space.some(({ name }) => name === NAME))) return arms;
  const layers = await layersOf(study);
  return arms.map((arm) => ({
    ...arm,
    space: arm.space.map((parameter) => {
      const { name, distribution } = parameter;
      if (name !== NAME) return parameter;
      if (ofPreset && distribution.kind === 'int' && distribution.high >= layers) {
        const high = layers - 1;
        return { ...parameter, distribution: { ...distribution, low: Math.min(distribution.low, high), high } };
      }
      const wrong = endsOf(distribution).find((value) => !(Number.isSafeInteger(value) && isWithin(value, layers)));
      if (wrong === undefined) return parameter;
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `space: "${NAME}" can be ${JSON.stringify(wrong)}, and the model has ${layers} layers; take whole numbers from 0 to ${layers - 1}. ` +
          'For the head alone there is the method head.',
      );
    }),
  }));
}

const isWithin = (value: unknown, layers: number) => (value as number) >= 0 && (value as number) < layers;
