/**
 * Adapters of loralib, the code of the LoRA paper (microsoft/LoRA), converted to safetensors; those
 * of PEFT are read in peft_files.ts. Its names, and what they become:
 *
 *     roberta.encoder….query.lora_A [r, in]   →  base_model.model.<path>.lora_A.weight
 *     roberta.encoder….query.lora_B [out, r]  →  base_model.model.<path>.lora_B.weight
 *     classifier.dense.weight, …              →  base_model.model.<same>, trained and saved whole
 *
 * Shapes, order and values are PEFT's. The file holds no alpha: the training script does (the
 * paper's RoBERTa scripts take `--lora_alpha 16` with r = 8, a scaling of 2).
 */
import { SafetensorsFile, type TensorInfo } from '../io/safetensors';
import type { Module } from '../nn';
import { invalidLora } from './config';
import { addLoadedAdapter, type LoadAdapterOptions } from './peft_files';

/** Of {@link loadLoralibAdapter}. */
export interface LoralibOptions extends LoadAdapterOptions {
  /** alpha of the training script; the adapter is scaled by alpha / r. */
  alpha: number;
}

/**
 * Adds a loralib adapter to a model; the rank of each module is that of its lora_A. It becomes the
 * one active adapter, frozen unless `trainable`.
 *
 * @param file safetensors with loralib's names.
 * @returns paths of the adapted modules.
 * @throws FusedLoraError as loadAdapter.
 */
export function loadLoralibAdapter(model: Module, file: string, options: LoralibOptions): string[] {
  const tensors = new Map<string, TensorInfo>();
  const ranks: Record<string, number> = {};
  const heads = new Set<string>();
  for (const [name, info] of SafetensorsFile.open(file).tensors) {
    const lora = /^(.+)\.lora_([AB])$/.exec(name);
    if (!lora) {
      heads.add(name.split('.')[0] as string);
      tensors.set(`base_model.model.${name}`, info);
      continue;
    }
    tensors.set(`base_model.model.${name}.weight`, info);
    const [, at = '', half] = lora;
    if (half === 'A') ranks[at] = info.shape[0] ?? 0;
  }
  const targets = Object.keys(ranks);
  if (targets.length === 0)
    throw invalidLora(`${file} has no tensor whose name ends in .lora_A; it is no loralib adapter.`);
  const r = Math.max(...Object.values(ranks));
  const config = {
    r,
    loraAlpha: options.alpha,
    targetModules: targets,
    rankPattern: Object.fromEntries(Object.entries(ranks).filter(([, rank]) => rank !== r)),
    modulesToSave: [...heads],
  };
  return addLoadedAdapter(model, config, tensors, file, options);
}
