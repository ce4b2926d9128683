/**
 * Which adapters can not share a lane's encoder: those that change more of it than LoRA does. How
 * the others share it is lane.ts.
 */
import { activeAdapters } from '../lora';
import { adapterEntry } from '../lora/registry';
import type { TaskModel } from '../models';

/**
 * Whether a model's adapter does more to the encoder than LoRA does: biases, embeddings or norms
 * that are its own.
 */
export function changesEncoder(model: TaskModel): boolean {
  const { family } = model.config;
  return activeAdapters(model).some((name) => {
    const { config, saved, targets } = adapterEntry(model, name);
    const paths = [...saved, ...targets.map(({ path: at }) => at)].filter((at) => at.startsWith(`${family}.`));
    const outside = paths.some((at) => !at.startsWith(`${family}.encoder.`) && !at.startsWith(`${family}.pooler`));
    return config.bias !== 'none' || outside || saved.some((at) => at.startsWith(`${family}.encoder`));
  });
}
