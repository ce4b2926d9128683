/**
 * The configuration of an adapter as a caller gives it, its defaults and its checks by itself. What
 * it matches in a model is in match.ts; PEFT's form of it in peft_config.ts.
 */
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import { mostOf } from '../graph/ops/op';

/** PEFT's names and meanings, in camel case; and `pattern`, the form of Mariano Kamp's article. */
export interface LoraConfig {
  /** Rank of the adapters, 1 to min(in, out) of each module and at most 256. Default 8. */
  r?: number | undefined;
  /**
   * The adapter is scaled by loraAlpha / r. Default 8; with `pattern`, the rank of each module
   * (scale 1).
   */
  loraAlpha?: number | undefined;
  /** Scales by loraAlpha / √r. Default false. */
  useRslora?: boolean | undefined;
  /** Dropout on the adapter's input, in [0, 1). Default 0, which is the fast path. */
  loraDropout?: number | undefined;
  /**
   * Which Linear modules are adapted: a regular expression (Python's) that matches the whole path,
   * a list of paths or their last parts (`['query', 'output.dense']`), or 'all-linear' (all but the
   * output layer). Default ['query', 'value'].
   */
  targetModules?: string | readonly string[] | undefined;
  /**
   * In place of targetModules: regular expressions found anywhere in the path, joined by |, each
   * with an optional rank: `query(4)|layer.\d+.output(8)`; or the name of a preset ({@link
   * LORA_PRESETS}). The first that matches gives the rank.
   */
  pattern?: string | undefined;
  /** Paths or last parts, or a regular expression, of modules that are left out. */
  excludeModules?: string | readonly string[] | undefined;
  /**
   * Numbers of the layers that are adapted; only with a list of target modules, of which whole
   * paths are taken in any layer.
   */
  layersToTransform?: number | readonly number[] | undefined;
  /**
   * Name of the list of layers, where a path holds several numbers; only with layersToTransform.
   */
  layersPattern?: string | readonly string[] | undefined;
  /** Ranks of modules whose path ends in a match of the key. */
  rankPattern?: Readonly<Record<string, number>> | undefined;
  /** Alphas of modules whose path ends in a match of the key. */
  alphaPattern?: Readonly<Record<string, number>> | undefined;
  /**
   * Modules that are trained and saved whole: ends of their paths (`Norm` is every LayerNorm).
   * Default: those of the model's children that are named classifier or score.
   */
  modulesToSave?: readonly string[] | undefined;
  /** Which biases are trained: none, all, or those of adapted modules (lora_only). Default none. */
  bias?: LoraBias | undefined;
  /**
   * true: A uniform in ±1/√in, B zero. gaussian: A normal with deviation 1/r, B zero. false: both
   * uniform, B too. loftq: what makes up best for a base in fewer bits, set by fineTune or
   * initializeLoftq; as true until then. Default true.
   */
  initLoraWeights?: boolean | 'gaussian' | 'loftq' | undefined;
}

/** Which biases are trained; PEFT's words. */
export type LoraBias = 'none' | 'all' | 'lora_only';

/** A checked configuration with its defaults. */
export interface ResolvedLoraConfig {
  r: number;
  /** undefined: the rank of each module (scale 1). */
  loraAlpha: number | undefined;
  useRslora: boolean;
  loraDropout: number;
  targetModules: string | readonly string[];
  pattern: string | undefined;
  excludeModules: string | readonly string[] | undefined;
  layersToTransform: readonly number[] | undefined;
  layersPattern: readonly string[] | undefined;
  rankPattern: Readonly<Record<string, number>>;
  alphaPattern: Readonly<Record<string, number>>;
  modulesToSave: readonly string[] | undefined;
  bias: LoraBias;
  initLoraWeights: boolean | 'gaussian' | 'loftq';
}

const FIELDS = [
  'r',
  'loraAlpha',
  'useRslora',
  'loraDropout',
  'targetModules',
  'pattern',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'rankPattern',
  'alphaPattern',
  'modulesToSave',
  'bias',
  'initLoraWeights',
] as const;

/** The most that the kernels take. */
export const MAX_RANK = mostOf('loraLinear', 'rank');

const START = 'LoRA configuration: ';

export function invalidLora(problem: string): FusedLoraError {
  return new FusedLoraError('INVALID_LORA', START + problem);
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * Runs what reads a configuration out of a file: its errors name the file, and the fields as they
 * stand there.
 */
export function readingFrom<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FusedLoraError && error.code === 'INVALID_LORA' && error.message.startsWith(START)))
      throw error;
    const names = new RegExp(`\\b(${FIELDS.join('|')})\\b`, 'g');
    const problem = error.message.slice(START.length).replace(names, snakeCase);
    throw new FusedLoraError('INVALID_LORA', `${file}: ${problem}`, { cause: error.cause });
  }
}

function checkRank(name: string, r: unknown): void {
  if (!Number.isInteger(r) || (r as number) < 1 || (r as number) > MAX_RANK) {
    throw invalidLora(
      `${name} is ${String(r)}; a rank must be an integer from 1 to ${MAX_RANK}, and at most min(in, out) of its module.`,
    );
  }
}

