// config.json, model.safetensors, tokenizer files …: what files of models and adapters are called.
// Model folders are read and written by model_folder.ts, adapter folders by
// src/lora/peft_files.ts.

/** Files of a tokenizer, which travel with a model. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
] as const;

export const CONFIG = 'config.json';
export const WEIGHTS = 'model.safetensors';
export const WEIGHTS_INDEX = 'model.safetensors.index.json';
export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/**
 * What neither PEFT nor transformers has a place for: label
 * names of an adapter, and how long texts may be.
 */
export const SETTINGS = 'fused_lora.json';

/** peft_type of a point in a subspace of all weights (src/subspace): none of PEFT's. */
export const SUBSPACE_TYPE = 'FUSED_LORA_SUBSPACE';

/** Weights in formats that are not read here. */
export const OTHER_WEIGHTS = [
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'tf_model.h5',
  'flax_model.msgpack',
  'model.ckpt.index',
  'adapter_model.bin',
] as const;

/**
 * Why weights of other formats are refused, and the way to
 * convert them. @param dir folder or name of the model.
 */
export function otherFormatProblem(dir: string, file: string): string {
  return (
    `${dir}: has its weights only as ${file}. That format is not read here (a pickle can run code of its author). Convert it once, where Python ` +
    `has transformers: AutoModel.from_pretrained("${dir}").save_pretrained("FOLDER", safe_serialization=True) ` +
    '(with AutoModelForSequenceClassification or the like in place of AutoModel to keep a head), and give that folder.'
  );
}
