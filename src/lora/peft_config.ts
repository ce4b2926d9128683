/**
 * adapter_config.json: the fields that are computed, between PEFT's form and ours. What becomes of
 * all the others, and of values that are refused, is the table of peft_fields.ts.
 */
import { z } from 'zod';
import type { JsonObject } from '../io/json';
import { expected, validate } from '../io/validate';
import { HEADS } from './adapter_keys';
import type { LoraConfig, ResolvedLoraConfig } from './config';
import { DUMMY_TARGET } from './match';
import { TRAINING_ONLY } from './peft_fields';
import type { AdapterEntry } from './registry';

/** Names of a list, and patterns of an object, which are all held against every module. */
const MOST_NAMES = 20_000;
const MOST_PATTERNS = 1000;

const few = <T extends z.ZodType>(of: T, error: string) =>
  z.array(of, { error }).max(MOST_NAMES, { error: `at most ${MOST_NAMES} of them, which is the limit here` });
const names = z.union([expected.string(), few(expected.string(), 'a list of strings')], {
  error: `a string or a list of at most ${MOST_NAMES} strings`,
});
const numbers = z.union([expected.integer(0), few(expected.integer(0), 'a list of numbers')], {
  error: `a number or a list of at most ${MOST_NAMES} numbers`,
});
const alpha = expected.number(0, 1e9);
const byPattern = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value, { error: 'an object from patterns to numbers' })
    .refine((patterns) => Object.keys(patterns).length <= MOST_PATTERNS, {
      error: `at most ${MOST_PATTERNS} patterns, which is the limit here`,
    });

/** No matrix of an encoder that is read here has more rows or columns (LIMITS of src/models). */
const MOST_RANK = 10_000_000;

/** Fields not named here are judged by checkPeftFields. */
const fields = z.object({
  peft_type: z.literal('LORA', { error: '"LORA", the only method that is supported' }),
  r: expected.integer(1, MOST_RANK).default(8),
  lora_alpha: alpha.default(8),
  lora_dropout: expected.number(0, 1).default(0),
  target_modules: names.nullish(),
  exclude_modules: names.nullish(),
  layers_to_transform: numbers.nullish(),
  layers_pattern: names.nullish(),
  rank_pattern: byPattern(expected.integer(1, MOST_RANK)).nullish(),
  alpha_pattern: byPattern(alpha).nullish(),
  modules_to_save: few(expected.string(), 'a list of names').nullish(),
  bias: expected.oneOf(['none', 'all', 'lora_only']).default('none'),
  use_rslora: expected.boolean().default(false),
  task_type: expected.string().nullish(),
});

/** Tasks whose head PEFT trains and saves without being asked. */
const HEADED = ['SEQ_CLS', 'TOKEN_CLS'];

/**
 * Whether PEFT's all-linear takes the head too: it leaves it out for SEQ_CLS, and keeps off what it
 * saves whole.
 */
export const headIsTarget = (json: JsonObject) => !HEADED.includes(String(json['task_type']));

/**
 * Reads the fields of adapter_config.json that are computed.
 *
 * @throws FusedLoraError INVALID_CONFIG naming the field, its value and what is expected.
 */
export function configFromPeft(json: JsonObject, file: string): LoraConfig {
  const c = validate(fields, json, file);
  const some = <T>(value: T | null | undefined) => value ?? undefined;
  const layers = some(c.layers_to_transform);
  const layersPattern = some(c.layers_pattern);
  const init = json['init_lora_weights'];
  return {
    r: c.r,
    loraAlpha: c.lora_alpha,
    loraDropout: c.lora_dropout,
    useRslora: c.use_rslora,
    targetModules: some(c.target_modules),
    excludeModules: c.exclude_modules?.length ? c.exclude_modules : undefined,
    layersToTransform: Array.isArray(layers) && layers.length === 0 ? undefined : layers,
    layersPattern: layersPattern?.length ? layersPattern : undefined,
    rankPattern: some(c.rank_pattern),
    alphaPattern: some(c.alpha_pattern),
    modulesToSave: c.modules_to_save ?? [],
    bias: c.bias,
    initLoraWeights: init === false ? false : String(init).toLowerCase() === 'gaussian' ? 'gaussian' : true,
  };
}

