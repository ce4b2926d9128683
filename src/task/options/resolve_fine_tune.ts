/**
 * Options of fineTune settled once: checked, defaults filled in, and in parts for those who need
 * one. fine_tune.ts, plan_training.ts and src/cli read the result, and none of them the options
 * again.
 */
import { checkKeys, compact } from '../../base/options';
import type { Task } from '../../base/tasks';
import type { BatchSizes } from '../../data/batch/sources';
import { COLUMN_KEYS, type ColumnOptions } from '../../data/read/columns';
import { type BaseWeights, checkedHeldWeights, type EmbeddingWeights } from '../../graph/base_weights';
import { chooseDevice } from '../../graph/device';
import type { BackendName } from '../../graph/parameter';
import { choosePrecision, type Precision } from '../../graph/precision';
import { type FetchOptions, HUB_KEYS } from '../../io/hub';
import { type LoraConfig, type ResolvedLoraConfig, resolveLoraConfig } from '../../lora';
import { compiled, parsePattern } from '../../lora/presets';
import { checkModelOptions } from '../../models/auto';
import { KeptStates } from '../../train/kept_states';
import { checkTrainerValues, TRAINING_KEYS, type TrainerOptions } from '../../train/options';
import { checkMethod, defaultLearningRate, type Method } from '../method';
import type { TextModel } from '../text_model';
import { checkKinds } from './check_kinds';
import * as check from './check_options';
import { DEFAULT_BATCH_SIZE, LORA_DEFAULTS, RUN_DEFAULTS, TRAINER_DEFAULTS } from './defaults';
import type { FineTuneOptions, LossChoice, ModelSettings, TrainingDataChoice } from './fine_tune_options';
import { FINE_TUNE_KEYS } from './option_table';

/** A trainer's options, of which these always have a value. */
export type TrainerSettings = Omit<TrainerOptions, 'trace' | 'backend' | 'evaluate' | 'outputDir' | 'identity'> &
  Required<Pick<TrainerOptions, keyof typeof TRAINER_DEFAULTS>>;

/** What a run is told, with every default that does not depend on data and model. */
export interface ResolvedFineTune {
  /** Undefined: the model or the data tell it. */
  task: Task | undefined;
  method: Method;
  /** Of a new adapter, as the model gets it and with its defaults; else undefined. */
  lora: { config: LoraConfig; resolved: ResolvedLoraConfig } | undefined;
  /** The adapter to train on from, and what was said of it, which its files have to agree with. */
  adapter: { place: string; expected: LoraConfig } | undefined;
  /**
   * Where the model is: asked for once, by whoever opens it; or a model that is open. Undefined:
   * the adapter names it.
   */
  model: string | TextModel | undefined;
  revision: string | undefined;
  hub: FetchOptions;
  /** What the model is opened with, task and names of labels left out. */
  modelSettings: ModelSettings & { seed: number };
  /** Undefined: the model or the data tell them. */
  labelNames: readonly string[] | undefined;
  /** What to read, and how; without `train` where nothing is (planTraining). */
  data: Partial<TrainingDataChoice> & ColumnOptions & FetchOptions;
  /** As given: a source of batches has the default, and a checkpoint tells the two apart. */
  sizes: BatchSizes;
  loss: LossChoice;
  /** Where states of frozen layers are kept; undefined: they are not. */
  kept: KeptStates | undefined;
  /** For the trainer; the graph, the source and what measures are left out. */
  trainer: TrainerSettings;
  backend: BackendName;
  /** Why this device. */
  device: string;
  precision: Precision;
  /** Of the frozen weights of layers. */
  baseWeights: BaseWeights;
  /** Of the frozen word embeddings. */
  embeddingWeights: EmbeddingWeights;
  /** What holds, by the names of the options: for the log and for the file that repeats the run. */
  settings: Readonly<Record<string, unknown>>;
}

/** Those of fineTune, but for what a plan can do without. */
export type SettledOptions = Omit<FineTuneOptions, 'train' | 'outputDir'> &
  Partial<Pick<FineTuneOptions, 'train' | 'outputDir'>>;

/**
 * The adapter that the method lora makes by default, with some of its fields given. A pattern says
 * modules, ranks and the scale 1 by itself.
 */
export function loraWithDefaults(given: LoraConfig = {}): LoraConfig {
  const { r, ...others } = LORA_DEFAULTS;
  return { r, ...(given.pattern === undefined && others), ...compact(given) };
}

/**
 * @param caller for errors about names of options.
 * @throws FusedLoraError INVALID_ARGUMENT, INVALID_LORA for whatever is wrong with the options
 * themselves; DEVICE_UNAVAILABLE. Nothing was read by then.
 */
