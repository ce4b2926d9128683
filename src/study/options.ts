/**
 * What a study can be told, checked and with its defaults; and what of it must be the same for
 * whoever goes on with it. Options of single runs are those of src/task/options.
 */
import { FusedLoraError } from '../base/errors';
import { checkKeys, compact } from '../base/options';
import type { Task } from '../base/tasks';
import type { ExampleData } from '../data/read/load';
import { HUB_KEYS } from '../io/hub';
import type { FineTuneOptions } from '../task/fine_tune';
import { FINE_TUNE_KEYS } from '../task/options/option_table';
import { KeptStates } from '../train/kept_states';
import type { AshaOptions } from './search/asha';
import { SAMPLERS, type SamplerName } from './search/sampler';
import { SPACE_PRESETS } from './space/presets';
import { readSpace } from './space/read_space';
import type { Space } from './space/space';
import { type Arm, armsOf } from './trial_options';

/** What a study decides for each run by itself. */
type Decided =
  | 'outputDir'
  | 'model'
  | 'method'
  | 'adapter'
  | 'resume'
  | 'overwrite'
  | 'callbacks'
  | 'stream'
  | 'shuffleWindow'
  | 'loadBestAtEnd'
  | 'checkpointLimit'
  | 'distributed'
  | 'shares';

const DECIDED: Readonly<Record<Exclude<Decided, 'outputDir' | 'model'>, true>> = {
  method: true,
  adapter: true,
  resume: true,
  overwrite: true,
  callbacks: true,
  stream: true,
  shuffleWindow: true,
  loadBestAtEnd: true,
  checkpointLimit: true,
  distributed: true,
  shares: true,
};

/** Of {@link tune}. */
export interface TuneOptions extends Omit<FineTuneOptions, Decided> {
  /** A model folder, or a name on the hub: each trial opens it anew. */
  model: string;
  /**
   * The study: its journal, its results, and the runs that are kept. A study that is there goes on,
   * with the same options.
   */
  outputDir: string;
  /**
   * What is searched: parameters by name, `article`, `small-data`, or a .yaml or .json file.
   * Default: the learning rate of each method, and the rank.
   */
  space?: Space | string;
  /** Trials of each method. Default 12. */
  trials?: number;
  /** Runs of each method's best setting with other seeds. Default 3. */
  repeats?: number;
  /** Full fine-tuning and the head alone are searched too, with as many trials. Default true. */
  baselines?: boolean;
  /** Default tpe. */
  sampler?: SamplerName;
  /** Trials of each method before TPE takes over. Default: a third of them, at least 4. */
  startup?: number;
  /** Whether trials that fall behind are stopped, and where. Default true. */
  asha?: boolean | AshaOptions;
  /** Labelled examples that are read once, when everything is chosen. */
  test?: ExampleData;
  /** Without `test`: the share of `train` that is set aside for it. Default: none. */
  testSplit?: number;
  /** In place of dev: each trial is measured on K parts of train in turn. */
  folds?: number;
  /** Numbers of training examples that the best setting of each method is trained on at the end. */
  trainSizes?: readonly number[];
}

/** Names of options of the study alone. */
export const STUDY_KEYS = {
  space: true,
  trials: true,
  repeats: true,
  baselines: true,
  sampler: true,
  startup: true,
  asha: true,
  test: true,
  testSplit: true,
  folds: true,
  trainSizes: true,
} as const satisfies Partial<Record<keyof TuneOptions, true>>;

/** Share of train that is set aside where there is no dev. */
export const DEFAULT_DEV_SPLIT = 0.2;

export interface ResolvedStudy {
  outputDir: string;
  arms: Arm[];
  /** Whether the space is one of ours by name, which has to suit any model. */
  ofPreset: boolean;
  trials: number;
  repeats: number;
  sampler: SamplerName;
  startup: number;
  asha: AshaOptions | undefined;
  seed: number;
  folds: number | undefined;
  trainSizes: readonly number[];
  train: ExampleData;
  dev: ExampleData | undefined;
  devSplit: number | undefined;
  test: ExampleData | undefined;
  testSplit: number | undefined;
  /** For each run; data, seeds and what the space says come on top. */
  common: Partial<FineTuneOptions>;
  /** What frozen layers give for the texts, for all trials of this process. */
  kept: KeptStates | undefined;
  signal: AbortSignal | undefined;
  onNotice: (line: string) => void;
}

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', problem);

function whole(name: string, value: unknown, low: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= low) return;
  throw refuse(`${name} is ${JSON.stringify(value)}; it must be a whole number from ${low}`);
}