const TASK_TYPES: Readonly<Record<string, string>> = {
  'sequence-classification': 'SEQ_CLS',
  'multi-label-classification': 'SEQ_CLS',
  regression: 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
};

/**
 * What the configuration says of target modules, in PEFT's words: patterns and all-linear become
 * paths, with ranks and alphas by path.
 */
function peftTargets(config: ResolvedLoraConfig, targets: AdapterEntry['targets']): JsonObject {
  const byPath = config.pattern !== undefined;
  const allLinear = typeof config.targetModules === 'string' && config.targetModules.toLowerCase() === 'all-linear';
  const alpha = config.loraAlpha ?? config.r;
  // A factor that setScale set is a part of alpha in a file.
  const scaled = targets.some(({ scale }) => scale !== 1);
  const other = (value: (target: (typeof targets)[number]) => number, usual: number) =>
    Object.fromEntries(targets.filter((t) => value(t) !== usual).map((t) => [t.path, value(t)]));
  const alphas = byPath || scaled ? other((t) => t.alpha * t.scale, alpha) : config.alphaPattern;
  if (!byPath && !allLinear) {
    return {
      target_modules: config.targetModules,
      rank_pattern: config.rankPattern,
      alpha_pattern: alphas,
      lora_alpha: alpha,
    };
  }
  const paths = targets.map(({ path }) => path).sort();
  return {
    // PEFT's own word for an adapter that has no target, only modules to save.
    target_modules: paths.length > 0 ? paths : DUMMY_TARGET,
    rank_pattern: byPath ? other((t) => t.rank, config.r) : config.rankPattern,
    alpha_pattern: alphas,
    lora_alpha: alpha,
  };
}

export interface PeftConfigOptions {
  /** What the adapter belongs on; kept from the file that it came from where not given. */
  baseModel?: string | undefined;
  /** Its revision on the hub. */
  revision?: string | undefined;
  /** The model's task. */
  task?: string | undefined;
}

/**
 * adapter_config.json of an adapter, keys in PEFT's (alphabetical) order; fields of the file it
 * came from are kept.
 */
export function configToPeft(entry: AdapterEntry, options: PeftConfigOptions): JsonObject {
  const { config, json, saved } = entry;
  // PEFT looks for the head in the file of an adapter of such a task, and fails without one.
  const taskType = TASK_TYPES[options.task ?? ''] ?? null;
  const all: JsonObject = {
    auto_mapping: null,
    base_model_name_or_path: null,
    exclude_modules: config.excludeModules ?? null,
    fan_in_fan_out: false,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    revision: null,
    use_dora: false,
    ...json,
    ...peftTargets(config, entry.targets),
    bias: config.bias,
    inference_mode: true,
    // With loftq the values are in the file, and PEFT would make them anew.
    init_lora_weights: config.initLoraWeights === 'loftq' ? true : config.initLoraWeights,
    lora_dropout: config.loraDropout,
    modules_to_save: saved.length > 0 ? (config.modulesToSave ?? saved) : null,
    peft_type: 'LORA',
    r: config.r,
    task_type: json?.['task_type'] ?? (saved.some((path) => HEADS.includes(path)) ? taskType : null),
    use_rslora: config.useRslora,
  };
  // The adapter is plain LoRA from here on, and its file has no tensors of these.
  for (const name of TRAINING_ONLY) if (all[name]) all[name] = null;
  if (options.baseModel !== undefined) {
    all['base_model_name_or_path'] = options.baseModel;
    all['revision'] = options.revision ?? null;
  }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}