export function resolveFineTune(given: SettledOptions, caller = 'fineTune'): ResolvedFineTune {
  checkKeys(caller, given, FINE_TUNE_KEYS);
  checkKinds(given);
  const options = compact(given) as SettledOptions;
  const { method = RUN_DEFAULTS.method, labelNames, model, adapter, revision } = options;
  check.checkModel(model, adapter);
  const task = taskOf(options);
  const { hiddenDropout, attentionDropout, classifierDropout, maxLength, truncationSide, tokenizer } = options;
  const { modelType, ignoreMismatchedSizes, numLabels, keepFrozen = false } = options;
  check.checkLabelNames(labelNames);
  checkModelOptions({ labelNames, hiddenDropout, attentionDropout, classifierDropout });
  check.checkLeastLength(maxLength);
  check.checkMeaning({ truncationSide, numLabels });
  checkMethod(method);
  if (adapter !== undefined) check.checkAdapterMethod(method);
  const lora = method === 'lora' && adapter === undefined ? resolveLora(options.lora) : undefined;
  const { backend, reason } = chooseDevice(options.device);
  const precision = choosePrecision(options.precision, backend);
  const { baseWeights, embeddingWeights } = checkedHeldWeights(options);
  check.checkFrozenBase(baseWeights, method);
  check.checkFrozenEmbeddings(embeddingWeights, method);
  check.checkInitialWeights(lora?.resolved.initLoraWeights, baseWeights);

  const { labelSmoothing, classWeights } = options;
  const loss = compact({ labelSmoothing, classWeights });
  if (task !== undefined) check.checkLoss(loss, task, labelNames);
  else check.checkWeights(loss, labelNames);
  const { batchSize, tokenBudget } = options;
  const sizes = compact({ batchSize, tokenBudget });
  check.checkSizes(sizes);
  const { train, dev, devSplit, stream, shuffleWindow } = options;
  const choice = compact({ train, dev, devSplit, stream, shuffleWindow });
  check.checkDataChoice(choice);
  const columns = pick(options, COLUMN_KEYS) as ColumnOptions;
  check.checkColumns(columns);
  const trainer = {
    ...TRAINER_DEFAULTS,
    learningRate: defaultLearningRate(method),
    ...pick(options, TRAINING_KEYS),
    precision,
    baseWeights,
    embeddingWeights,
  } as TrainerSettings;
  const measured = dev !== undefined || devSplit !== undefined;
  checkTrainerValues(trainer, measured);
  check.checkMetric(trainer.metricForBest, task, labelNames);

  const { seed } = trainer;
  const { signal, onNotice } = options;
  const hub = { ...pick(options, HUB_KEYS), ...compact({ signal, onNotice }) } as FetchOptions;
  return {
    task,
    method,
    lora,
    adapter:
      adapter === undefined ? undefined : { place: adapter, expected: compact(options.lora ?? {}) as LoraConfig },
    model,
    revision,
    hub,
    modelSettings: {
      ...compact({ tokenizer, maxLength, hiddenDropout, attentionDropout, classifierDropout }),
      ...compact({ modelType, ignoreMismatchedSizes, numLabels, truncationSide }),
      seed,
    },
    labelNames,
    data: { ...choice, ...columns, ...hub },
    sizes,
    loss,
    kept: keepFrozen === true ? new KeptStates() : keepFrozen || undefined,
    trainer,
    backend,
    device: reason,
    precision,
    baseWeights,
    embeddingWeights,
    settings: settingsOf(
      options,
      { ...compact({ task }), method, ...(adapter === undefined && { lora: lora?.config }) },
      trainer,
    ),
  };
}

/** A model that is open has its task. */
function taskOf({ model, task }: SettledOptions): Task | undefined {
  if (typeof model === 'object') return model.model.task;
  if (task !== undefined) check.checkTask(task);
  return task;
}

/**
 * What a configuration says by itself is wrong or right by itself; whether it fits is seen on the
 * model.
 */
function resolveLora(given: LoraConfig | undefined): NonNullable<ResolvedFineTune['lora']> {
  const config = given ?? loraWithDefaults();
  const resolved = resolveLoraConfig(config);
  const { pattern, targetModules, excludeModules } = resolved;
  if (pattern !== undefined) parsePattern(pattern);
  if (typeof targetModules === 'string') compiled(targetModules, 'targetModules', 'fullmatch');
  if (typeof excludeModules === 'string') compiled(excludeModules, 'excludeModules', 'fullmatch');
  return { config, resolved };
}

/**
 * Every option with the value that it has; of those that take each other's place, the one that
 * counts.
 */
function settingsOf(
  options: SettledOptions,
  settled: object,
  trainer: TrainerSettings,
): Readonly<Record<string, unknown>> {
  const { batchSize, tokenBudget, device = RUN_DEFAULTS.device, precision = RUN_DEFAULTS.precision } = options;
  const settings: Record<string, unknown> = {
    ...(batchSize === undefined && tokenBudget === undefined && { batchSize: DEFAULT_BATCH_SIZE }),
    ...trainer,
    ...options,
    ...(options.keepFrozen !== undefined && { keepFrozen: options.keepFrozen !== false }),
    ...settled,
    device,
    precision,
  };
  if (options.maxSteps !== undefined) delete settings['epochs'];
  if (options.warmupSteps !== undefined) delete settings['warmupRatio'];
  return settings;
}

/** Those of these names that are given. */
function pick(options: object, names: Readonly<Record<string, true>>): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(names, name)));
}
