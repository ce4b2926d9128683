/**
 * What src/models gives to the rest: model classes, their configuration, loading and saving.
 * Adapters on them are src/lora.
 */
export { TASKS, type Task, type TaskSettings } from '../base/tasks';
export {
  configOf,
  createModel,
  type LoadModelOptions,
  loadModel,
  type ModelOptions,
  type SaveModelOptions,
  saveModel,
} from './auto';
export { BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification } from './bert';
export { type EncoderConfig, type ModelFamily, type ParseConfigOptions, parseConfig } from './config';
export { Embeddings, Encoder, EncoderModel, Pooler } from './encoder';
export { BertLmHead, BertPredictions, ClassificationHead, PredictionTransform, RobertaLmHead } from './heads';
export { RobertaForMaskedLM, RobertaForSequenceClassification, RobertaForTokenClassification } from './roberta';
export { TaskModel } from './task_model';
export type { LoadReport } from './weights';
