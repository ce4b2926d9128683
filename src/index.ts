/**
 * The public API of `fused-lora`, nothing else: each name is exported from where it is written.
 * The kernels by themselves are `fused-lora/kernels`, in src/kernels.ts.
 */
export { type ErrorCode, FusedLoraError } from './base/errors';
export type { Batch, Batch as SourceBatch, Batch as TrainBatch, BatchSource, EpochBatches } from './data/batch/batch';
export { type PackOptions, planBatches } from './data/batch/batch_plan';
export { EncodedSource, type SourceOptions } from './data/batch/encoded_source';
export {
  type CutOptions,
  cutPieces,
  MaskedSource,
  type MaskedSourceOptions,
  type MaskingVocabulary,
} from './data/batch/masked_source';
export { type PositionRule, packBatch } from './data/batch/packing';
export { type EncodeAll, StreamedSource, type StreamOptions } from './data/batch/streamed_source';
export type { Example, TextExample, TokenExample } from './data/examples/example';
export { splitExamples } from './data/examples/split';
export type { ColumnOptions } from './data/read/columns';
export type { DataFiles } from './data/read/files';
export type { ExampleData, Shard } from './data/read/load';
export { type ReadOptions, readExamples, streamExamples } from './data/read/read_examples';
export { readTokenExamples } from './data/read/read_token_examples';
export { type EncodeOptions, encodeExamples, type TextEncoder } from './data/tokenize/encode';
export { type EncodeWordsOptions, encodeTokenExamples, type WordEncoder } from './data/tokenize/encode_words';
export { type EncodedExample, type EncodedSentence, IGNORE_LABEL } from './data/tokenize/encoded_example';
export {
  type Encoded,
  type EncodedWords,
  type EncodeTextOptions,
  loadTokenizer,
  Tokenizer,
} from './data/tokenize/tokenizer';
export type { TruncationSide } from './data/tokenize/truncate';
export type { Group } from './distributed/group';
export { DISTRIBUTED, type Distributed } from './distributed/join';
export type { Share } from './distributed/shares';
export type { BaseWeights, EmbeddingWeights } from './graph/base_weights';
export type { DeviceOption } from './graph/device';
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
  type SideStep,
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
export type { WriteOptions } from './io/atomic';
export { type FetchModelOptions, type FetchOptions, fetchModel, type HubOptions } from './io/hub';
export type { JsonObject } from './io/json';
export { type ModelFolder, openModelFolder, type WriteModelFolderOptions, writeModelFolder } from './io/model_folder';
export {
  SafetensorsFile,
  type SafetensorsOpenOptions,
  type TensorData,
  type TensorInfo,
  type TensorValues,
  writeSafetensors,
} from './io/safetensors';
export * from './lora';
export type { ReliabilityBin } from './metrics/calibration';
export { areEntityTags, type Entity, type EntityMetrics, entityMetrics, findEntities } from './metrics/entities';
export type { Evaluation } from './metrics/evaluation';
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
export type { Prediction, WordPrediction } from './metrics/predictions';
export type { Score } from './metrics/scores';
export * from './models';
export type { NativeBatch } from './native';
export * from './nn';
export {
  type DataFacts,
  type DetailsEvent,
  type EndEvent,
  type ErrorAnalysis,
  type HardExample,
  type MachineFacts,
  type MeaningFacts,
  type RunRecord,
  readRecord,
  renderReport,
  type StartEvent,
  type StopEvent,
  writeReport,
} from './report';
export {
  type ArmResult,
  type AshaOptions,
  type Comparison,
  type IntrinsicModel,
  type IntrinsicOptions,
  type IntrinsicResults,
  type IntrinsicSearch,
  type IntrinsicSetting,
  intrinsicDimension,
  type McNemar,
  type PairedBootstrap,
  type ParameterSpec,
  readSpace,
  type SamplerName,
  type Space,
  type Spread,
  STUDY_METHODS,
  type StudyMethod,
  type StudyResults,
  type TuneOptions,
  tune,
  type Value as SpaceValue,
  type When,
} from './study';
export { SUBSPACE_STRUCTURES, type SubspaceStructure } from './subspace/config';
export {
  type CalibrateOptions,
  type Calibration,
  type CalibrationQuality,
  type CalibrationResult,
  calibrate,
  readCalibration,
} from './task/calibrate';
export { Classifier, type ClassifierOptions, classify } from './task/classify';
export {
  cosineSimilarity,
  Embedder,
  type EmbedderOptions,
  type EmbedOptions,
  embed,
} from './task/embed/embedder';
export {
  type EmbeddingModel,
  type OpenEmbeddingModelOptions,
  openEmbeddingModel,
} from './task/embed/open_embedding_model';
export { type DenseLayer, POOLING_MODES, type PoolingMode } from './task/embed/pooling';
export type { SentenceSettings } from './task/embed/sentence_folder';
export { type EvaluateOptions, type EvaluateResult, evaluate } from './task/evaluate';
export { type FineTuneResult, fineTune } from './task/fine_tune';
export type { MeaningFigures } from './task/meaning/describe';
export type { Decided, Meaning, MeaningSource, NewWeights, Statement } from './task/meaning/types';
export type { Method } from './task/method';
export { FINE_TUNE_TASKS, type FineTuneOptions, type FineTuneTask } from './task/options/fine_tune_options';
export { type PretrainOptions, type PretrainResult, pretrain } from './task/pretrain';
export { type SharedCost, sharedCost } from './task/shared_evaluator';
export { type AddTextAdapterOptions, addTextAdapter } from './task/text_adapters';
export { type OpenTextModelOptions, openTextModel, type TextModel } from './task/text_model';
export { Evaluator, type EvaluatorOptions } from './train/evaluate';
export { eventLog } from './train/event_log';
export type { CheckpointEvent, EvaluationEvent, RunEvent, StepEvent, TrainerCallbacks } from './train/events';
export { KeptStates, type KeptStatesOptions } from './train/kept_states';
export type { TrainerOptions } from './train/options';
export type { ScheduleName } from './train/schedule';
export type { MakeProgram, StepProgram } from './train/step_program';
export { Trainer, type TrainResult } from './train/trainer';
