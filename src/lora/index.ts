/**
 * What src/lora gives to the rest: configurations, adapters in a model, merging, PEFT's and
 * loralib's files. Each line names the file that has it.
 */
export { type AdapterFacts, adapterFacts } from './adapter_facts';
export { type CombinationType, type CombineOptions, combineAdapters, type WeightedAdapter } from './combine/combine';
export { type LoraBias, type LoraConfig, type ResolvedLoraConfig, resolveLoraConfig } from './config';
export { type AddAdapterOptions, addAdapter, deleteAdapter } from './inject';
export { initializeLoftq } from './loftq';
export { type AdapterSettings, LoraLinear } from './lora_linear';
export { type LoralibOptions, loadLoralibAdapter } from './loralib_files';
export {
  disableAdapters,
  enableAdapters,
  renameAdapter,
  type SetScaleOptions,
  setActiveAdapters,
  setScale,
  setTrainable,
  withoutAdapters,
} from './manage';
export { merge, mergeAndUnload, unload, unmerge } from './merge';
export { ModulesToSave } from './modules_to_save';
export {
  formatParameterTable,
  formatTotals,
  type ParameterRow,
  type ParameterTable,
  parameterTable,
} from './parameter_table';
export {
  adapterParameters,
  type LoadAdapterOptions,
  loadAdapter,
  peftNameOf,
  type SaveAdapterOptions,
  saveAdapter,
} from './peft_files';
export { CLASSIFIER_ONLY, LORA_PRESETS } from './presets';
export { activeAdapters, adapterNames } from './registry';
export {
  type AdapterStatus,
  adapterStatus,
  formatAdapterStatus,
  type ModelAdapters,
  type ModuleStatus,
} from './status';