/** @throws FusedLoraError INVALID_ARGUMENT, before anything is read. */
export function resolveStudy(given: TuneOptions): ResolvedStudy {
  const known = Object.fromEntries(Object.entries(FINE_TUNE_KEYS).filter(([name]) => !(name in DECIDED)));
  checkKeys('tune', given, { ...known, ...STUDY_KEYS });
  const {
    outputDir,
    model,
    space,
    trials = 12,
    repeats = 3,
    baselines = true,
    sampler = 'tpe',
    ...rest
  } = compact(given) as TuneOptions;
  const {
    startup = Math.max(4, Math.ceil(trials / 3)),
    asha = true,
    test,
    testSplit,
    folds,
    trainSizes = [],
    ...more
  } = rest;
  const { train, dev, devSplit, seed = 0, signal, onNotice = () => {}, report: _, keepFrozen, ...common } = more;
  if (typeof model !== 'string' || model === '') {
    throw refuse('model must be a folder or a name on the hub: each trial of a study opens it anew');
  }
  if (typeof outputDir !== 'string' || outputDir === '') throw refuse('outputDir must be the folder of the study');
  if (![undefined, true, false].includes(keepFrozen as boolean) && !(keepFrozen instanceof KeptStates)) {
    throw refuse(`keepFrozen is ${JSON.stringify(keepFrozen)}; it must be true, false or a KeptStates`);
  }
  whole('trials', trials, 1);
  whole('repeats', repeats, 1);
  whole('startup', startup, 1);
  whole('seed', seed, 0);
  if (!SAMPLERS.includes(sampler))
    throw refuse(`sampler is ${JSON.stringify(sampler)}; it must be ${SAMPLERS.join(' or ')}`);
  for (const [name, value] of Object.entries({ baselines })) {
    if (typeof value !== 'boolean') throw refuse(`${name} is ${JSON.stringify(value)}; it must be true or false`);
  }
  if (folds !== undefined) {
    whole('folds', folds, 2);
    if (dev !== undefined || devSplit !== undefined) throw refuse('folds and dev are both given; leave one out');
    if (trainSizes.length > 0) throw refuse('trainSizes needs a dev set of one kind for all; leave folds out');
  }
  for (const size of trainSizes) whole('trainSizes', size, 2);
  if (test !== undefined && testSplit !== undefined) throw refuse('test and testSplit are both given; leave one out');
  for (const [name, share] of Object.entries({ devSplit, testSplit })) {
    if (share !== undefined && !(share > 0 && share < 1)) {
      throw refuse(`${name} is ${share}; it must be a share above 0 and below 1, such as 0.1`);
    }
  }
  if (dev !== undefined && devSplit !== undefined) throw refuse('dev and devSplit are both given; leave one out');
  const ashaOptions = asha === true ? {} : asha === false ? undefined : asha;
  if (ashaOptions !== undefined) {
    checkKeys('tune: asha', ashaOptions, { reductionFactor: true, firstRung: true });
    whole('asha.reductionFactor', ashaOptions.reductionFactor ?? 4, 2);
    whole('asha.firstRung', ashaOptions.firstRung ?? 1, 1);
  }
  return {
    outputDir,
    ofPreset: typeof space === 'string' && Object.hasOwn(SPACE_PRESETS, space),
    arms: armsOf(typeof space === 'string' ? readSpace(space) : space, baselines),
    trials,
    repeats,
    sampler,
    startup,
    asha: ashaOptions,
    seed,
    folds,
    trainSizes: [...trainSizes].sort((a, b) => a - b),
    train,
    dev,
    devSplit: dev === undefined && folds === undefined ? (devSplit ?? DEFAULT_DEV_SPLIT) : undefined,
    test,
    testSplit,
    common: { ...common, ...(keepFrozen !== undefined && { keepFrozen: keepFrozen !== false }), model },
    kept: keepFrozen === true ? new KeptStates() : keepFrozen || undefined,
    signal,
    onNotice,
  };
}

/** The metric that chooses, where none is named. */
export function mainMetric(task: Task): string {
  switch (task) {
    case 'regression':
      return 'pearson';
    case 'multi-label-classification':
      return 'microF1';
    case 'token-classification':
      return 'f1';
    default:
      return 'accuracy';
  }
}

/** What of a study is the same for all who work on it, as JSON. */
export function identityOf(study: ResolvedStudy, metric: string, data: string): Record<string, unknown> {
  const { arms, trials, repeats, sampler, startup, asha, seed, folds, trainSizes, testSplit, devSplit, common } = study;
  // A token is nobody's to read; where files are cached and what computes is a machine's own.
  const plain = Object.fromEntries(Object.entries(common).filter(([name]) => !(name in HUB_KEYS) && name !== 'device'));
  const spaces = arms.map(({ method, space }) => ({
    method,
    space: space.map(({ name, distribution, when }) => ({ name, distribution, when: [...when] })),
  }));
  const settings = { trials, repeats, sampler, startup, asha, seed, folds, trainSizes, testSplit, devSplit };
  return JSON.parse(JSON.stringify({ metric, spaces, ...settings, run: plain, data })) as Record<string, unknown>;
}
