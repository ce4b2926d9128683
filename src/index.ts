/**
 * The public API of `fused-lora`, nothing else: each name is exported from where it is written.
 * The kernels by themselves are `fused-lora/kernels`, in src/kernels.ts.
 */
export { type ErrorCode, FusedLoraError } from './base/errors';
export { EncodedSource, type SourceBatch, type SourceOptions } from './data/batch/batch_source';
export {
  type CutOptions,
  cutPieces,
  MaskedSource,
  type MaskedSourceOptions,
  type MaskingVocabulary,
} from './data/batch/masked_source';
export {
  type Batch,
  type EncodedExample,
  IGNORE_LABEL,
  type PackOptions,
  type PositionRule,
  packBatch,
  planBatches,
} from './data/batch/packing';
export { type EncodeAll, type Shard, StreamedSource, type StreamOptions } from './data/batch/streamed_source';
export { readTokenExamples, type TokenExample } from './data/examples/token_examples';
export type { ColumnOptions } from './data/read/columns';
export type { DataFiles } from './data/read/files';
export { type ReadOptions, readExamples, streamExamples } from './data/read/read_examples';
export { makeSentimentTask, type SentimentTask } from './data/synthetic';
export { type EncodeOptions, encodeExamples, type TextEncoder, type TextExample } from './data/tokenize/encode';
export {
  type EncodedSentence,
  type EncodeWordsOptions,
  encodeTokenExamples,
  type WordEncoder,
} from './data/tokenize/encode_words';
export {
  type Encoded,
  type EncodedWords,
  type EncodeTextOptions,
  loadTokenizer,
  Tokenizer,
} from './data/tokenize/tokenizer';
export * as ops from './graph/ops';
export { type BackendName, type ComputeType, Parameter, type ParameterSource } from './graph/parameter';
export { type Lifetime, type Plan, type PlanOptions, plan } from './graph/plan';
export { choosePrecision, type Precision, type PrecisionOption } from './graph/precision';
export {
  type AccumulateOptions,
  type ApplyOptions,
  type BatchTensors,
  type OptimizerGroup,
  Program,
  type ProgramOptions,
  type StepOptions,
} from './graph/program';
export {
  type Attributes,
  type AttributeValue,
  type Dim,
  Graph,
  type Node,
  type RowSymbol,
  type Sizes,
  type Value,
  type ValueDType,
  type ValueKind,
  type ValueType,
} from './graph/value';
export { type FetchModelOptions, type FetchOptions, fetchModel, type HubOptions } from './io/hub';
export type { JsonObject } from './io/json';
export { type ModelFolder, openModelFolder, type WriteModelFolderOptions, writeModelFolder } from './io/model_folder';
export {
  SafetensorsFile,
  type TensorData,
  type TensorInfo,
  type TensorValues,
  writeSafetensors,
} from './io/safetensors';
export * from './lora';
export { areEntityTags, type Entity, type EntityMetrics, entityMetrics, findEntities } from './metrics/entities';
export {
  argmaxRows,
  type ClassificationMetrics,
  classificationMetrics,
  confusionMatrix,
  type MultiLabelMetrics,
  multiLabelMetrics,
  type RegressionMetrics,
  regressionMetrics,
} from './metrics/metrics';
export type { Score } from './metrics/scores';
export * from './models';
export type { NativeBatch } from './native';
export * from './nn';
export {
  type DataFacts,
  type DetailsEvent,
  type EndEvent,
  type HardExample,
  type MachineFacts,
  type RunRecord,
  readRecord,
  renderReport,
  type StartEvent,
  type StopEvent,
  writeReport,
} from './report';
export { Classifier, type ClassifierOptions, classify, type Prediction, type WordPrediction } from './task/classify';
export { type ExampleData, splitExamples } from './task/data';
export type { DeviceOption } from './task/device';
export { type EvaluateOptions, type EvaluateResult, evaluate } from './task/evaluate';
export type { Example } from './task/examples';
export {
  FINE_TUNE_TASKS,
  type FineTuneOptions,
  type FineTuneResult,
  type FineTuneTask,
  fineTune,
} from './task/fine_tune';
export type { Method } from './task/method';
export { type PretrainOptions, type PretrainResult, pretrain } from './task/pretrain';
export { type OpenTextModelOptions, openTextModel, type TextModel } from './task/text_model';
export type { BatchSource, EpochBatches, TrainBatch } from './train/batch_source';
export { type Evaluation, Evaluator, type EvaluatorOptions } from './train/evaluate';
export { eventLog } from './train/event_log';
export type { CheckpointEvent, EvaluationEvent, RunEvent, StepEvent, TrainerCallbacks } from './train/events';
export type { TrainerOptions } from './train/options';
export type { ScheduleName } from './train/schedule';
export { Trainer, type TrainResult } from './train/trainer';