function checkAlpha(name: string, alpha: unknown, zero: boolean): void {
  if (zero && alpha === 0) return;
  if (typeof alpha !== 'number' || !Number.isFinite(alpha) || alpha <= 0) {
    throw invalidLora(
      `${name} is ${String(alpha)}; it must be a number above 0. The adapter is scaled by loraAlpha / r.`,
    );
  }
}

function checkNames(name: string, names: unknown, text: boolean): void {
  const list = Array.isArray(names) && names.every((entry) => typeof entry === 'string' && entry !== '');
  if (names !== undefined && !list && !(text && typeof names === 'string' && names !== '')) {
    throw invalidLora(
      `${name} is ${JSON.stringify(names)}; it must be ${text ? 'a regular expression or ' : ''}a list of names.`,
    );
  }
}

function checkOne<T>(name: string, value: T, allowed: readonly T[]): void {
  if (!allowed.includes(value)) {
    throw invalidLora(
      `${name} is ${typeof value === 'string' ? JSON.stringify(value) : String(value)}; it must be one of ${allowed.map((a) => JSON.stringify(a)).join(', ')}.`,
    );
  }
}

const asList = <T>(value: T | readonly T[] | undefined): readonly T[] | undefined =>
  value === undefined || Array.isArray(value) ? (value as readonly T[] | undefined) : [value as T];

/**
 * Checks a configuration by itself and fills in the defaults. Whether it fits a model is seen when
 * it is added to one.
 *
 * @param options.zeroAlpha takes an alpha of 0 too, as an adapter's file may hold it.
 * @throws FusedLoraError INVALID_LORA naming the field, its value and what is expected.
 */
export function resolveLoraConfig(config: LoraConfig, options: { zeroAlpha?: boolean } = {}): ResolvedLoraConfig {
  const { zeroAlpha = false } = options;
  for (const field of Object.keys(config)) {
    if ((FIELDS as readonly string[]).includes(field)) continue;
    const [near] = nearNames(field, FIELDS, 1);
    throw invalidLora(`has no field "${field}".${near ? ` Did you mean ${near}?` : ''} It has: ${FIELDS.join(', ')}.`);
  }
  const { r = 8, loraDropout = 0, bias = 'none', initLoraWeights = true, useRslora = false, pattern } = config;
  checkRank('r', r);
  for (const [key, rank] of Object.entries(config.rankPattern ?? {})) checkRank(`rankPattern["${key}"]`, rank);
  if (config.loraAlpha !== undefined) checkAlpha('loraAlpha', config.loraAlpha, zeroAlpha);
  for (const [key, alpha] of Object.entries(config.alphaPattern ?? {}))
    checkAlpha(`alphaPattern["${key}"]`, alpha, zeroAlpha);
  if (!(loraDropout >= 0 && loraDropout < 1)) {
    throw invalidLora(`loraDropout is ${loraDropout}; it must be at least 0 and below 1.`);
  }
  checkNames('targetModules', config.targetModules, true);
  checkNames('excludeModules', config.excludeModules, true);
  checkNames('modulesToSave', config.modulesToSave, false);
  const layersPattern = asList(config.layersPattern);
  checkNames('layersPattern', layersPattern, false);
  const layersToTransform = asList(config.layersToTransform);
  if (layersToTransform?.some((layer) => !Number.isInteger(layer) || layer < 0)) {
    throw invalidLora(`layersToTransform is ${JSON.stringify(layersToTransform)}; it must hold layer numbers from 0.`);
  }
  checkOne('bias', bias, ['none', 'all', 'lora_only']);
  checkOne('initLoraWeights', initLoraWeights, [true, false, 'gaussian', 'loftq']);
  checkOne('useRslora', useRslora, [true, false]);
  if (pattern !== undefined) {
    if (typeof pattern !== 'string' || pattern.trim() === '')
      throw invalidLora('pattern is empty; give a preset or regular expressions.');
    const other = (
      ['targetModules', 'layersToTransform', 'layersPattern', 'rankPattern', 'alphaPattern'] as const
    ).find((name) => config[name] !== undefined);
    if (other)
      throw invalidLora(
        `pattern and ${other} are both given; pattern says which modules and ranks by itself. Leave one out.`,
      );
    if (useRslora && config.loraAlpha === undefined) {
      throw invalidLora(
        'pattern scales by 1 unless loraAlpha is given, so useRslora has no meaning. Give loraAlpha, or leave useRslora out.',
      );
    }
  }
  if (layersPattern?.length && !layersToTransform?.length) {
    throw invalidLora('layersPattern is given without layersToTransform. Give both, or neither.');
  }
  if (layersToTransform?.length && typeof config.targetModules === 'string') {
    throw invalidLora(
      'layersToTransform needs targetModules to be a list. Put the layer numbers into the regular expression.',
    );
  }
  return {
    r,
    loraAlpha: config.loraAlpha ?? (pattern === undefined ? 8 : undefined),
    useRslora,
    loraDropout,
    targetModules: config.targetModules ?? ['query', 'value'],
    pattern,
    excludeModules: config.excludeModules,
    layersToTransform: layersToTransform?.length ? layersToTransform : undefined,
    layersPattern: layersPattern?.length ? layersPattern : undefined,
    rankPattern: config.rankPattern ?? {},
    alphaPattern: config.alphaPattern ?? {},
    modulesToSave: config.modulesToSave,
    bias,
    initLoraWeights,
  };
}
