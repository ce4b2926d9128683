/**
 * Options of `intrinsicDimension`, checked, with their defaults. What is done with them:
 * intrinsic.ts; options that every training run has are src/task/options.
 */
import { FusedLoraError } from '../../base/errors';
import { checkKeys, compact } from '../../base/options';
import { HUB_KEYS } from '../../io/hub';
import { SUBSPACE_STRUCTURES, type SubspaceStructure } from '../../subspace/config';
import type { FineTuneOptions } from '../../task/fine_tune';
import { FINE_TUNE_KEYS } from '../../task/options/option_table';
import { DEFAULT_DEV_SPLIT } from '../options';

/** What each run decides by itself. */
const DECIDED = {
  model: true,
  outputDir: true,
  method: true,
  lora: true,
  adapter: true,
  learningRate: true,
  resume: true,
  overwrite: true,
  report: true,
  stream: true,
  shuffleWindow: true,
  callbacks: true,
  checkpointLimit: true,
  loadBestAtEnd: true,
  distributed: true,
  shares: true,
} as const satisfies Partial<Record<keyof FineTuneOptions, true>>;

/** Of {@link intrinsicDimension}. */
export interface IntrinsicOptions extends Omit<FineTuneOptions, keyof typeof DECIDED> {
  /** Model folders, or names on the hub: each gets its own d90. */
  models: readonly string[];
  /** Gets results.json, report.html, and the point of each dimension. What is there goes on. */
  outputDir: string;
  /** Default: both. */
  structures?: readonly SubspaceStructure[];
  /** Of full fine-tuning's metric: what is enough. Default 0.9. */
  share?: number;
  /** Runs of each setting. Default 3. */
  seeds?: number;
  /** Learning rates in a subspace, of which the best of the first seed is taken. Default below. */
  rates?: readonly number[];
  /** The same for full fine-tuning. */
  fullRates?: readonly number[];
  /** Lowest dimension. Default 10. */
  from?: number;
  /** Highest dimension. Default 100,000, at most the number of weights. */
  to?: number;
  /** Times that the interval of the last two dimensions is halved. Default 2. */
  refine?: number;
}

export const INTRINSIC_DEFAULTS = {
  structures: SUBSPACE_STRUCTURES,
  share: 0.9,
  seeds: 3,
  rates: [5e-4, 2e-3],
  fullRates: [5e-5, 2e-4],
  from: 10,
  to: 100_000,
  refine: 2,
} as const satisfies Partial<IntrinsicOptions>;

const OWN = { models: true, outputDir: true, structures: true, share: true, seeds: true } as const;
const SEARCHED = { rates: true, fullRates: true, from: true, to: true, refine: true } as const;

export type ResolvedIntrinsic = Required<Pick<IntrinsicOptions, keyof typeof OWN | keyof typeof SEARCHED>> & {
  /** For each run. */
  common: Partial<FineTuneOptions> & Pick<FineTuneOptions, 'train'>;
  signal: AbortSignal | undefined;
  onNotice: (line: string) => void;
};

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', `intrinsicDimension: ${problem}`);

function whole(name: string, value: number, low: number): void {
  if (!(Number.isSafeInteger(value) && value >= low)) {
    throw refuse(`${name} is ${String(value)}; it must be a whole number from ${low}`);
  }
}

/** @throws FusedLoraError INVALID_ARGUMENT, before anything is read. */
export function resolveIntrinsic(given: IntrinsicOptions): ResolvedIntrinsic {
  const known = Object.fromEntries(Object.entries(FINE_TUNE_KEYS).filter(([name]) => !(name in DECIDED)));
  checkKeys('intrinsicDimension', given, { ...known, ...OWN, ...SEARCHED });
  const { models, outputDir, structures, share, seeds, rates, fullRates, from, to, refine, ...rest } = {
    ...INTRINSIC_DEFAULTS,
    ...compact(given),
  } as Required<Pick<IntrinsicOptions, keyof typeof OWN | keyof typeof SEARCHED>> & IntrinsicOptions;
  const { signal, onNotice = () => {}, ...common } = rest;
  if (!Array.isArray(models) || models.length === 0 || !models.every((one) => typeof one === 'string' && one !== '')) {
    throw refuse('models must be a list of model folders or names on the hub');
  }
  if (typeof outputDir !== 'string' || outputDir === '') throw refuse('outputDir must be a folder');
  const other = structures.find((one) => !SUBSPACE_STRUCTURES.includes(one));
  if (other !== undefined || structures.length === 0) {
    throw refuse(`structures is ${JSON.stringify(structures)}; it must hold ${SUBSPACE_STRUCTURES.join(' or ')}`);
  }
  if (!(share > 0 && share <= 1)) throw refuse(`share is ${share}; it must be above 0 and at most 1`);
  for (const [name, list] of Object.entries({ rates, fullRates })) {
    if (list.length === 0 || !list.every((rate) => rate > 0 && rate <= 1)) {
      throw refuse(`${name} is [${list.join(', ')}]; it must hold learning rates above 0 and at most 1`);
    }
  }
  whole('seeds', seeds, 1);
  whole('from', from, 1);
  whole('to', to, from);
  whole('refine', refine, 0);
  const { dev, devSplit, metricForBest = '' } = common;
  if (/(loss|mse)$/i.test(metricForBest)) {
    throw refuse(
      `metricForBest is ${metricForBest}, of which less is better; a share of it says nothing. Take a score.`,
    );
  }
  const measured = dev === undefined && devSplit === undefined ? { devSplit: DEFAULT_DEV_SPLIT } : {};
  return {
    ...{ models, outputDir, structures, share, seeds, rates, fullRates, from, to, refine },
    common: { ...common, ...measured },
    signal,
    onNotice,
  };
}

/** What a folder of results is of, as JSON: the same to go on. */
export function identityOfIntrinsic({ common, signal: _, onNotice: __, ...own }: ResolvedIntrinsic): unknown {
  const { models: ___, outputDir: ____, ...settings } = own;
  const plain = Object.entries(common).filter(
    ([name, value]) =>
      !(name in HUB_KEYS) && name !== 'device' && !(Array.isArray(value) && typeof value[0] === 'object'),
  );
  return JSON.parse(JSON.stringify({ ...settings, run: Object.fromEntries(plain) }));
}
